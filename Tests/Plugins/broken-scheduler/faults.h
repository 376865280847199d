// The faults of scheduler.c, by the rule of docs/abi.md that each breaks. GOOD breaks none.
enum {
    GOOD,
    FORGETS_CPU, FORGETS_MEMORY, FORGETS_PODS, TAKES_CORDONED, TAKES_UNREADY, PLACES_ON_REMOVED, // 40
    COUNTS_TWICE, COUNTS_CONFIRMED, // 41
    WRONG_SUM, NO_REASON, WRONG_NODES, // 42
    KEEPS_REMOVED, UNKNOWN_IS_ERROR, RESET_KEEPS, // 43
};
#ifndef FAULT
#define FAULT GOOD
#endif
