/// When a thread has its turn: sched_setattr(2), which libc does not have.
#pragma once
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Asks the scheduler for turns of so many nanoseconds for the calling thread: the shorter they are, the sooner one comes after
/// the thread wakes up (EEVDF, Linux 6.12 on; otherwise without effect). What the thread starts does not inherit it.
static inline void hostd_thread_turns(uint64_t nanoseconds) {
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = {.size = sizeof attributes, .flags = 1 /* SCHED_FLAG_RESET_ON_FORK */, .runtime = nanoseconds};
    attributes.nice = getpriority(PRIO_PROCESS, 0);
    // A kernel that cannot leaves the turns as they are.
    syscall(SYS_sched_setattr, 0, &attributes, 0);
}
