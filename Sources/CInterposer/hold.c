#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

/// Time of the futex, which waits on the monotonic clock.
static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/// When a call that waits gives up: after the limit, or at its own deadline if that comes first.
static uint64_t end_of_wait(const closure_slot *slot, void **arguments) {
    uint64_t now = now_ns(), limit = atomic_load(&slot->binding->hold_limit_ns);
    uint64_t end = limit > UINT64_MAX - now ? UINT64_MAX : now + limit;
    if (slot->signature->deadline < 0) return end;
    uint64_t deadline = *(const uint64_t *)arguments[slot->signature->deadline];
    return deadline != 0 && deadline < end ? deadline : end;
}

interposer_target *await_target(const closure_slot *slot, void **arguments) {
    struct interposer_binding *binding = slot->binding;
    uint64_t end = end_of_wait(slot, arguments);
    struct timespec limit = {.tv_sec = (time_t)(end / 1000000000), .tv_nsec = (long)(end % 1000000000)};
    atomic_fetch_add(&binding->held, 1);
    interposer_target *target;
    for (int is_over = 0;;) {
        uint32_t turn = atomic_load(&binding->turn);
        target = pin_current(binding);
        if (target != HELD || is_over) break;
        long status = syscall(SYS_futex, &binding->turn, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, turn, &limit, NULL,
                              FUTEX_BITSET_MATCH_ANY);
        is_over = status != 0 && errno == ETIMEDOUT; // Looks once more, for a target that came at the last moment.
    }
    atomic_fetch_sub(&binding->held, 1);
    return target == HELD ? NULL : target;
}

void interposer_binding_hold(interposer_binding *binding, uint64_t limit_ns) {
    atomic_store(&binding->hold_limit_ns, limit_ns);
    atomic_store(&binding->current, HELD);
}

uint32_t interposer_binding_held(const interposer_binding *binding) {
    return atomic_load(&((interposer_binding *)binding)->held);
}

interposer_target *interposer_binding_set(interposer_binding *binding, interposer_target *target) {
    interposer_target *previous = atomic_exchange(&binding->current, target);
    if (previous != HELD) return previous;
    atomic_fetch_add(&binding->turn, 1);
    syscall(SYS_futex, &binding->turn, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    return NULL;
}
