// A plugin that keeps every rule of docs/abi.md, and with -DFAULT=NAME breaks exactly one: the conformance kit must name
// that rule. It provides com.example.probe/1, which has slots of every kind, and hostd.state/1.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"
#include "hostd/plugin.h"

#define PROBE_1 "com.example.probe/1"
#define PROBE_1_SLOTS                                                                                                   \
    "echo:tboe;total:We;begin:bcHe;begin_cancel:he;watch:vHe;watch_cancel:he;measure:se;give:Fe;look:fe;mix:auldie"

typedef struct probe_1 {
    hostd_interface interface;
    int32_t (*echo)(void *, uint64_t, const uint8_t *, uint64_t, hostd_buffer *, hostd_error *);
    int32_t (*total)(void *, uint64_t *, hostd_error *);
    int32_t (*begin)(void *, const uint8_t *, uint64_t, hostd_completion, void *, uint64_t *, hostd_error *);
    int32_t (*begin_cancel)(void *, uint64_t, hostd_error *);
    int32_t (*watch)(void *, hostd_sink, void *, uint64_t *, hostd_error *);
    int32_t (*watch_cancel)(void *, uint64_t, hostd_error *);
    int32_t (*measure)(void *, const uint32_t *, hostd_error *);
    int32_t (*give)(void *, int32_t, hostd_error *);
    int32_t (*look)(void *, int32_t, hostd_error *);
    int32_t (*mix)(void *, const uint32_t *, uint64_t, uint32_t, int64_t, double, int32_t, hostd_error *);
} probe_1;

#define ENTRIES 512

typedef struct entry {
    uint64_t handle; // 0 = free.
    hostd_completion completion;
    hostd_sink sink;
    void *context;
} entry;

typedef struct plugin {
    probe_1 probe;
    hostd_state_1 state;
    const hostd_host *host;
    const hostd_timers_1 *timers;
    enum { ENTERED, CONFIGURED, ACTIVE } stage;
    pthread_mutex_t lock;
    entry entries[ENTRIES];
    uint64_t last_handle;
    uint64_t total, base;
    uint64_t mark, last_mark; // Of hostd.state/1; 0 = nobody asks for changes.
    uint64_t timer;
    const uint8_t *kept;
    pthread_t thread;
    volatile int is_ending;
    int descriptions, file;
} plugin;

static plugin *only; // Of faults that keep state in the image.

static void release(void *context) { free(context); }

static hostd_buffer copy_of(const void *bytes, uint64_t size) {
    uint8_t *copy = malloc(size + 1);
    if (size > 0) memcpy(copy, bytes, size);
    return (hostd_buffer){.data = copy, .size = size, .release = release, .context = copy};
}

static hostd_buffer text(const char *constant) {
    return (hostd_buffer){.data = (const uint8_t *)constant, .size = strlen(constant)};
}

static int32_t fail(hostd_error *error, int32_t code, const char *message) {
    if (error->struct_size < sizeof *error && FAULT != FILLS_SMALL_ERROR) return code;
    error->code = FAULT == OTHER_CODE ? HOSTD_ERROR_NO_SPACE : code;
    error->message = text(message);
    if (FAULT == BAD_MESSAGE) error->message = text("\xff\xfe is no UTF-8");
    if (FAULT == LONG_MESSAGE) error->message = copy_of(calloc(1, 9000), 9000);
    return code;
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t depth(const uint8_t *bytes, uint64_t size) { // By recursion, as careless parsers do it.
    volatile uint8_t room[128];
    room[0] = size > 0 ? bytes[0] : 0;
    return size > 0 && room[0] == '[' ? 1 + depth(bytes + 1, size - 1) : 0;
}

/// Tells every watcher; under the lock, so that the sinks are serial.
static void tell(plugin *plugin, uint32_t kind) {
    for (int i = 0; i < ENTRIES; i++) {
        if (plugin->entries[i].handle != 0 && plugin->entries[i].sink != NULL) {
            plugin->entries[i].sink(plugin->entries[i].context, kind, (const uint8_t *)"x", 1);
        }
    }
}

static void odd_bytes(const uint8_t *bytes, uint64_t size) {
    if (FAULT == CRASHES_ON_NULL && bytes == NULL) (void)*(volatile const uint8_t *)bytes;
    if (FAULT == CRASHES_ON_DEPTH) depth(bytes, size);
    if (FAULT == HANGS_ON_TEXT && size == 1 && bytes[0] == 'x') while (sleep(1000) == 0) {}
    if (FAULT == EXITS && size == 1 && bytes[0] == 'x') _exit(0);
    if (FAULT == READS_BEHIND && size > 0) (void)*(volatile const uint8_t *)(bytes + size);
    if (FAULT == WRITES_ARGUMENT && size > 0) ((volatile uint8_t *)bytes)[0] = 'y';
}

static int32_t echo(void *self, uint64_t deadline, const uint8_t *bytes, uint64_t size, hostd_buffer *out,
                    hostd_error *error) {
    plugin *plugin = self;
    static uint8_t shared[64];
    static volatile pthread_t user;
    odd_bytes(bytes, size);
    if (deadline != 0 && deadline < now()) {
        if (FAULT == IGNORES_DEADLINE) sleep(3);
        if (FAULT == BUFFER_ON_FAILURE) *out = copy_of("x", 1);
        return fail(error, HOSTD_ERROR_DEADLINE_EXCEEDED, "the deadline has passed");
    }
    if (FAULT == POSITIVE_STATUS && size == 0) return 1;
    if (FAULT == RACES) {
        user = pthread_self();
        usleep(50);
        if (!pthread_equal(user, pthread_self())) abort(); // What two threads at once do to a list, made certain.
    }
    pthread_mutex_lock(&plugin->lock);
    plugin->total++;
    if (plugin->stage == ACTIVE) tell(plugin, HOSTD_SINK_DATA);
    pthread_mutex_unlock(&plugin->lock);
    if (FAULT == SHARED_BUFFER) {
        snprintf((char *)shared, sizeof shared, "%llu", (unsigned long long)plugin->total);
        *out = (hostd_buffer){.data = shared, .size = sizeof shared};
        return HOSTD_OK;
    }
    *out = copy_of(bytes, size);
    if (FAULT == NULL_BUFFER) out->data = NULL, out->size = 5;
    return HOSTD_OK;
}

static int32_t total(void *self, uint64_t *number, hostd_error *error) {
    (void)error;
    *number = ((plugin *)self)->total;
    return HOSTD_OK;
}

/// Enters a new entry; its handle, 0 without room. Under the lock.
static uint64_t enter(plugin *plugin, entry entry) {
    for (int i = 0; i < ENTRIES; i++) {
        if (plugin->entries[i].handle != 0) continue;
        entry.handle = ++plugin->last_handle + 1000;
        plugin->entries[i] = entry;
        return entry.handle;
    }
    return 0;
}

static void complete(entry *entry) {
    hostd_error error = {.struct_size = sizeof error, .code = HOSTD_ERROR_CANCELLED, .message = text("cancelled")};
    entry->completion(entry->context, HOSTD_ERROR_CANCELLED, NULL, 0, &error);
    if (FAULT == COMPLETES_TWICE) entry->completion(entry->context, HOSTD_ERROR_CANCELLED, NULL, 0, &error);
}

/// Takes the entry of a handle out; an empty one when there is none. Under the lock.
static entry leave(plugin *plugin, uint64_t handle) {
    for (int i = 0; i < ENTRIES; i++) {
        if (handle == 0 || plugin->entries[i].handle != handle) continue;
        entry found = plugin->entries[i];
        plugin->entries[i] = (entry){0};
        return found;
    }
    return (entry){0};
}

static int32_t begin(void *self, const uint8_t *bytes, uint64_t size, hostd_completion completion, void *context,
                     uint64_t *handle, hostd_error *error) {
    plugin *plugin = self;
    (void)bytes;
    if (FAULT == COMPLETES_AND_REFUSES) completion(context, HOSTD_OK, NULL, 0, NULL);
    if (plugin->stage != ACTIVE && FAULT != STARTS_INACTIVE) return fail(error, HOSTD_ERROR_WRONG_STATE, "it is not active");
    if (size > 1000 || FAULT == COMPLETES_AND_REFUSES) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "too long");
    pthread_mutex_lock(&plugin->lock);
    *handle = enter(plugin, (entry){.completion = completion, .context = context});
    pthread_mutex_unlock(&plugin->lock);
    return *handle == 0 ? fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "too many operations") : HOSTD_OK;
}

static int32_t begin_cancel(void *self, uint64_t handle, hostd_error *error) {
    plugin *plugin = self;
    pthread_mutex_lock(&plugin->lock);
    entry found = leave(plugin, handle);
    pthread_mutex_unlock(&plugin->lock);
    if (found.completion != NULL && FAULT != NEVER_COMPLETES) complete(&found);
    if (FAULT == CANCEL_FAILS && found.handle == 0) return fail(error, HOSTD_ERROR_CONFLICT, "cancelled already");
    return HOSTD_OK;
}

static int32_t watch(void *self, hostd_sink sink, void *context, uint64_t *handle, hostd_error *error) {
    plugin *plugin = self;
    if (plugin->stage != ACTIVE) return fail(error, HOSTD_ERROR_WRONG_STATE, "it is not active");
    pthread_mutex_lock(&plugin->lock);
    *handle = enter(plugin, (entry){.sink = sink, .context = context});
    if (*handle != 0) sink(context, HOSTD_SINK_DATA, (const uint8_t *)"first", 5);
    if (FAULT == SINK_AFTER_END && *handle != 0) sink(context, HOSTD_SINK_END, NULL, 0), sink(context, HOSTD_SINK_DATA, NULL, 0);
    pthread_mutex_unlock(&plugin->lock);
    return *handle == 0 ? fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "too many watches") : HOSTD_OK;
}

static int32_t watch_cancel(void *self, uint64_t handle, hostd_error *error) {
    plugin *plugin = self;
    (void)error;
    pthread_mutex_lock(&plugin->lock);
    if (FAULT != SINK_AFTER_CANCEL) leave(plugin, handle);
    pthread_mutex_unlock(&plugin->lock);
    return HOSTD_OK;
}

/// A flat struct of 24 bytes: its size, a flag, two numbers.
static int32_t measure(void *self, const uint32_t *structure, hostd_error *error) {
    (void)self;
    if (structure[0] < 24 && FAULT != IGNORES_STRUCT_SIZE) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "too small");
    return ((volatile const uint32_t *)structure)[5] == 1 ? HOSTD_ERROR_NOT_FOUND : HOSTD_OK;
}

static int32_t give(void *self, int32_t file, hostd_error *error) {
    (void)self;
    struct stat status;
    int is_socket = fstat(file, &status) == 0 && S_ISSOCK(status.st_mode);
    if (file >= 0 && (is_socket || FAULT != KEEPS_DESCRIPTOR)) close(file);
    return is_socket ? HOSTD_OK : fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "it is not a socket");
}

static int32_t look(void *self, int32_t file, hostd_error *error) {
    (void)self;
    struct stat status;
    if (fstat(file, &status) != 0) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "it is not open");
    if (FAULT == CLOSES_BORROWED) close(file);
    return HOSTD_OK;
}

static int32_t mix(void *self, const uint32_t *array, uint64_t count, uint32_t u, int64_t l, double d, int32_t i,
                   hostd_error *error) {
    (void)self, (void)array, (void)l, (void)i;
    if (count > 0 || u > 1000 || !(d < 1000)) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "out of range");
    return HOSTD_OK;
}

#include "life.h"
