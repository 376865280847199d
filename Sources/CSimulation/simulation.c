#define _GNU_SOURCE
#include "simulation.h"

#include <sched.h>
#include <unistd.h>

int32_t simulation_fork(void) {
    return fork();
}

void simulation_stay_on(int32_t processor) {
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    int32_t left = processor % CPU_COUNT(&allowed);
    for (int candidate = 0; candidate < CPU_SETSIZE; candidate++) {
        if (!CPU_ISSET(candidate, &allowed) || left-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(candidate, &one);
        sched_setaffinity(0, sizeof one, &one);
        return;
    }
}
