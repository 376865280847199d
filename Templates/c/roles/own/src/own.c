// @NAME@: provides a role of its own, @ROLE@, which role.h declares.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"
#include "role.h"

const char plugin_description[] = "{\"name\":\"@NAME@\",\"version\":\"1.0.0\",\"description\":\"Keeps values under names.\","
                                  "\"provides\":[\"@ROLE@\"]}";
const char plugin_schema[] = "{\"type\":\"object\",\"properties\":{\"limit\":{\"type\":\"integer\",\"minimum\":1,"
                             "\"maximum\":1000000,\"default\":1000,\"description\":\"The most names that are kept.\"}}}";

struct plugin {
    plugin_base base;
    role_table table;
    size_t limit;
    pthread_mutex_t lock; // Slots are called from any thread.
    map values;           // name → text *
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
    int32_t status = HOSTD_OK;
    pthread_mutex_lock(&self->lock);
    if (self->values.count == self->limit && map_get(&self->values, name, name_size) == NULL) {
        status = fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "%zu names are kept already", self->limit);
    } else {
        text *kept = allocate(sizeof *kept); // Arguments are borrowed: what is kept is copied.
        *kept = (text){0};
        if (value != NULL) text_add_bytes(kept, value, value_size);
        free_value(map_put(&self->values, name, name_size, kept));
    }
    pthread_mutex_unlock(&self->lock);
    return status;
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
    *value = text_buffer(&copy); // The receiver releases it.
    return HOSTD_OK;
}

static int32_t count(void *context, uint64_t *names, hostd_error *error) {
    plugin *self = context;
    if (check_active(self, error) < 0) return HOSTD_ERROR_WRONG_STATE;
    pthread_mutex_lock(&self->lock);
    *names = self->values.count;
    pthread_mutex_unlock(&self->lock);
    return HOSTD_OK;
}

plugin *plugin_create(void) {
    plugin *self = allocate(sizeof *self);
    *self = (plugin){.limit = 1000, .lock = PTHREAD_MUTEX_INITIALIZER};
    self->table = (role_table){{sizeof self->table, 0, self, ROLE_ID, ROLE_SLOTS}, put, get, count};
    return self;
}

int32_t plugin_configure(plugin *self, const json *options, const char *directory, hostd_error *error) {
    (void)directory, (void)error;
    self->limit = (size_t)json_integer(json_get(options, "limit"), 1000);
    return HOSTD_OK;
}

int32_t plugin_activate(plugin *self, hostd_error *error) {
    (void)error;
    write_log(self->base.log, HOSTD_LOG_INFO, "keeps up to %zu names", self->limit);
    return HOSTD_OK;
}

int32_t plugin_deactivate(plugin *self, hostd_error *error) {
    (void)error;
    map_free(&self->values, free_value);
    return HOSTD_OK;
}

void plugin_destroy(plugin *self) {
    map_free(&self->values, free_value);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

const hostd_interface *plugin_interface(plugin *self, const char *id) {
    return strcmp(id, ROLE_ID) == 0 ? &self->table.interface : NULL;
}
