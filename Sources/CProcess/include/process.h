/// Calls that Swift's Glibc module does not show.
#ifndef HOSTD_PROCESS_H
#define HOSTD_PROCESS_H

#include <stdint.h>

/// accept4(2) with SOCK_CLOEXEC: the connection, or -1 with errno.
int process_accept(int socket);

/// The user and process at the other end of a connection (SO_PEERCRED of unix(7)): 0, or -1 with errno.
int process_peer(int connection, uint32_t *user_id, int32_t *process_id);

/// Bounds the allocator: at most two arenas, however many threads there are, and free memory goes back early.
void process_limit_allocator(void);

/// Moves the calling thread into the network namespace that the descriptor is open on: 0, or -1 with errno.
int process_enter_network_namespace(int descriptor);

/// The magic number of the file system that a path is on (linux/magic.h); 0 when it cannot be told.
uint64_t process_file_system_magic(const char *path);

#endif
