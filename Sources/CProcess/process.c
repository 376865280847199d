#define _GNU_SOURCE
#include "process.h"

#include <malloc.h>
#include <sched.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/vfs.h>

int process_accept(int socket) { return accept4(socket, NULL, NULL, SOCK_CLOEXEC); }

int process_peer(int connection, uint32_t *user_id, int32_t *process_id) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return -1;
    *user_id = peer.uid;
    *process_id = peer.pid;
    return 0;
}

void process_limit_allocator(void) {
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
}

int process_enter_network_namespace(int descriptor) { return setns(descriptor, CLONE_NEWNET); }

uint64_t process_file_system_magic(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 ? (uint32_t)status.f_type : 0;
}
