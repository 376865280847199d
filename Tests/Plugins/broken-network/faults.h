// The faults of network.c, by the rule of docs/abi.md that each breaks. GOOD breaks none.
enum {
    GOOD,
    ANOTHER_ADDRESS, // 44
    ONE_ADDRESS, OUTSIDE, // 45
    CHECKS_NOTHING, DETACHES_ONCE, COLLECTS_ALL, // 46
};
#ifndef FAULT
#define FAULT GOOD
#endif
