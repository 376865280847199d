#define _GNU_SOURCE
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int process_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int start(pid_t *process, const char *path, char *const *arguments, char *const *environment, const int files[3]) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int failure = posix_spawn_file_actions_init(&actions);
    if (failure) return failure;
    failure = posix_spawnattr_init(&attributes);
    for (int number = 0; !failure && number < 3; number++)
        failure = posix_spawn_file_actions_adddup2(&actions, files[number], number);
    if (!failure) failure = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (!failure) failure = posix_spawnattr_setsigmask(&attributes, &none);
    if (!failure) failure = posix_spawnattr_setsigdefault(&attributes, &all);
    if (!failure) failure = posix_spawnattr_setpgroup(&attributes, 0);
    if (!failure)
        failure = posix_spawnattr_setflags(
            &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    if (!failure) failure = posix_spawn(process, path, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failure;
}

/// Waits for the end of a process: 0, or ETIMEDOUT.
static int wait_until(int descriptor, int64_t deadline) {
    struct pollfd end = {.fd = descriptor, .events = POLLIN};
    for (;;) {
        int64_t left = deadline - now_ms();
        int ready = poll(&end, 1, left > 0 ? (int)(left < 3600000 ? left : 3600000) : 0);
        if (ready > 0) return 0;
        if (ready == 0 && left <= 0) return ETIMEDOUT;
        if (ready < 0 && errno != EINTR) return errno;
    }
}

int process_run(const char *path, char *const *arguments, char *const *environment, int input, int output, int error,
                int64_t limit_ms, int32_t *status) {
    int64_t deadline = now_ms() + limit_ms;
    pid_t process = 0;
    int failure = start(&process, path, arguments, environment, (const int[3]){input, output, error});
    if (failure) return failure;
    int descriptor = (int)syscall(SYS_pidfd_open, process, 0);
    failure = descriptor < 0 ? errno : wait_until(descriptor, deadline);
    if (failure) kill(-process, SIGKILL);
    if (descriptor >= 0) close(descriptor);
    siginfo_t information = {0};
    while (waitid(P_PID, (id_t)process, &information, WEXITED) != 0 && errno == EINTR) {}
    *status = information.si_code == CLD_EXITED ? information.si_status : 128 + information.si_status;
    return failure;
}
