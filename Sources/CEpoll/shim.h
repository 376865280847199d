/// Linux's epoll and eventfd, and GNU functions, which the Glibc module does not offer.
#pragma once
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

extern int accept4(int descriptor, struct sockaddr *address, socklen_t *size, int flags);
extern void *memmem(const void *haystack, size_t haystack_size, const void *needle, size_t needle_size);
extern int pthread_setname_np(pthread_t thread, const char *name);

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
    syscall(SYS_sched_setattr, 0, &attributes, 0);
}
