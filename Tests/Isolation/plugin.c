// The fixture plugin: provides every letter, and misbehaves on request.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "letters.h"

static const hostd_host *host;
static const hosting_1 *hosting;
static const hostd_timers_1 *timers;
static _Atomic(uint64_t) buffers, releases, heard, ticks;

static void release_counted(void *context) {
    atomic_fetch_add(&releases, 1);
    free(context);
}

static int32_t give(hostd_buffer *buffer, const void *bytes, uint64_t size) {
    if (buffer == NULL) return HOSTD_OK;
    uint8_t *copy = malloc(size + 1);
    if (size != 0) memcpy(copy, bytes, size);
    atomic_fetch_add(&buffers, 1);
    *buffer = (hostd_buffer){copy, size, release_counted, copy};
    return HOSTD_OK;
}

static int32_t nothing(void *self, hostd_error *error) { return (void)self, (void)error, HOSTD_OK; }

static int32_t numbers(void *self, int32_t i, uint32_t u, int64_t l, uint64_t w, double d, uint64_t handle,
                       uint64_t deadline, uint64_t *h, uint64_t *sum, int32_t *n, hostd_error *error) {
    (void)self, (void)error, (void)deadline;
    *h = handle + 1;
    *sum = (uint64_t)i + u + (uint64_t)l + w;
    *n = (int32_t)(i - d);
    return HOSTD_OK;
}

static int32_t bytes(void *self, const uint8_t *bytes, uint64_t size, hostd_buffer *same, hostd_error *error) {
    (void)self, (void)error;
    return give(same, bytes, size);
}

static int32_t structs(void *self, const struct letters_struct *in, struct letters_struct *out, hostd_error *error) {
    (void)self, (void)error;
    if (in->struct_size < sizeof *in || out->struct_size < sizeof *out) return HOSTD_ERROR_INVALID_ARGUMENT;
    out->first = (uint32_t)in->second;
    out->second = in->first;
    return HOSTD_OK;
}

static int32_t array(void *self, const struct letters_struct *array, uint64_t count, hostd_buffer *same,
                     hostd_error *error) {
    (void)self, (void)error;
    return give(same, array, count * sizeof *array);
}

static int32_t files(void *self, int32_t borrowed, int32_t given, hostd_buffer *text, hostd_error *error) {
    (void)self, (void)error;
    char said[64];
    int size = snprintf(said, sizeof said, "%s %s", borrowed >= 0 ? "borrowed" : "none", given >= 0 ? "given" : "none");
    if (borrowed >= 0 && write(borrowed, "borrowed", 8) != 8) return HOSTD_ERROR_INTERNAL;
    if (given >= 0 && write(given, "given", 5) != 5) return HOSTD_ERROR_INTERNAL;
    if (given >= 0) close(given);
    return give(text, said, (uint64_t)size);
}

// MARK: Operations

struct operation {
    hostd_completion completion;
    void *context;
    uint64_t size;
    uint8_t bytes[];
};

static void complete(struct operation *operation, int32_t status) {
    hostd_error error = {.struct_size = sizeof error, .code = status,
                         .message = {(const uint8_t *)"the operation was cancelled", 27, NULL, NULL}};
    operation->completion(operation->context, status, operation->bytes, operation->size, status < 0 ? &error : NULL);
    free(operation);
}

static void *complete_later(void *argument) {
    struct timespec pause = {.tv_nsec = 200000};
    nanosleep(&pause, NULL);
    complete(argument, HOSTD_OK);
    return NULL;
}

static int32_t operate(void *self, const uint8_t *bytes, uint64_t size, hostd_completion completion, void *context,
                       uint64_t *handle, hostd_error *error) {
    (void)self, (void)error;
    if (size == 0 || bytes[0] == 'r') return HOSTD_ERROR_INVALID_ARGUMENT;
    struct operation *operation = malloc(sizeof *operation + size);
    *operation = (struct operation){.completion = completion, .context = context, .size = size};
    memcpy(operation->bytes, bytes, size);
    *handle = (uint64_t)(uintptr_t)operation;
    if (bytes[0] == 'n') complete(operation, HOSTD_OK);
    if (bytes[0] != 't') return HOSTD_OK;
    pthread_t thread;
    pthread_create(&thread, NULL, complete_later, operation);
    pthread_detach(thread);
    return HOSTD_OK;
}

static int32_t operate_cancel(void *self, uint64_t handle, hostd_error *error) {
    (void)self, (void)error;
    complete((struct operation *)(uintptr_t)handle, HOSTD_ERROR_CANCELLED);
    return HOSTD_OK;
}

// MARK: Watches

struct watch {
    hostd_sink sink;
    void *context;
    uint64_t count;
    _Atomic(int) is_cancelled;
    pthread_t thread;
};

static void *send(void *argument) {
    struct watch *watch = argument;
    for (uint64_t i = 0; (watch->count == 0 || i < watch->count) && !atomic_load(&watch->is_cancelled); i++) {
        watch->sink(watch->context, HOSTD_SINK_DATA, (const uint8_t *)&i, sizeof i);
    }
    if (!atomic_load(&watch->is_cancelled)) watch->sink(watch->context, HOSTD_SINK_END, (const uint8_t *)"over", 4);
    return NULL;
}

static int32_t watch(void *self, uint64_t count, hostd_sink sink, void *context, uint64_t *handle, hostd_error *error) {
    (void)self, (void)error;
    struct watch *watch = calloc(1, sizeof *watch);
    *watch = (struct watch){.sink = sink, .context = context, .count = count};
    *handle = (uint64_t)(uintptr_t)watch;
    return pthread_create(&watch->thread, NULL, send, watch) == 0 ? HOSTD_OK : HOSTD_ERROR_INTERNAL;
}

static int32_t watch_end(void *self, uint64_t handle, hostd_error *error) {
    (void)self, (void)error;
    struct watch *watch = (struct watch *)(uintptr_t)handle;
    atomic_store(&watch->is_cancelled, 1);
    pthread_join(watch->thread, NULL);
    free(watch);
    return HOSTD_OK;
}

static int32_t work(void *self, const uint8_t *key, uint64_t size, hostd_callback callback, void *context,
                    uint64_t *runs, hostd_error *error) {
    (void)self, (void)error;
    uint64_t delay;
    *runs = 0;
    do {
        delay = 0;
        int32_t status = callback(context, key, size, &delay);
        ++*runs;
        if (status < 0) return status;
    } while (delay != 0);
    return HOSTD_OK;
}

static int32_t work_cancel(void *self, uint64_t work, hostd_error *error) {
    return (void)self, (void)work, (void)error, HOSTD_OK;
}

// MARK: Calls of the host, failures

static int32_t nested(void *self, uint64_t count, const uint8_t *bytes, uint64_t size, hostd_buffer *same,
                      hostd_error *error) {
    (void)self;
    for (uint64_t i = 0; i < count; i++) {
        hostd_buffer answer = {0};
        int32_t status = hosting->echo(hosting->interface.self, bytes, size, &answer, error);
        if (status != HOSTD_OK) return status;
        if (answer.size != size || memcmp(answer.data, bytes, size) != 0) return HOSTD_ERROR_DATA_LOSS;
        if (i + 1 == count) give(same, answer.data, answer.size);
        if (answer.release != NULL) answer.release(answer.context);
    }
    return HOSTD_OK;
}

static int32_t fail(void *self, int32_t status, uint32_t retryable, const uint8_t *message, uint64_t size,
                    hostd_error *error) {
    (void)self;
    if (error == NULL) return status;
    error->code = status;
    error->retryable = retryable;
    error->retry_delay_ms = 7;
    give(&error->message, message, size);
    return status;
}

static int32_t sleep_for(void *self, uint64_t deadline, uint64_t nanoseconds, hostd_error *error) {
    (void)self, (void)error, (void)deadline;
    struct timespec pause = {.tv_sec = (time_t)(nanoseconds / 1000000000), .tv_nsec = (long)(nanoseconds % 1000000000)};
    nanosleep(&pause, NULL);
    return HOSTD_OK;
}

static int32_t crash(void *self, uint32_t how, hostd_error *error) {
    (void)self, (void)error;
    if (how == 1) abort();
    if (how == 2) *(volatile int *)8 = 1;
    if (how == 3) _exit(9);
    if (how == 4) closefrom(3);
    if (how == 4) pause();
    while (how == 5) {}
    if (how == 6) kill(getpid(), SIGKILL);
    return HOSTD_OK;
}

static uint64_t subscription, timer;

static void listen_to(void *context, uint32_t kind, const uint8_t *data, uint64_t size) {
    (void)context, (void)data, (void)size;
    atomic_fetch_add(&heard, kind == HOSTD_SINK_DATA ? 1 : 1000000);
}

/// Cancels its own subscription from within the sink.
static void listen_once(void *context, uint32_t kind, const uint8_t *data, uint64_t size) {
    listen_to(context, kind, data, size);
    hosting->unsubscribe(hosting->interface.self, subscription, NULL);
}

/// Takes a long time for each message.
static void listen_slowly(void *context, uint32_t kind, const uint8_t *data, uint64_t size) {
    listen_to(context, kind, data, size);
    struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
}

static int32_t tick(void *context, const uint8_t *data, uint64_t size, uint64_t *delay) {
    (void)context, (void)data, (void)size;
    uint64_t now = atomic_fetch_add(&ticks, 1);
    *delay = now % 3 == 0 ? 1000 : 0;
    return HOSTD_OK;
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int32_t status;
    int is_done;
};

static void arrived(void *context, int32_t status, const uint8_t *data, uint64_t size, const hostd_error *error) {
    (void)data, (void)size, (void)error;
    struct waiter *waiter = context;
    pthread_mutex_lock(&waiter->lock);
    waiter->status = status;
    waiter->is_done++;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
}

static int32_t wait_later(const uint8_t *bytes, uint64_t size, hostd_error *error) {
    struct waiter waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    int32_t status = hosting->later(hosting->interface.self, bytes, size, arrived, &waiter, error);
    pthread_mutex_lock(&waiter.lock);
    while (status == HOSTD_OK && !waiter.is_done) pthread_cond_wait(&waiter.changed, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    return status != HOSTD_OK ? status : waiter.status;
}

/// Orders: "subscribe", "once", "slowly", "unsubscribe", "tick", "timer", "period", "untick", "later", "get ID", "figures".
static int32_t host_order(void *self, const uint8_t *bytes, uint64_t size, hostd_buffer *answer, hostd_error *error) {
    (void)self;
    char order[128], said[128];
    snprintf(order, sizeof order, "%.*s", (int)size, (const char *)bytes);
    void *this = hosting->interface.self;
    if (strcmp(order, "subscribe") == 0) return hosting->subscribe(this, listen_to, NULL, &subscription, error);
    if (strcmp(order, "once") == 0) return hosting->subscribe(this, listen_once, NULL, &subscription, error);
    if (strcmp(order, "slowly") == 0) return hosting->subscribe(this, listen_slowly, NULL, &subscription, error);
    if (strcmp(order, "unsubscribe") == 0) return hosting->unsubscribe(this, subscription, error);
    if (strcmp(order, "tick") == 0) return hosting->tick(this, 0, 0, tick, NULL, &timer, error);
    if (strcmp(order, "timer") == 0) return timers->start(timers->interface.self, 0, 0, tick, NULL, &timer, error);
    if (strcmp(order, "period") == 0) return hosting->tick(this, 0, 1000000, tick, NULL, &timer, error);
    if (strcmp(order, "untick") == 0) return hosting->untick(this, timer, error);
    if (strcmp(order, "later") == 0) return wait_later(bytes, size, error);
    if (strncmp(order, "get ", 4) == 0) {
        const hostd_interface *table = host->get_interface(host->self, order + 4);
        snprintf(said, sizeof said, "%s", table == NULL ? "NULL" : table->slots);
        return give(answer, said, strlen(said));
    }
    snprintf(said, sizeof said, "%lu %lu %lu %lu", atomic_load(&buffers), atomic_load(&releases), atomic_load(&heard),
             atomic_load(&ticks));
    if (answer != NULL) *answer = (hostd_buffer){(const uint8_t *)strdup(said), strlen(said), NULL, NULL};
    return HOSTD_OK;
}

static int32_t nulls(void *self, const uint8_t *b, uint64_t size, const void *s, const void *a, uint64_t count,
                     hostd_sink v, void *vc, hostd_callback q, void *qc, hostd_completion c, void *cc, hostd_buffer *o,
                     void *S, uint64_t *H, uint64_t *W, int32_t *I, hostd_error *error) {
    const void *all[] = {b, s, a, (void *)v, (void *)q, (void *)c, o, S, H, W, I, error};
    (void)self, (void)vc, (void)qc, (void)cc;
    for (int i = 0; i < 12; i++) {
        if (all[i] != NULL) return -100 - i;
    }
    return size == 0 && count == 0 ? HOSTD_OK : -200;
}

// MARK: The plugin

static const letters_1 letters = {
    {sizeof letters, 0, NULL, LETTERS_1, LETTERS_1_SLOTS}, nothing, numbers, bytes, structs, array, files, operate,
    operate_cancel, watch, watch_end, work, work_cancel, nested, fail, sleep_for, crash, host_order, nulls,
};

static int32_t describe(void *self, hostd_buffer *description, hostd_error *error) {
    (void)self, (void)error;
    static const char json[] = "{\"name\":\"letters\",\"version\":\"1.0.0\",\"description\":\"Every letter.\",\"provides\":[\"" LETTERS_1 "\"]}";
    *description = (hostd_buffer){(const uint8_t *)json, sizeof json - 1, NULL, NULL};
    return HOSTD_OK;
}

static int32_t schema(void *self, hostd_buffer *schema, hostd_error *error) {
    return (void)self, (void)schema, (void)error, HOSTD_OK;
}

static int32_t configure(void *self, const uint8_t *configuration, uint64_t size, hostd_error *error) {
    (void)self, (void)configuration, (void)size, (void)error;
    hosting = (const hosting_1 *)host->get_interface(host->self, HOSTING_1);
    timers = (const hostd_timers_1 *)host->get_interface(host->self, HOSTD_TIMERS_1);
    return hosting == NULL || timers == NULL ? HOSTD_ERROR_UNAVAILABLE : HOSTD_OK;
}

static int32_t step(void *self, hostd_error *error) { return (void)self, (void)error, HOSTD_OK; }
static void destroy(void *self) { (void)self; }

static const hostd_interface *get_interface(void *self, const char *id) {
    (void)self;
    return strcmp(id, LETTERS_1) == 0 ? &letters.interface : NULL;
}

__attribute__((visibility("default"))) int32_t hostd_plugin_entry(const hostd_host *given, hostd_plugin *plugin,
                                                                  hostd_error *error) {
    (void)error;
    host = given;
    *plugin = (hostd_plugin){sizeof *plugin, HOSTD_ABI_VERSION, NULL, describe, schema, configure, step, step, destroy,
                             get_interface};
    return HOSTD_OK;
}
