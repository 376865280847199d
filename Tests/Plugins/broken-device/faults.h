// The faults of device.c, by the rule of docs/abi.md that each breaks. GOOD breaks none.
enum {
    GOOD,
    GIVES_TWICE, TAKES_ON_REFUSAL, KNOWS_EVERYTHING, // 52
    FORGETS_REQUEST, KEEPS_RELEASED, UNKNOWN_IS_ERROR, // 53
};
#ifndef FAULT
#define FAULT GOOD
#endif
