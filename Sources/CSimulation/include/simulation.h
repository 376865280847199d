/// What the simulation needs from C.
#ifndef SIMULATION_H
#define SIMULATION_H

#include <stdint.h>

/// `fork`, for a process that has one thread.
int32_t simulation_fork(void);
/// Keeps the calling process on one processor: its threads take turns, so two would only wake each other slowly.
void simulation_stay_on(int32_t processor);

#endif
