// @NAME@: devices from a list. Pods ask for them as an extended resource, `example.com/@NAME@: 1`, and get each at most
// once. The book of allocations is on disk before a container hears of its devices.
//
// To make it yours, find devices in `activate` in place of taking them from the options, and call `report` when one of
// them comes, goes, or changes its health.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"

const char plugin_description[] = "{\"name\":\"@NAME@\",\"version\":\"1.0.0\",\"description\":\"Devices from a list.\","
                                  "\"provides\":[\"hostd.device/1\"]}";
const char plugin_schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"resource\":{\"type\":\"string\",\"minLength\":1,\"default\":\"example.com/@NAME@\",\"description\":\"What pods ask for.\"},"
    "\"devices\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":1},\"default\":[\"first\",\"second\"],"
    "\"description\":\"The ids of the devices; one that begins with /dev/ is given to its container as a node.\"}}}";
static const char book_name[] = "allocations.json";

typedef struct {
    hostd_sink sink;
    void *context;
} subscriber;

struct plugin {
    plugin_base base;
    hostd_device_1 table;
    char directory[3072];
    json *options; // {resource, devices}
    pthread_mutex_t lock;
    map allocations;  // "pod\ncontainer\nresource" → json *, an allocation as list_allocations shows it
    map subscribers;  // the handle's 8 bytes → subscriber *
    uint64_t last_handle;
};

static const char *resource_of(const plugin *self) { return json_string(json_get(self->options, "resource"), ""); }
static const json *devices_of(const plugin *self) { return json_get(self->options, "devices"); }
static void free_json(void *value) { json_free(value); }

static bool is_taken(const plugin *self, const char *device) {
    for (size_t i = 0; i < self->allocations.count; i++) {
        const json *ids = json_get(self->allocations.entries[i].value, "deviceIDs");
        for (size_t k = 0; k < json_count(ids); k++)
            if (strcmp(json_string(json_at(ids, k), ""), device) == 0) return true;
    }
    return false;
}

static void write_allocations(const plugin *self, text *out) {
    text_add(out, "{\"format\":1,\"allocations\":[");
    for (size_t i = 0; i < self->allocations.count; i++)
        text_add(out, "%s%j", i > 0 ? "," : "", (const json *)self->allocations.entries[i].value);
    text_add(out, "]}");
}

static int32_t save(plugin *self, hostd_error *error) {
    text content = {0};
    write_allocations(self, &content);
    int32_t status = write_file(self->directory, book_name, &content, error);
    text_free(&content);
    return status;
}

static char *allocation_key(const json *request) {
    text key = {0};
    static const char *const members[] = {"podUID", "container", "resource"};
    for (int i = 0; i < 3; i++) text_add(&key, "%s\n", json_string(json_get(request, members[i]), ""));
    text_add_bytes(&key, "", 1);
    return key.bytes;
}

// {deviceIDs, edits}: what the container gets to see of its devices, as CDI's containerEdits.
static void write_grant(const json *allocation, text *answer) {
    const json *ids = json_get(allocation, "deviceIDs");
    text_add(answer, "{\"deviceIDs\":%j,\"edits\":{\"env\":[\"DEVICES=", ids);
    for (size_t i = 0; i < json_count(ids); i++) {
        text_add(answer, i > 0 ? "," : "");
        for (const char *c = json_string(json_at(ids, i), ""); *c != 0; c++)
            if (*c != '"' && *c != '\\' && (uint8_t)*c >= 0x20) text_add_bytes(answer, c, 1);
    }
    text_add(answer, "\"],\"deviceNodes\":[");
    int nodes = 0;
    for (size_t i = 0; i < json_count(ids); i++) {
        const char *id = json_string(json_at(ids, i), "");
        if (strncmp(id, "/dev/", 5) == 0) text_add(answer, "%s{\"path\":%q}", nodes++ > 0 ? "," : "", id);
    }
    text_add(answer, "]}}");
}

static int32_t choose(plugin *self, const json *request, int64_t count, json **made, hostd_error *error) {
    const json *devices = devices_of(self);
    text allocation = {0};
    text_add(&allocation, "{\"podUID\":%q,\"podNamespace\":%q,\"podName\":%q,\"container\":%q,\"resource\":%q,\"deviceIDs\":[",
             json_string(json_get(request, "podUID"), ""), json_string(json_get(request, "podNamespace"), ""),
             json_string(json_get(request, "podName"), ""), json_string(json_get(request, "container"), ""),
             json_string(json_get(request, "resource"), ""));
    int64_t chosen = 0, free_devices = 0;
    for (size_t i = 0; i < json_count(devices); i++) {
        const char *id = json_string(json_at(devices, i), "");
        if (is_taken(self, id)) continue;
        free_devices++;
        if (chosen < count) text_add(&allocation, "%s%q", chosen++ > 0 ? "," : "", id);
    }
    text_add(&allocation, "]}");
    if (chosen == count) *made = json_parse((const uint8_t *)allocation.bytes, allocation.size);
    text_free(&allocation);
    if (chosen == count) return HOSTD_OK;
    return fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "%lld of %s are asked for, %lld of %zu are free", (long long)count,
                resource_of(self), (long long)free_devices, json_count(devices));
}

static int32_t allocate_new(plugin *self, const char *key, const json *request, int64_t count, text *answer, hostd_error *error) {
    json *made = NULL;
    int32_t status = choose(self, request, count, &made, error);
    if (status < 0) return status;
    map_put(&self->allocations, key, strlen(key), made);
    status = save(self, error);
    if (status < 0) json_free(map_remove(&self->allocations, key, strlen(key)));
    else write_grant(made, answer);
    return status;
}

static int32_t allocate_devices(plugin *self, const json *request, text *answer, hostd_error *error) {
    int64_t count = json_integer(json_get(request, "count"), 0);
    const char *resource = json_string(json_get(request, "resource"), "");
    if (*json_string(json_get(request, "podUID"), "") == 0 || *json_string(json_get(request, "container"), "") == 0)
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request needs the texts \"podUID\" and \"container\"");
    if (count < 1) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "count must be a number from 1");
    if (strcmp(resource, resource_of(self)) != 0)
        return fail(error, HOSTD_ERROR_NOT_FOUND, "there is no resource %.64s here, only %s", resource, resource_of(self));
    char *key = allocation_key(request);
    int32_t status = HOSTD_OK;
    pthread_mutex_lock(&self->lock);
    const json *before = map_get(&self->allocations, key, strlen(key));
    if (before == NULL) {
        status = allocate_new(self, key, request, count, answer, error);
    } else if ((int64_t)json_count(json_get(before, "deviceIDs")) == count) {
        write_grant(before, answer); // The same container gets the same again.
    } else {
        status = fail(error, HOSTD_ERROR_CONFLICT, "the container has %zu of %s already", json_count(json_get(before, "deviceIDs")), resource);
    }
    pthread_mutex_unlock(&self->lock);
    free(key);
    return status;
}

static int32_t release_devices(plugin *self, const json *request, text *answer, hostd_error *error) {
    const char *pod = json_string(json_get(request, "podUID"), "");
    if (*pod == 0) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request needs a text \"podUID\"");
    pthread_mutex_lock(&self->lock);
    int freed = 0;
    text_add(answer, "{\"deviceIDs\":[");
    for (size_t i = 0; i < self->allocations.count;) {
        const map_entry *entry = &self->allocations.entries[i];
        if (strcmp(json_string(json_get(entry->value, "podUID"), ""), pod) != 0) {
            i++;
            continue;
        }
        const json *ids = json_get(entry->value, "deviceIDs");
        for (size_t k = 0; k < json_count(ids); k++) text_add(answer, "%s%j", freed++ > 0 ? "," : "", json_at(ids, k));
        json_free(map_remove(&self->allocations, entry->key, entry->key_size));
    }
    text_add(answer, "]}");
    int32_t status = freed > 0 ? save(self, error) : HOSTD_OK;
    pthread_mutex_unlock(&self->lock);
    return status;
}

static int32_t list_allocations(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)request, (void)error;
    pthread_mutex_lock(&self->lock);
    write_allocations(self, answer);
    pthread_mutex_unlock(&self->lock);
    return HOSTD_OK;
}

static int32_t list_devices(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)request, (void)error;
    text_add(answer, "{\"resources\":[{\"name\":%q,\"devices\":[", resource_of(self));
    for (size_t i = 0; i < json_count(devices_of(self)); i++)
        text_add(answer, "%s{\"id\":%j,\"healthy\":true}", i > 0 ? "," : "", json_at(devices_of(self), i));
    text_add(answer, "]}]}");
    return HOSTD_OK;
}

static int32_t status(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)self, (void)request, (void)error;
    text_add(answer, "{\"vendor\":\"example.com\",\"version\":\"1.0.0\",\"ready\":true,\"reason\":\"\"}");
    return HOSTD_OK;
}

JSON_SLOT(status)
JSON_SLOT(list_devices)
JSON_SLOT(allocate_devices)
JSON_SLOT(release_devices)
JSON_SLOT(list_allocations)

// Tells one subscriber of the devices. Sinks run under the lock: so one is never called at once from two threads, nor
// after the call that cancels it.
static void report(plugin *self, const subscriber *to) {
    text message = {0};
    list_devices(self, NULL, &message, NULL);
    to->sink(to->context, HOSTD_SINK_DATA, (const uint8_t *)message.bytes, message.size);
    text_free(&message);
}

static int32_t watch(void *context, hostd_sink sink, void *sink_context, uint64_t *handle, hostd_error *error) {
    plugin *self = context;
    if (check_active(self, error) < 0) return HOSTD_ERROR_WRONG_STATE;
    if (sink == NULL || handle == NULL) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "a watch needs a sink and room for its handle");
    subscriber *made = allocate(sizeof *made);
    *made = (subscriber){sink, sink_context};
    pthread_mutex_lock(&self->lock);
    *handle = ++self->last_handle;
    map_put(&self->subscribers, handle, sizeof *handle, made);
    report(self, made);
    pthread_mutex_unlock(&self->lock);
    return HOSTD_OK;
}

static int32_t watch_cancel(void *context, uint64_t handle, hostd_error *error) {
    (void)error;
    plugin *self = context;
    pthread_mutex_lock(&self->lock);
    subscriber *ended = map_remove(&self->subscribers, &handle, sizeof handle);
    if (ended != NULL) ended->sink(ended->context, HOSTD_SINK_END, NULL, 0);
    pthread_mutex_unlock(&self->lock);
    free(ended);
    return HOSTD_OK;
}

plugin *plugin_create(void) {
    plugin *self = allocate(sizeof *self);
    *self = (plugin){0};
    pthread_mutexattr_t recursive; // A sink may cancel its own watch.
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&self->lock, &recursive);
    self->table = (hostd_device_1){
        .interface = {sizeof self->table, 0, self, HOSTD_DEVICE_1, HOSTD_DEVICE_1_SLOTS},
        .status = status_slot, .list_devices = list_devices_slot, .watch = watch, .watch_cancel = watch_cancel,
        .allocate = allocate_devices_slot, .release = release_devices_slot, .list_allocations = list_allocations_slot,
    };
    return self;
}

int32_t plugin_configure(plugin *self, const json *options, const char *directory, hostd_error *error) {
    (void)error;
    json_free(self->options);
    self->options = json_copy(options);
    snprintf(self->directory, sizeof self->directory, "%s", directory);
    return HOSTD_OK;
}

int32_t plugin_activate(plugin *self, hostd_error *error) {
    json *book;
    int32_t status = read_json_file(self->directory, book_name, &book, error);
    const json *allocations = json_get(book, "allocations");
    for (size_t i = 0; i < json_count(allocations); i++) {
        char *key = allocation_key(json_at(allocations, i));
        json_free(map_put(&self->allocations, key, strlen(key), json_copy(json_at(allocations, i))));
        free(key);
    }
    json_free(book);
    return status;
}

int32_t plugin_deactivate(plugin *self, hostd_error *error) {
    (void)error;
    pthread_mutex_lock(&self->lock);
    while (self->subscribers.count > 0) {
        const map_entry *entry = &self->subscribers.entries[0];
        subscriber *ended = map_remove(&self->subscribers, entry->key, entry->key_size);
        ended->sink(ended->context, HOSTD_SINK_END, NULL, 0);
        free(ended);
    }
    map_free(&self->allocations, free_json); // All of them are in the file.
    pthread_mutex_unlock(&self->lock);
    return HOSTD_OK;
}

void plugin_destroy(plugin *self) {
    map_free(&self->allocations, free_json);
    map_free(&self->subscribers, free);
    json_free(self->options);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

const hostd_interface *plugin_interface(plugin *self, const char *id) {
    return strcmp(id, HOSTD_DEVICE_1) == 0 ? &self->table.interface : NULL;
}
