// @NAME@: the state of hostd in memory, with a log file that each write reaches before it is acknowledged. What the slots
// promise is in hostd/roles/store.h. state.c has the data, watch.c the thread, log.c the file.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store.h"

const char plugin_description[] = "{\"name\":\"@NAME@\",\"version\":\"1.0.0\",\"description\":\"State in memory, with a log "
                                  "file.\",\"provides\":[\"hostd.store/1\"]}";
const char plugin_schema[] = ""; // No options.

// Every slot begins with this: `self` is the instance, which is active.
#define ENTER                                                                                                          \
    plugin *self = context;                                                                                            \
    if (check_active(self, error) < 0) return HOSTD_ERROR_WRONG_STATE

static int32_t get(void *context, const uint8_t *key, uint64_t size, uint64_t revision, hostd_buffer *out, hostd_error *error) {
    ENTER;
    record *found;
    text encoded = {0};
    pthread_mutex_lock(&self->lock);
    int32_t status = state_get(&self->state, (view){key, size}, revision, &found, error);
    if (status == HOSTD_OK) record_encode(found, 0, &encoded);
    pthread_mutex_unlock(&self->lock);
    if (status == HOSTD_OK) *out = text_buffer(&encoded);
    return status;
}

static int32_t list(void *context, const uint8_t *prefix, uint64_t prefix_size, const uint8_t *selector_text,
                    uint64_t selector_size, uint64_t revision, uint64_t limit, const uint8_t *after, uint64_t after_size,
                    hostd_buffer *out, hostd_error *error) {
    ENTER;
    selector *wanted = NULL;
    text page = {0};
    int32_t status = check_prefix((view){prefix, prefix_size}, error);
    if (status == HOSTD_OK) status = selector_parse((view){selector_text, selector_size}, &wanted, error);
    if (status < 0) return status;
    pthread_mutex_lock(&self->lock);
    status = state_list(&self->state, (view){prefix, prefix_size}, wanted, revision, limit, (view){after, after_size}, &page, error);
    pthread_mutex_unlock(&self->lock);
    selector_free(wanted);
    if (status == HOSTD_OK) *out = text_buffer(&page);
    return status;
}

static int32_t write_one(plugin *self, operation step, uint64_t *revision, hostd_error *error) {
    uint32_t failed;
    uint64_t result;
    pthread_mutex_lock(&self->lock);
    int32_t status = state_commit(&self->state, &step, 1, &failed, &result, error);
    pthread_cond_broadcast(&self->news);
    pthread_mutex_unlock(&self->lock);
    if (status == HOSTD_OK) *revision = result;
    return status;
}

static int32_t create(void *context, const uint8_t *key, uint64_t key_size, const uint8_t *value, uint64_t value_size,
                      const uint8_t *index, uint64_t index_size, uint64_t lease, uint64_t *revision, hostd_error *error) {
    ENTER;
    operation step = {HOSTD_STORE_CREATE, 0, lease, {key, key_size}, {index, index_size}, {value, value_size}};
    return write_one(self, step, revision, error);
}

static int32_t update(void *context, const uint8_t *key, uint64_t key_size, const uint8_t *value, uint64_t value_size,
                      const uint8_t *index, uint64_t index_size, uint64_t lease, uint64_t expected, uint64_t *revision,
                      hostd_error *error) {
    ENTER;
    operation step = {HOSTD_STORE_UPDATE, expected, lease, {key, key_size}, {index, index_size}, {value, value_size}};
    return write_one(self, step, revision, error);
}

static int32_t remove_key(void *context, const uint8_t *key, uint64_t size, uint64_t expected, uint64_t *revision, hostd_error *error) {
    ENTER;
    return write_one(self, (operation){.kind = HOSTD_STORE_DELETE, .expected = expected, .key = {key, size}}, revision, error);
}

static int32_t transaction(void *context, const uint8_t *bytes, uint64_t size, hostd_completion completion,
                           void *completion_context, hostd_error *error) {
    ENTER;
    operation *steps;
    size_t count;
    if (completion == NULL) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "a transaction needs a completion");
    int32_t status = operations_decode((view){bytes, size}, &steps, &count, error);
    if (status < 0) return status; // It never completes.
    hostd_store_commit commit = {.struct_size = sizeof commit};
    hostd_error failure = {.struct_size = sizeof failure};
    pthread_mutex_lock(&self->lock);
    status = state_commit(&self->state, steps, count, &commit.failed_operation, &commit.revision, &failure);
    pthread_cond_broadcast(&self->news);
    pthread_mutex_unlock(&self->lock);
    free(steps);
    // It is on disk already, or has failed.
    completion(completion_context, status, (const uint8_t *)&commit, sizeof commit, status < 0 ? &failure : NULL);
    if (failure.message.release != NULL) failure.message.release(failure.message.context);
    return HOSTD_OK;
}

static int32_t watch_slot(void *context, const uint8_t *prefix, uint64_t prefix_size, const uint8_t *selector_text,
                          uint64_t selector_size, uint64_t from, hostd_sink sink, void *sink_context, uint64_t *handle,
                          hostd_error *error) {
    ENTER;
    selector *wanted = NULL;
    int32_t status = check_prefix((view){prefix, prefix_size}, error);
    if (status == HOSTD_OK && sink == NULL) status = fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "a watch needs a sink");
    if (status == HOSTD_OK) status = selector_parse((view){selector_text, selector_size}, &wanted, error);
    if (status < 0) return status;
    pthread_mutex_lock(&self->lock);
    if (from != 0 && from < self->state.compacted) {
        status = fail(error, HOSTD_ERROR_COMPACTED, "revision %llu is no longer kept", (unsigned long long)from);
        selector_free(wanted);
    } else {
        watch *made = allocate(sizeof *made);
        const uint8_t *kept = (const uint8_t *)copy_text((const char *)prefix, prefix_size);
        *made = (watch){{kept, prefix_size}, wanted, from == 0 ? self->state.revision : from, UINT64_MAX, sink, sink_context, false, false};
        *handle = ++self->last_watch;
        map_put(&self->watches, &self->last_watch, sizeof self->last_watch, made);
        pthread_cond_broadcast(&self->news);
    }
    pthread_mutex_unlock(&self->lock);
    return status;
}

static int32_t watch_cancel(void *context, uint64_t handle, hostd_error *error) {
    ENTER;
    cancel(self, handle);
    return HOSTD_OK;
}

static int32_t lease_grant(void *context, uint64_t milliseconds, uint64_t *id, hostd_error *error) {
    ENTER;
    pthread_mutex_lock(&self->lock);
    int32_t status = state_grant(&self->state, milliseconds, id, error);
    pthread_cond_broadcast(&self->news); // The thread waits for the end of the first lease.
    pthread_mutex_unlock(&self->lock);
    return status;
}

// A slot that takes one number: a lease, or a revision.
#define NUMBER_SLOT(name, function)                                                                                    \
    static int32_t name(void *context, uint64_t number, hostd_error *error) {                                          \
        ENTER;                                                                                                         \
        pthread_mutex_lock(&self->lock);                                                                               \
        int32_t status = function(&self->state, number, error);                                                        \
        pthread_cond_broadcast(&self->news);                                                                           \
        pthread_mutex_unlock(&self->lock);                                                                             \
        return status;                                                                                                 \
    }
NUMBER_SLOT(lease_keep_alive, state_keep_alive)
NUMBER_SLOT(lease_revoke, state_revoke)
NUMBER_SLOT(compact, state_compact)

static int32_t status(void *context, hostd_buffer *out, hostd_error *error) {
    ENTER;
    int64_t keys, bytes;
    text answer = {0};
    pthread_mutex_lock(&self->lock);
    state_size(&self->state, &keys, &bytes);
    text_add(&answer, "{\"revision\":%i,\"compactedRevision\":%i,\"keys\":%i,\"bytes\":%i,", (int64_t)self->state.revision,
             (int64_t)self->state.compacted, keys, bytes);
    pthread_mutex_unlock(&self->lock);
    text_add(&answer, "\"engine\":\"@NAME@\",\"healthy\":true,\"reason\":\"\"}");
    *out = text_buffer(&answer);
    return HOSTD_OK;
}

static bool write_all(int file, const text *content) {
    for (size_t done = 0; done < content->size;) {
        ssize_t count = write(file, content->bytes + done, content->size - done);
        if (count < 0 && errno != EINTR) return false;
        if (count > 0) done += (size_t)count;
    }
    return true;
}

static int32_t backup_to(plugin *self, int file, hostd_buffer *out, hostd_error *error) {
    text snapshot = {0}, answer = {0};
    if (file < 0) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "a backup needs a file");
    pthread_mutex_lock(&self->lock);
    state_snapshot(&self->state, &snapshot);
    int64_t revision = (int64_t)self->state.revision;
    pthread_mutex_unlock(&self->lock);
    bool written = write_all(file, &snapshot);
    int code = errno;
    text_add(&answer, "{\"revision\":%i,\"bytes\":%i}", revision, (int64_t)snapshot.size);
    text_free(&snapshot);
    if (written) return *out = text_buffer(&answer), HOSTD_OK;
    text_free(&answer);
    return fail(error, code == ENOSPC ? HOSTD_ERROR_NO_SPACE : HOSTD_ERROR_INTERNAL, "cannot write the backup: %s", strerror(code));
}

static int32_t backup(void *context, int32_t file, hostd_buffer *out, hostd_error *error) {
    int32_t status = check_active(context, error);
    if (status == HOSTD_OK) status = backup_to(context, file, out, error);
    if (file >= 0) close(file); // It is ours from the moment of the call.
    return status;
}

plugin *plugin_create(void) {
    plugin *self = allocate(sizeof *self);
    *self = (plugin){.lock = PTHREAD_MUTEX_INITIALIZER, .state.file = -1};
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->news, &monotonic);
    self->table = (hostd_store_1){
        .interface = {sizeof self->table, 0, self, HOSTD_STORE_1, HOSTD_STORE_1_SLOTS},
        .get = get, .list = list, .create = create, .update = update, .remove = remove_key, .transaction = transaction,
        .watch = watch_slot, .watch_cancel = watch_cancel, .lease_grant = lease_grant,
        .lease_keep_alive = lease_keep_alive, .lease_revoke = lease_revoke, .compact = compact, .status = status,
        .backup = backup,
        // transaction_by, history and revision_at stay NULL: it does not know who wrote when, and hostd goes without.
        // watch_promptly too: sinks run on a thread of their own, whatever they promise.
    };
    return self;
}

int32_t plugin_configure(plugin *self, const json *options, const char *directory, hostd_error *error) {
    (void)options, (void)error;
    snprintf(self->directory, sizeof self->directory, "%s", directory);
    return HOSTD_OK;
}

int32_t plugin_activate(plugin *self, hostd_error *error) {
    int32_t status = state_open(&self->state, self->directory, error);
    if (status < 0) return status;
    self->is_stopping = false;
    int code = pthread_create(&self->teller, NULL, tell, self);
    if (code == 0) return HOSTD_OK;
    state_close(&self->state);
    return fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "cannot start a thread: %s", strerror(code));
}

int32_t plugin_deactivate(plugin *self, hostd_error *error) {
    (void)error;
    pthread_mutex_lock(&self->lock);
    self->is_stopping = true;
    pthread_cond_broadcast(&self->news);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->teller, NULL);
    while (self->watches.count > 0) {
        uint64_t handle;
        memcpy(&handle, self->watches.entries[0].key, sizeof handle);
        cancel(self, handle);
    }
    state_close(&self->state); // All of it is in the file.
    return HOSTD_OK;
}

void plugin_destroy(plugin *self) {
    map_free(&self->watches, watch_free);
    state_close(&self->state);
    pthread_cond_destroy(&self->news);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

const hostd_interface *plugin_interface(plugin *self, const char *id) {
    return strcmp(id, HOSTD_STORE_1) == 0 ? &self->table.interface : NULL;
}
