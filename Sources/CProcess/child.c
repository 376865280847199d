#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"

int process_descriptor(int32_t process_id) { return (int)syscall(SYS_pidfd_open, process_id, 0); }

int process_kill(int descriptor) { return (int)syscall(SYS_pidfd_send_signal, descriptor, SIGKILL, NULL, 0); }

int process_event(void) { return eventfd(0, EFD_CLOEXEC); }

int process_wait(int descriptor, int32_t *was_signal, int32_t *status) {
    siginfo_t information = {0};
    int result;
    do result = waitid(P_PIDFD, (id_t)descriptor, &information, WEXITED);
    while (result != 0 && errno == EINTR);
    if (result != 0) return -1;
    *was_signal = information.si_code != CLD_EXITED;
    *status = information.si_status;
    return 0;
}
