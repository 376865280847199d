#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugin_check.h"

/// Bytes of a message that are kept.
#define KEPT (4u << 20)

typedef struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
} waiter;

static void waiter_start(waiter *waiter) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&waiter->lock, NULL);
    pthread_cond_init(&waiter->changed, &attributes);
}

static struct timespec after(uint64_t nanoseconds) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t total = (uint64_t)now.tv_nsec + nanoseconds;
    now.tv_sec += (time_t)(total / 1000000000);
    now.tv_nsec = (long)(total % 1000000000);
    return now;
}

static uint8_t *copy_of(const uint8_t *data, uint64_t size) {
    uint64_t kept = size < KEPT ? size : KEPT;
    if (data == NULL || kept == 0) return NULL;
    uint8_t *copy = malloc(kept);
    if (copy == NULL) abort();
    return memcpy(copy, data, kept);
}

// MARK: Completions

struct check_operation {
    waiter waiter;
    uint32_t count;
    int32_t status;
    int32_t has_wrong_error;
    uint8_t *data;
    uint64_t size;
};

check_operation *check_operation_create(void) {
    check_operation *operation = calloc(1, sizeof *operation);
    if (operation == NULL) abort();
    waiter_start(&operation->waiter);
    return operation;
}

void check_operation_completion(void *context, int32_t status, const uint8_t *data, uint64_t size,
                                const hostd_error *error) {
    check_operation *operation = context;
    uint8_t *copy = copy_of(data, size);
    uint64_t message = error == NULL || error->message.data == NULL ? 0 : check_hash(error->message.data, error->message.size);
    (void)message; // Read, so that a message that is not there is found out here.
    pthread_mutex_lock(&operation->waiter.lock);
    if (operation->count++ == 0) {
        operation->status = status;
        operation->data = copy;
        operation->size = copy == NULL ? 0 : size < KEPT ? size : KEPT;
        operation->has_wrong_error = (status < 0) != (error != NULL);
    }
    pthread_cond_broadcast(&operation->waiter.changed);
    pthread_mutex_unlock(&operation->waiter.lock);
}

uint32_t check_operation_wait(check_operation *operation, uint32_t count, uint64_t timeout_ns) {
    struct timespec limit = after(timeout_ns);
    pthread_mutex_lock(&operation->waiter.lock);
    while (operation->count < count &&
           pthread_cond_timedwait(&operation->waiter.changed, &operation->waiter.lock, &limit) == 0) {}
    uint32_t result = operation->count;
    pthread_mutex_unlock(&operation->waiter.lock);
    return result;
}

int32_t check_operation_status(check_operation *operation) { return operation->status; }
int32_t check_operation_has_wrong_error(check_operation *operation) { return operation->has_wrong_error; }
const uint8_t *check_operation_data(check_operation *operation, uint64_t *size) {
    *size = operation->size;
    return operation->data;
}

// MARK: Streams

struct check_stream {
    waiter waiter;
    _Atomic(uint32_t) inside;
    _Atomic(uint64_t) linger;
    check_stream_state state;
    uint32_t is_cancelled;
    check_message *messages;
    uint64_t room;
};

check_stream *check_stream_create(void) {
    check_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) abort();
    waiter_start(&stream->waiter);
    return stream;
}

static void keep(check_stream *stream, uint32_t kind, const uint8_t *data, uint64_t size) {
    if (stream->state.messages == stream->room) {
        stream->room = stream->room == 0 ? 64 : stream->room * 2;
        stream->messages = realloc(stream->messages, stream->room * sizeof *stream->messages);
        if (stream->messages == NULL) abort();
    }
    uint8_t *copy = copy_of(data, size);
    stream->messages[stream->state.messages++] =
        (check_message){.kind = kind, .data = copy, .size = copy == NULL ? 0 : size < KEPT ? size : KEPT};
}

void check_stream_sink(void *context, uint32_t kind, const uint8_t *data, uint64_t size) {
    check_stream *stream = context;
    uint32_t others = atomic_fetch_add(&stream->inside, 1);
    uint64_t linger = atomic_load(&stream->linger);
    if (linger > 0) {
        struct timespec time = {.tv_sec = (time_t)(linger / 1000000000), .tv_nsec = (long)(linger % 1000000000)};
        nanosleep(&time, NULL);
    }
    pthread_mutex_lock(&stream->waiter.lock);
    stream->state.overlapping += others > 0;
    stream->state.after_end += stream->state.ended;
    stream->state.after_cancel += stream->is_cancelled;
    stream->state.unknown_kinds += kind < HOSTD_SINK_DATA || kind > HOSTD_SINK_PROGRESS;
    if (kind == HOSTD_SINK_END || kind == HOSTD_SINK_RESYNC) stream->state.ended = 1;
    keep(stream, kind, data, size);
    pthread_cond_broadcast(&stream->waiter.changed);
    pthread_mutex_unlock(&stream->waiter.lock);
    atomic_fetch_sub(&stream->inside, 1);
}

void check_stream_cancelled(check_stream *stream) {
    pthread_mutex_lock(&stream->waiter.lock);
    // A call that is inside while the cancel returns has come too late as well.
    stream->state.after_cancel += atomic_load(&stream->inside);
    stream->is_cancelled = 1;
    pthread_mutex_unlock(&stream->waiter.lock);
}

void check_stream_look(check_stream *stream, check_stream_state *state) {
    pthread_mutex_lock(&stream->waiter.lock);
    *state = stream->state;
    state->inside = atomic_load(&stream->inside);
    pthread_mutex_unlock(&stream->waiter.lock);
}

int32_t check_stream_message(check_stream *stream, uint64_t index, check_message *message) {
    pthread_mutex_lock(&stream->waiter.lock);
    int32_t has = index < stream->state.messages;
    if (has) *message = stream->messages[index];
    pthread_mutex_unlock(&stream->waiter.lock);
    return has;
}

uint64_t check_stream_wait(check_stream *stream, uint64_t count, uint64_t timeout_ns) {
    struct timespec limit = after(timeout_ns);
    pthread_mutex_lock(&stream->waiter.lock);
    while (stream->state.messages < count &&
           pthread_cond_timedwait(&stream->waiter.changed, &stream->waiter.lock, &limit) == 0) {}
    uint64_t result = stream->state.messages;
    pthread_mutex_unlock(&stream->waiter.lock);
    return result;
}

void check_stream_linger(check_stream *stream, uint64_t nanoseconds) { atomic_store(&stream->linger, nanoseconds); }

int32_t check_callback(void *context, const uint8_t *data, uint64_t size, uint64_t *delay_ns) {
    (void)context, (void)data, (void)size, (void)delay_ns;
    return HOSTD_OK;
}

// MARK: Threads

typedef struct run {
    void (*body)(void *context, uint32_t number);
    void *context;
    uint32_t number;
    int is_started;
} run;

static void *run_body(void *context) {
    run *run = context;
    run->body(run->context, run->number);
    return NULL;
}

void check_in_threads(uint32_t count, void (*body)(void *context, uint32_t number), void *context) {
    pthread_t threads[64];
    run runs[64];
    if (count > 64) count = 64;
    for (uint32_t i = 0; i < count; i++) {
        runs[i] = (run){body, context, i, 0};
        runs[i].is_started = pthread_create(&threads[i], NULL, run_body, &runs[i]) == 0;
        if (!runs[i].is_started) run_body(&runs[i]); // The machine is at its limit: one after the other, then.
    }
    for (uint32_t i = 0; i < count; i++) {
        if (runs[i].is_started) pthread_join(threads[i], NULL);
    }
}
