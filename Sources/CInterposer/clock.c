#include <time.h>

#include "internal.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

static uint64_t monotonic_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/// 1 when the processor's own counter runs at a constant rate on all cores; set once before main.
static int counter_is_steady;
static uint64_t first_ticks, first_nanoseconds;

__attribute__((constructor)) static void start_clock(void) {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    counter_is_steady = __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8)) != 0;
#elif defined(__aarch64__)
    counter_is_steady = 1;
#endif
    first_nanoseconds = monotonic_nanoseconds();
    first_ticks = clock_ticks();
}

uint64_t clock_ticks(void) {
#if defined(__x86_64__)
    if (counter_is_steady) return __rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#endif
    return monotonic_nanoseconds();
}

double clock_nanoseconds_per_tick(void) {
    if (!counter_is_steady) return 1;
    uint64_t ticks = clock_ticks() - first_ticks, nanoseconds = monotonic_nanoseconds() - first_nanoseconds;
    return ticks == 0 ? 1 : (double)nanoseconds / (double)ticks;
}
