/// Standard streams of the container: pipes or a terminal on one side, the log and attached clients on the other.
#ifndef CONTAINER_INIT_STREAMS_H
#define CONTAINER_INIT_STREAMS_H

#include <stddef.h>
#include <sys/types.h>

/// The child's ends; -1 where it gets /dev/null or the terminal.
struct stream_ends {
    int input, output, error;
};

struct stream_ends streams_prepare(int terminal, int standard_input);
/// In the child: makes the ends its standard streams.
void streams_install(const struct stream_ends *ends);
void streams_close(const struct stream_ends *ends);
void streams_set_terminal(int master);
void streams_watch(int signals, int listener);
/// One round of events; nonzero when `signals` is readable.
int streams_turn(int timeout_milliseconds);
void streams_finish(int timeout_milliseconds);

/// One packet with up to `capacity` descriptors; descriptors beyond it are closed. The result is recvmsg's.
ssize_t receive_packet(int socket, void *bytes, size_t size, int *descriptors, int capacity);

#endif
