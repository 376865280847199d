/// A further process in a running container.
#ifndef CONTAINER_INIT_EXEC_H
#define CONTAINER_INIT_EXEC_H

/// Standard streams 0–2 are the process' own, or with a terminal 0 is a stream that carries it both ways. Reports
/// started, then exited. The end of the control socket (descriptor 5) kills the process.
int exec_main(void);

#endif
