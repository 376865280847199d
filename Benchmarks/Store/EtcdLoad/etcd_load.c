#define _GNU_SOURCE
#include "etcd_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { KEY_SIZE = 24 };

struct run;

/// A put that is under way, and the message that it sends.
typedef struct put {
    uint8_t *message;
    size_t size;
    size_t sent;
    uint64_t started;
    int is_answered; ///< grpc-status 0 has come.
} put;

typedef struct connection {
    struct run *run;
    int socket;
    nghttp2_session *session;
    const uint8_t *output; ///< What the session has given and the socket not yet taken.
    size_t output_size;
    put *puts;
} connection;

typedef struct run {
    const etcd_load *load;
    connection connections[64];
    uint64_t *latencies;
    size_t capacity;
    uint64_t count;
    uint64_t number;
    uint64_t deadline;
    uint32_t open;
    char *error;
    size_t error_size;
    int has_failed;
} run;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

__attribute__((format(printf, 2, 3))) static int fail(run *run, const char *format, ...) {
    if (!run->has_failed) {
        run->has_failed = 1;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(run->error, run->error_size, format, arguments);
        va_end(arguments);
    }
    return -1;
}

static size_t varint(uint8_t *to, uint64_t value) {
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        to[size++] = (uint8_t)(value | 0x80);
    to[size++] = (uint8_t)value;
    return size;
}

/// A gRPC message with a PutRequest: the key as field 1, whose digits are filled in later, and the value as field 2.
static int make_message(run *run, put *put) {
    size_t prefix = strlen(run->load->prefix);
    uint8_t *bytes = malloc(5 + 32 + prefix + KEY_SIZE + run->load->value_size);
    if (!bytes)
        return fail(run, "no memory for a put");
    uint8_t *end = bytes + 5;
    *end++ = 0x0A;
    end += varint(end, prefix + KEY_SIZE);
    memcpy(end, run->load->prefix, prefix);
    end += prefix + KEY_SIZE;
    *end++ = 0x12;
    end += varint(end, run->load->value_size);
    memset(end, 'a', run->load->value_size);
    end += run->load->value_size;
    uint32_t size = htonl((uint32_t)(end - bytes - 5));
    bytes[0] = 0;
    memcpy(bytes + 1, &size, 4);
    put->message = bytes;
    put->size = (size_t)(end - bytes);
    return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t length, uint32_t *flags,
                         nghttp2_data_source *source, void *user) {
    (void)session, (void)stream, (void)user;
    put *put = source->ptr;
    size_t rest = put->size - put->sent;
    size_t count = rest < length ? rest : length;
    memcpy(buffer, put->message + put->sent, count);
    put->sent += count;
    if (put->sent == put->size)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)count;
}

#define FIELD(name, value)                                                                                             \
    {(uint8_t *)name, (uint8_t *)value, sizeof name - 1, sizeof value - 1, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE}

static int begin_put(connection *connection, put *put) {
    static const nghttp2_nv fields[] = {
        FIELD(":method", "POST"),         FIELD(":scheme", "http"),
        FIELD(":path", "/etcdserverpb.KV/Put"), FIELD(":authority", "etcd"),
        FIELD("te", "trailers"),          FIELD("content-type", "application/grpc"),
    };
    run *run = connection->run;
    char digits[KEY_SIZE + 1];
    snprintf(digits, sizeof digits, "%0*llu", KEY_SIZE, (unsigned long long)run->number++);
    size_t prefix = strlen(run->load->prefix);
    size_t key = 5 + 1 + (prefix + KEY_SIZE < 0x80 ? 1 : 2) + prefix;
    memcpy(put->message + key, digits, KEY_SIZE);
    put->sent = 0;
    put->is_answered = 0;
    put->started = now();
    nghttp2_data_provider provider = {.source.ptr = put, .read_callback = read_body};
    int32_t stream = nghttp2_submit_request(connection->session, NULL, fields, sizeof fields / sizeof *fields, &provider, put);
    if (stream < 0)
        return fail(run, "a put cannot be sent: %s", nghttp2_strerror(stream));
    run->open++;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
                     const uint8_t *value, size_t value_size, uint8_t flags, void *user) {
    (void)flags;
    connection *connection = user;
    put *put = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!put || name_size != 11 || memcmp(name, "grpc-status", 11))
        return 0;
    put->is_answered = value_size == 1 && *value == '0';
    if (!put->is_answered)
        fail(connection->run, "etcd refused a put: grpc-status %.*s", (int)value_size, (const char *)value);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *user) {
    connection *connection = user;
    run *run = connection->run;
    put *put = nghttp2_session_get_stream_user_data(session, stream);
    if (!put)
        return 0;
    run->open--;
    if (!put->is_answered)
        return fail(run, "a put had no answer: %s", nghttp2_http2_strerror(code)), 0;
    uint64_t time = now();
    if (run->count < run->capacity)
        run->latencies[run->count] = time - put->started;
    run->count++;
    if (time < run->deadline)
        begin_put(connection, put);
    return 0;
}

static int begin_connection(run *run, connection *connection) {
    connection->run = run;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(run->load->port)};
    if (inet_pton(AF_INET, run->load->host, &address.sin_addr) != 1)
        return fail(run, "%s is not an IPv4 address", run->load->host);
    connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->socket < 0 || connect(connection->socket, (struct sockaddr *)&address, sizeof address))
        return fail(run, "etcd at %s:%u cannot be reached: %s", run->load->host, run->load->port, strerror(errno));
    int one = 1;
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(connection->socket, F_SETFL, O_NONBLOCK);

    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks))
        return fail(run, "no memory for a connection");
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    int result = nghttp2_session_client_new(&connection->session, callbacks, connection);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20};
    if (result || nghttp2_submit_settings(connection->session, 0, &settings, 1))
        return fail(run, "no memory for a connection");
    connection->puts = calloc(run->load->in_flight, sizeof *connection->puts);
    if (!connection->puts)
        return fail(run, "no memory for the puts");
    for (uint32_t i = 0; i < run->load->in_flight; i++)
        if (make_message(run, &connection->puts[i]) || begin_put(connection, &connection->puts[i]))
            return -1;
    return 0;
}

/// Brings what the session has to say to the socket. Whether it waits for room: 1, else 0; -1 on failure.
static int send_all(connection *connection) {
    while (1) {
        if (!connection->output_size) {
            ssize_t size = nghttp2_session_mem_send(connection->session, &connection->output);
            if (size < 0)
                return fail(connection->run, "HTTP/2 failed: %s", nghttp2_strerror((int)size));
            if (size == 0)
                return 0;
            connection->output_size = (size_t)size;
        }
        ssize_t sent = write(connection->socket, connection->output, connection->output_size);
        if (sent < 0 && errno == EAGAIN)
            return 1;
        if (sent < 0 && errno != EINTR)
            return fail(connection->run, "write to etcd: %s", strerror(errno));
        if (sent > 0) {
            connection->output += sent;
            connection->output_size -= (size_t)sent;
        }
    }
}

static int receive(connection *connection) {
    uint8_t buffer[64 << 10];
    while (1) {
        ssize_t size = read(connection->socket, buffer, sizeof buffer);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN)
            return 0;
        if (size <= 0)
            return fail(connection->run, "etcd ended a connection: %s", size ? strerror(errno) : "end of stream");
        ssize_t taken = nghttp2_session_mem_recv(connection->session, buffer, (size_t)size);
        if (taken < 0)
            return fail(connection->run, "HTTP/2 failed: %s", nghttp2_strerror((int)taken));
        if (size < (ssize_t)sizeof buffer)
            return 0;
    }
}

static int drive(run *run) {
    uint32_t count = run->load->connections;
    struct pollfd files[64];
    while (run->open && !run->has_failed) {
        for (uint32_t i = 0; i < count; i++) {
            int waits = send_all(&run->connections[i]);
            files[i] = (struct pollfd){run->connections[i].socket, (short)(POLLIN | (waits ? POLLOUT : 0)), 0};
        }
        int ready = poll(files, count, 10000);
        if (ready == 0)
            return fail(run, "etcd has not answered for 10 s");
        for (uint32_t i = 0; i < count && ready > 0; i++)
            if (files[i].revents & ~POLLOUT)
                receive(&run->connections[i]);
    }
    return run->has_failed ? -1 : 0;
}

int64_t etcd_load_run(const etcd_load *load, uint64_t *latencies, size_t capacity, char *error, size_t error_size) {
    run *run = calloc(1, sizeof *run);
    if (!run)
        return snprintf(error, error_size, "no memory for a run"), -1;
    run->load = load;
    run->latencies = latencies;
    run->capacity = capacity;
    run->error = error;
    run->error_size = error_size;
    run->deadline = now() + load->nanoseconds;
    for (uint32_t i = 0; i < 64; i++)
        run->connections[i].socket = -1;
    if (load->connections < 1 || load->connections > 64 || load->in_flight < 1 || load->in_flight > 256 ||
        load->value_size > 1 << 20)
        fail(run, "1 to 64 connections, 1 to 256 puts on each, values up to 1 MiB");
    for (uint32_t i = 0; i < load->connections && !run->has_failed; i++)
        begin_connection(run, &run->connections[i]);
    int result = run->has_failed ? -1 : drive(run);
    int64_t count = result ? -1 : (int64_t)run->count;
    for (uint32_t i = 0; i < 64; i++) {
        connection *connection = &run->connections[i];
        if (connection->socket >= 0)
            close(connection->socket);
        if (connection->session)
            nghttp2_session_del(connection->session);
        for (uint32_t j = 0; connection->puts && j < load->in_flight; j++)
            free(connection->puts[j].message);
        free(connection->puts);
    }
    free(run);
    return count;
}
