#define _GNU_SOURCE // memfd_create
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "layout.h"

#ifndef MFD_NOEXEC_SEAL // Linux 6.3
#define MFD_NOEXEC_SEAL 8u
#endif

/// A memory file of a fixed size: sealed, so that no side can cut it under the other and make its reads fail.
static int32_t make_memory(uint32_t lanes, int32_t *memory) {
    int file = memfd_create("hostd-isolation", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (file < 0 && errno == EINVAL) file = memfd_create("hostd-isolation", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0) return -errno;
    struct layout_head head = {.magic = LAYOUT_MAGIC, .version = LAYOUT_VERSION, .lanes = lanes};
    if (ftruncate(file, (off_t)layout_size(lanes)) != 0 || pwrite(file, &head, sizeof head, 0) != (ssize_t)sizeof head ||
        fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        int code = errno;
        close(file);
        return -code;
    }
    *memory = file;
    return 0;
}

int32_t isolation_channel_create(isolation_channel *channel, uint32_t lanes) {
    if (lanes == 0) lanes = LAYOUT_LANES_DEFAULT;
    if (lanes < LAYOUT_LANES_MINIMUM || lanes > LAYOUT_LANES_LIMIT) return -EINVAL;
    int32_t status = make_memory(lanes, &channel->memory);
    if (status != 0) return status;
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        int code = errno;
        close(channel->memory);
        return -code;
    }
    channel->host_socket = sockets[0];
    channel->child_socket = sockets[1];
    return 0;
}

void isolation_child_failed(int32_t socket, const char *sentence) {
    struct layout_notice notice = {.kind = LAYOUT_NOTICE_FAILED};
    struct iovec parts[] = {{.iov_base = &notice, .iov_len = sizeof notice},
                            {.iov_base = (void *)sentence, .iov_len = strnlen(sentence, LAYOUT_TEXT_LIMIT)}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    // Where this fails the host sees the end of the process all the same.
    while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {}
}
