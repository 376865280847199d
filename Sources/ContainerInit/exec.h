/// A further process in a running container.
#ifndef CONTAINER_INIT_EXEC_H
#define CONTAINER_INIT_EXEC_H

#include <sys/types.h>

/// Standard streams 0–2 are the process' own, or with a terminal 0 is a stream that carries it both ways. Reports
/// started, then exited. The end of the control socket (descriptor 5) kills the process.
int exec_main(void);

/// Looks after a started process until its end, and reports that.
/// - Parameter ended: its pidfd. - Parameter terminal: the master of its terminal, or -1.
int exec_finish(pid_t process, int ended, int terminal);

#endif
