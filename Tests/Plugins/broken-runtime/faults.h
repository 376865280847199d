// The faults of runtime.c, by the rule of docs/abi.md that each breaks. GOOD breaks none.
enum {
    GOOD,
    STAYS_READY, STAYS_RUNNING, ENDS_WELL, ENDS_NEVER, LISTS_ALL, // 47
    STOPS_ONCE, REMOVES_ONCE, LEAVES_CONTAINERS, // 48
    LOSES_LINES, LOSES_ERRORS, EXECUTES_WELL, COMPLETES_WELL, // 49
};
#ifndef FAULT
#define FAULT GOOD
#endif
