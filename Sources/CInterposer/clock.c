#include <time.h>

#include "internal.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

uint64_t clock_monotonic_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int clock_is_steady;
static uint64_t first_ticks, first_nanoseconds;

__attribute__((constructor)) static void start_clock(void) {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    clock_is_steady = __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8)) != 0;
#elif defined(__aarch64__)
    clock_is_steady = 1;
#endif
    first_nanoseconds = clock_monotonic_nanoseconds();
    first_ticks = clock_ticks();
}

double clock_nanoseconds_per_tick(void) {
    if (!clock_is_steady) return 1;
    uint64_t ticks = clock_ticks() - first_ticks, nanoseconds = clock_monotonic_nanoseconds() - first_nanoseconds;
    return ticks == 0 ? 1 : (double)nanoseconds / (double)ticks;
}
