// The faults of extension.c, by the rule of docs/abi.md that each breaks. GOOD breaks none.
enum {
    GOOD,
    RELATIVE_PATH, NO_METHODS, NO_STATUS, HEAD_IS_TEXT, // 60
};
#ifndef FAULT
#define FAULT GOOD
#endif
