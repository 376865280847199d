// Provides a role that hostd has never heard of, com.example.thing/1, which thing.h declares. What is common to all plugins
// in C comes from the templates of `hostd plugin new`.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"
#include "thing.h"

const char plugin_description[] = "{\"name\":\"thing-provider\",\"version\":\"1.0.0\",\"description\":\"Keeps values under "
                                  "names.\",\"provides\":[\"com.example.thing/1\"]}";
const char plugin_schema[] = ""; // No options.

typedef struct {
    hostd_sink sink;
    void *context;
} watcher;

struct plugin {
    plugin_base base;
    thing_1 table;
    pthread_mutex_t lock; // Slots are called from any thread, sinks under the lock: so they are called one after the other.
    map values;           // name → text *
    map watchers;         // the handle's 8 bytes → watcher *
    uint64_t last_handle;
};

static void free_value(void *value) {
    if (value != NULL) text_free(value);
    free(value);
}

static int32_t put(void *context, const uint8_t *name, uint64_t name_size, const uint8_t *value, uint64_t value_size,
                   hostd_error *error) {
    plugin *self = context;
    if (check_active(self, error) < 0) return HOSTD_ERROR_WRONG_STATE;
    if (name == NULL || name_size < 1 || name_size > 256 || !is_utf8(name, name_size))
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "a name is 1 to 256 bytes of text");
    text *kept = allocate(sizeof *kept);
    *kept = (text){0};
    if (value != NULL) text_add_bytes(kept, value, value_size);
    pthread_mutex_lock(&self->lock);
    free_value(map_put(&self->values, name, name_size, kept));
    for (size_t i = 0; i < self->watchers.count; i++) {
        const watcher *to = self->watchers.entries[i].value;
        to->sink(to->context, HOSTD_SINK_DATA, name, name_size);
    }
    pthread_mutex_unlock(&self->lock);
    return HOSTD_OK;
}

static int32_t get(void *context, const uint8_t *name, uint64_t name_size, hostd_buffer *value, hostd_error *error) {
    plugin *self = context;
    if (check_active(self, error) < 0) return HOSTD_ERROR_WRONG_STATE;
    text copy = {0};
    pthread_mutex_lock(&self->lock);
    const text *found = name == NULL ? NULL : map_get(&self->values, name, name_size);
    if (found != NULL) text_add_bytes(&copy, found->bytes, found->size);
    pthread_mutex_unlock(&self->lock);
    if (found == NULL) return fail(error, HOSTD_ERROR_NOT_FOUND, "nothing is kept under that name");
    *value = text_buffer(&copy);
    return HOSTD_OK;
}

static int32_t watch(void *context, hostd_sink sink, void *sink_context, uint64_t *handle, hostd_error *error) {
    plugin *self = context;
    if (check_active(self, error) < 0) return HOSTD_ERROR_WRONG_STATE;
    if (sink == NULL) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "a watch needs a sink");
    watcher *made = allocate(sizeof *made);
    *made = (watcher){sink, sink_context};
    pthread_mutex_lock(&self->lock);
    *handle = ++self->last_handle;
    map_put(&self->watchers, &self->last_handle, sizeof self->last_handle, made);
    pthread_mutex_unlock(&self->lock);
    return HOSTD_OK;
}

static int32_t watch_cancel(void *context, uint64_t handle, hostd_error *error) {
    (void)error;
    plugin *self = context;
    pthread_mutex_lock(&self->lock);
    watcher *ended = map_remove(&self->watchers, &handle, sizeof handle);
    if (ended != NULL) ended->sink(ended->context, HOSTD_SINK_END, NULL, 0);
    pthread_mutex_unlock(&self->lock);
    free(ended);
    return HOSTD_OK;
}

plugin *plugin_create(void) {
    plugin *self = allocate(sizeof *self);
    *self = (plugin){.lock = PTHREAD_MUTEX_INITIALIZER};
    self->table = (thing_1){{sizeof self->table, 0, self, THING_1, THING_1_SLOTS}, put, get, watch, watch_cancel};
    return self;
}

int32_t plugin_configure(plugin *self, const json *options, const char *directory, hostd_error *error) {
    (void)self, (void)options, (void)directory, (void)error;
    return HOSTD_OK;
}

int32_t plugin_activate(plugin *self, hostd_error *error) {
    (void)self, (void)error;
    return HOSTD_OK;
}

int32_t plugin_deactivate(plugin *self, hostd_error *error) {
    while (self->watchers.count > 0) {
        uint64_t handle;
        memcpy(&handle, self->watchers.entries[0].key, sizeof handle);
        watch_cancel(self, handle, error);
    }
    map_free(&self->values, free_value);
    return HOSTD_OK;
}

void plugin_destroy(plugin *self) {
    map_free(&self->values, free_value);
    map_free(&self->watchers, free);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

const hostd_interface *plugin_interface(plugin *self, const char *id) {
    return strcmp(id, THING_1) == 0 ? &self->table.interface : NULL;
}
