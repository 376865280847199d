#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"
#include "support.h"

#define CLIENT_LIMIT 16
#define CHUNK 16384
#define INPUT_CHUNK 4096
#define EARLY_LIMIT 4096
#define EARLY_NANOSECONDS 30000000000

/// What an epoll event is about; clients carry their index above the low byte.
enum source { SOURCE_OUTPUT, SOURCE_ERROR, SOURCE_INPUT, SOURCE_SIGNALS, SOURCE_LISTENER,
              SOURCE_CONNECTION, SOURCE_CLIENT_INPUT, SOURCE_CLIENT_OUTPUT };

/// Somebody attached. While `held_size` is not zero it is slow, and the container's output waits for it.
struct client {
    int connection, input, output, error;
    int held_target;
    size_t held_size, held_at;
    char *held;
    uint8_t used, attached, input_watched;
};

static struct log_stream streams[2] = {{.name = "stdout"}, {.name = "stderr"}};
static int epoll = -1, listener = -1, input = -1, outputs[2] = {-1, -1};
static int terminal, input_once;
static struct client clients[CLIENT_LIMIT];
static int slow_clients;
static char input_held[INPUT_CHUNK];

/// What the container wrote before anybody attached, for the first who does: whoever starts one to talk to it comes a moment
/// after its first words. Given up when there is more of it, or when it has become old.
static struct {
    int is_over;
    int64_t until;
    size_t sizes[2];
    char bytes[2][EARLY_LIMIT];
} early;
static size_t input_held_size, input_held_at;

static void watch(int operation, int descriptor, uint32_t events, enum source source, int index)
{
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)source | (uint64_t)index << 8};
    if (descriptor >= 0)
        epoll_ctl(epoll, operation, descriptor, &event);
}

static void make_non_blocking(int descriptor)
{
    int flags = fcntl(descriptor, F_GETFL);
    if (flags >= 0)
        fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

static void make_pipe(int *reader, int *writer)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        fail(STEP_MONITOR, errno, "pipe");
    *reader = ends[0];
    *writer = ends[1];
}

struct stream_ends streams_prepare(int with_terminal, int standard_input)
{
    struct stream_ends ends = {-1, -1, -1};
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        fail(STEP_MONITOR, errno, "epoll");
    terminal = with_terminal;
    input_once = standard_input == 2;
    for (int index = 0; index < CLIENT_LIMIT; index++)
        clients[index] = (struct client){.connection = -1, .input = -1, .output = -1, .error = -1};
    if (terminal)
        return ends;
    make_pipe(&outputs[0], &ends.output);
    make_pipe(&outputs[1], &ends.error);
    make_non_blocking(outputs[0]);
    make_non_blocking(outputs[1]);
    if (standard_input) {
        make_pipe(&ends.input, &input);
        make_non_blocking(input);
    }
    return ends;
}

void streams_install(const struct stream_ends *ends)
{
    const int descriptors[3] = {ends->input, ends->output, ends->error};
    for (int index = 0; index < 3; index++)
        if (descriptors[index] >= 0 && dup2(descriptors[index], index) < 0)
            fail(STEP_MONITOR, errno, "standard streams");
}

void streams_close(const struct stream_ends *ends)
{
    if (ends->input >= 0)
        close(ends->input);
    if (ends->output >= 0)
        close(ends->output);
    if (ends->error >= 0)
        close(ends->error);
}

void streams_set_terminal(int master)
{
    make_non_blocking(master);
    outputs[0] = master;
    input = fcntl(master, F_DUPFD_CLOEXEC, 3);
}

static void watch_outputs(int operation)
{
    watch(operation, outputs[0], EPOLLIN, SOURCE_OUTPUT, 0);
    watch(operation, outputs[1], EPOLLIN, SOURCE_ERROR, 0);
}

void streams_watch(int signals, int listening_socket)
{
    listener = listening_socket;
    early.until = now_nanoseconds() + EARLY_NANOSECONDS;
    watch(EPOLL_CTL_ADD, signals, EPOLLIN, SOURCE_SIGNALS, 0);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, SOURCE_LISTENER, 0);
    watch_outputs(EPOLL_CTL_ADD);
}

/// Leaves epoll first: an entry outlives its descriptor while a duplicate of the file is open somewhere.
static void close_descriptor(int *descriptor)
{
    if (*descriptor >= 0) {
        watch(EPOLL_CTL_DEL, *descriptor, 0, SOURCE_OUTPUT, 0);
        close(*descriptor);
    }
    *descriptor = -1;
}

/// The client keeps up again (or is gone): the container's output flows on when nobody else is slow.
static void release_hold(struct client *client)
{
    if (client->held_size == 0)
        return;
    client->held_size = 0;
    if (--slow_clients == 0)
        watch_outputs(EPOLL_CTL_ADD);
}

static void drop_client(struct client *client)
{
    release_hold(client);
    free(client->held);
    close_descriptor(&client->connection);
    close_descriptor(&client->input);
    close_descriptor(&client->output);
    close_descriptor(&client->error);
    *client = (struct client){.connection = -1, .input = -1, .output = -1, .error = -1};
}

static void hold(struct client *client, int index, int target, const char *bytes, size_t size)
{
    if (!client->held)
        client->held = malloc(CHUNK);
    if (!client->held) {
        drop_client(client);
        return;
    }
    memcpy(client->held, bytes, size);
    client->held_size = size;
    client->held_at = 0;
    client->held_target = target;
    watch(EPOLL_CTL_ADD, target, EPOLLOUT, SOURCE_CLIENT_OUTPUT, index);
    if (slow_clients++ == 0)
        watch_outputs(EPOLL_CTL_DEL);
}

static void give(int index, int error_stream, const char *bytes, size_t size)
{
    struct client *client = &clients[index];
    int *target = error_stream ? &client->error : &client->output;
    if (*target < 0)
        return;
    ssize_t written = write(*target, bytes, size);
    if (written < 0 && errno != EAGAIN) {
        close_descriptor(target);
        if (client->output < 0 && client->error < 0)
            drop_client(client);
    } else if (written < (ssize_t)size) {
        size_t done = written < 0 ? 0 : (size_t)written;
        hold(client, index, *target, bytes + done, size - done);
    }
}

static void keep_early(int error_stream, const char *bytes, size_t size)
{
    if (early.is_over)
        return;
    if (size > EARLY_LIMIT - early.sizes[error_stream] || now_nanoseconds() > early.until) {
        early.is_over = 1;
        return;
    }
    memcpy(early.bytes[error_stream] + early.sizes[error_stream], bytes, size);
    early.sizes[error_stream] += size;
}

/// For a client that has just come, whose streams take so little at once.
static void give_early(int index)
{
    if (early.is_over || (clients[index].output < 0 && clients[index].error < 0))
        return;
    early.is_over = 1;
    if (now_nanoseconds() > early.until)
        return;
    for (int stream = 0; stream < 2; stream++)
        if (early.sizes[stream] && clients[index].held_size == 0)
            give(index, stream, early.bytes[stream], early.sizes[stream]);
}

/// Moves one chunk of output; 0 when there is none now, -1 at the end of the stream.
static int move_output(int error_stream)
{
    static char chunk[CHUNK];
    ssize_t size = read(outputs[error_stream], chunk, sizeof chunk);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (size <= 0) {
        close_descriptor(&outputs[error_stream]);
        return -1;
    }
    log_append(&streams[error_stream], chunk, (size_t)size);
    keep_early(error_stream, chunk, (size_t)size);
    for (int index = 0; index < CLIENT_LIMIT; index++)
        if (clients[index].attached)
            give(index, error_stream, chunk, (size_t)size);
    return 1;
}

static void continue_output(int index)
{
    struct client *client = &clients[index];
    if (client->held_size == 0)
        return;
    ssize_t written = write(client->held_target, client->held + client->held_at, client->held_size - client->held_at);
    if (written < 0 && errno == EAGAIN)
        return;
    if (written < 0) {
        drop_client(client);
        return;
    }
    client->held_at += (size_t)written;
    if (client->held_at < client->held_size)
        return;
    watch(EPOLL_CTL_DEL, client->held_target, 0, SOURCE_CLIENT_OUTPUT, index);
    release_hold(client);
}

static void watch_client_inputs(int operation)
{
    for (int index = 0; index < CLIENT_LIMIT; index++)
        if (clients[index].input >= 0 && clients[index].input_watched)
            watch(operation, clients[index].input, EPOLLIN, SOURCE_CLIENT_INPUT, index);
}

static void end_client_input(struct client *client)
{
    client->input_watched = 0;
    close_descriptor(&client->input);
    if (input_once && !terminal)
        close_descriptor(&input);
}

static void move_input(int index)
{
    struct client *client = &clients[index];
    if (input_held_size || client->input < 0)
        return;
    ssize_t size = read(client->input, input_held, sizeof input_held);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        end_client_input(client);
        return;
    }
    if (input < 0)
        return; // The container's input is closed: like a closed pipe, what is typed goes nowhere.
    ssize_t written = write(input, input_held, (size_t)size);
    if (written < 0 && errno != EAGAIN) {
        close_descriptor(&input);
    } else if (written < size) {
        input_held_size = (size_t)size;
        input_held_at = written < 0 ? 0 : (size_t)written;
        watch_client_inputs(EPOLL_CTL_DEL);
        watch(EPOLL_CTL_ADD, input, EPOLLOUT, SOURCE_INPUT, 0);
    }
}

static void continue_input(void)
{
    ssize_t written = write(input, input_held + input_held_at, input_held_size - input_held_at);
    if (written < 0 && errno == EAGAIN)
        return;
    if (written >= 0 && (input_held_at += (size_t)written) < input_held_size)
        return;
    input_held_size = 0;
    watch(EPOLL_CTL_DEL, input, 0, SOURCE_INPUT, 0);
    if (written < 0)
        close_descriptor(&input);
    watch_client_inputs(EPOLL_CTL_ADD);
}

static void accept_client(void)
{
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0)
        return;
    for (int index = 0; index < CLIENT_LIMIT; index++) {
        if (clients[index].used)
            continue;
        clients[index].used = 1;
        clients[index].connection = connection;
        watch(EPOLL_CTL_ADD, connection, EPOLLIN, SOURCE_CONNECTION, index);
        return;
    }
    int32_t answer = EUSERS;
    send(connection, &answer, sizeof answer, MSG_NOSIGNAL);
    close(connection);
}

ssize_t receive_packet(int socket, void *bytes, size_t size, int *descriptors, int capacity)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
    ssize_t received;
    do
        received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received < 0)
        return received;
    int taken = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        int count = (int)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int index = 0; head->cmsg_type == SCM_RIGHTS && index < count; index++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(head) + (size_t)index * sizeof(int), sizeof descriptor);
            if (taken < capacity)
                descriptors[taken++] = descriptor;
            else
                close(descriptor);
        }
    }
    return received;
}

static int attach(int index, unsigned flags, const int descriptors[3])
{
    struct client *client = &clients[index];
    int *ends[3] = {&client->input, &client->output, &client->error};
    int next = 0;
    for (int end = 0; end < 3; end++) {
        if (!(flags & 1u << end) || descriptors[next] < 0)
            continue;
        *ends[end] = descriptors[next++];
        make_non_blocking(*ends[end]);
    }
    if (terminal && client->input >= 0) {
        close_descriptor(&client->output);
        close_descriptor(&client->error);
        client->output = fcntl(client->input, F_DUPFD_CLOEXEC, 3);
    }
    client->attached = 1;
    if (client->input >= 0) {
        struct epoll_event event = {
            .events = input_held_size ? 0 : EPOLLIN, .data.u64 = SOURCE_CLIENT_INPUT | (uint64_t)index << 8};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, client->input, &event) < 0)
            return errno;
        client->input_watched = 1;
    }
    give_early(index);
    return 0;
}

static int resize(const uint8_t *bytes)
{
    uint16_t numbers[2];
    memcpy(numbers, bytes, sizeof numbers);
    struct winsize size = {.ws_col = numbers[0], .ws_row = numbers[1]};
    return !terminal || outputs[0] < 0 ? ENOTTY : ioctl(outputs[0], TIOCSWINSZ, &size) < 0 ? errno : 0;
}

static void serve(int index)
{
    struct client *client = &clients[index];
    uint8_t packet[16];
    int descriptors[3] = {-1, -1, -1};
    ssize_t size = receive_packet(client->connection, packet, sizeof packet, descriptors, 3);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0) {
        drop_client(client);
        return;
    }
    int32_t answer = EINVAL;
    int keep = 0;
    if (packet[0] == COMMAND_ATTACH && size == 2 && !client->attached) {
        answer = attach(index, packet[1], descriptors);
        keep = 1;
    } else if (packet[0] == COMMAND_RESIZE && size == 5) {
        answer = resize(packet + 1);
    } else if (packet[0] == COMMAND_REOPEN) {
        answer = monitor_reopen_log();
    }
    for (int end = 0; end < 3 && !keep; end++)
        close_descriptor(&descriptors[end]);
    if (send(client->connection, &answer, sizeof answer, MSG_NOSIGNAL) < 0 || (keep && answer))
        drop_client(client);
}

static void dispatch(enum source source, int index)
{
    switch (source) {
    case SOURCE_OUTPUT:
    case SOURCE_ERROR:
        if (slow_clients == 0 && outputs[source == SOURCE_ERROR] >= 0)
            move_output(source == SOURCE_ERROR);
        return;
    case SOURCE_INPUT:
        continue_input();
        return;
    case SOURCE_LISTENER:
        accept_client();
        return;
    case SOURCE_CONNECTION:
        if (clients[index].connection >= 0)
            serve(index);
        return;
    case SOURCE_CLIENT_INPUT:
        move_input(index);
        return;
    case SOURCE_CLIENT_OUTPUT:
        continue_output(index);
        return;
    case SOURCE_SIGNALS:
        return;
    }
}

int streams_turn(int timeout_milliseconds)
{
    struct epoll_event events[8];
    int count = epoll_wait(epoll, events, 8, timeout_milliseconds);
    int signalled = 0;
    for (int at = 0; at < count; at++) {
        enum source source = (enum source)(events[at].data.u64 & 0xff);
        signalled |= source == SOURCE_SIGNALS;
        dispatch(source, (int)(events[at].data.u64 >> 8));
    }
    return signalled;
}

void streams_finish(int timeout_milliseconds)
{
    int64_t end = now_nanoseconds() + (int64_t)timeout_milliseconds * 1000000;
    for (int stream = 0; stream < 2; stream++) {
        while (outputs[stream] >= 0) {
            if (slow_clients && now_nanoseconds() < end) {
                streams_turn(10);
                continue;
            }
            for (int index = 0; slow_clients && index < CLIENT_LIMIT; index++)
                if (clients[index].held_size)
                    drop_client(&clients[index]);
            if (move_output(stream) <= 0)
                break;
        }
        log_finish(&streams[stream]);
    }
    while (slow_clients && now_nanoseconds() < end)
        streams_turn(10);
}
