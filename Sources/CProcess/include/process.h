/// Calls that Swift's Glibc module does not show.
#ifndef HOSTD_PROCESS_H
#define HOSTD_PROCESS_H

#include <stdint.h>

/// accept4(2) with SOCK_CLOEXEC: the connection, or -1 with errno.
int process_accept(int socket);

/// The user and process at the other end of a connection (SO_PEERCRED of unix(7)): 0, or -1 with errno.
int process_peer(int connection, uint32_t *user_id, int32_t *process_id);

/// Bounds glibc's allocator, where it is the one: at most two arenas, however many threads there are, and free memory goes back early.
void process_limit_allocator(void);

/// Moves the calling thread into the network namespace that the descriptor is open on: 0, or -1 with errno.
int process_enter_network_namespace(int descriptor);

/// The magic number of the file system that a path is on (linux/magic.h); 0 when it cannot be told.
uint64_t process_file_system_magic(const char *path);

/// pidfd_open(2): a descriptor of a process, readable when that has ended, or -1 with errno.
int process_descriptor(int32_t process_id);

/// Sends SIGKILL through the descriptor of a process: 0, or -1 with errno (ESRCH: it has been waited for).
int process_kill(int descriptor);

/// eventfd(2): a counter that poll can wait for, or -1 with errno.
int process_event(void);

/// Waits for the end of a child and takes its remains: 0, or -1 with errno. `*was_signal` says what `*status` is, a signal or
/// an exit code.
int process_wait(int descriptor, int32_t *was_signal, int32_t *status);

/// A file in memory that a program run by `process_run` can read or write; closed on exec. -1 with errno.
int process_memory_file(const char *name);

/// Runs a program to its end in a process group of its own, with default signals, in the calling thread's namespaces.
/// `arguments` and `environment` end with NULL; standard input, output and error become the three descriptors.
/// Returns 0 and the status of waitid's siginfo in `status` (128 + signal when a signal ended it); ETIMEDOUT when it ran
/// past `limit_ms` (its group is killed then); or the errno of starting it.
int process_run(const char *path, char *const *arguments, char *const *environment, int input, int output, int error,
                int64_t limit_ms, int32_t *status);

#endif
