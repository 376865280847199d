// The faults of volume.c, by the rule of docs/abi.md that each breaks. GOOD breaks none.
enum {
    GOOD,
    MAKES_ANOTHER, DELETES_ONCE, UNPUBLISHES_ONCE, // 50
    LOSES_DATA, LEAVES_DATA, // 51
};
#ifndef FAULT
#define FAULT GOOD
#endif
