// The runtime that `hostd plugin new` writes in C: as it is, and with -DFAULT=NAME with one slot in front that breaks a
// rule.
#define plugin_description template_description
#define plugin_create template_create
#include "../../../Templates/c/roles/runtime/src/runtime.c"
#undef plugin_description
#undef plugin_create

#include "faults.h"

const char plugin_description[] = "{\"name\":\"toy-runtime\",\"version\":\"1.0.0\",\"provides\":[\"hostd.runtime/1\"]}";

// The correct slots, which are the same for every instance.
static hostd_runtime_1 good;

#define ARGUMENTS                                                                                                       \
    void *self, uint64_t deadline, const uint8_t *request, uint64_t size, hostd_buffer *response, hostd_error *error
#define PASSED self, deadline, request, size, response, error

static void release_copy(void *context) { free(context); }

// Puts `to` in place of every `from` of an answer.
static int32_t replace(int32_t status, hostd_buffer *response, const char *from, const char *to) {
    if (status != HOSTD_OK || response->size == 0) return status;
    char *text = strndup((const char *)response->data, response->size);
    size_t room = strlen(text) * (1 + strlen(to)) + 1, length = 0;
    char *changed = malloc(room);
    for (const char *next = text; *next != 0;) {
        int is_there = strncmp(next, from, strlen(from)) == 0;
        if (is_there) memcpy(changed + length, to, strlen(to));
        else changed[length] = *next;
        length += is_there ? strlen(to) : 1, next += is_there ? strlen(from) : 1;
    }
    free(text);
    if (response->release != NULL) response->release(response->context);
    *response = (hostd_buffer){.data = (const uint8_t *)changed, .size = length, .release = release_copy, .context = changed};
    return status;
}

static int32_t list_sandboxes_faulty(ARGUMENTS) { return replace(good.list_sandboxes(PASSED), response, "notReady", "ready"); }

static int32_t list_containers_faulty(ARGUMENTS) {
    switch (FAULT) {
    case STAYS_RUNNING: return replace(good.list_containers(PASSED), response, "\"exited\"", "\"running\"");
    case ENDS_WELL: return replace(good.list_containers(PASSED), response, "\"exitCode\":7", "\"exitCode\":0");
    case ENDS_NEVER: return replace(good.list_containers(PASSED), response, "finishedAt", "endedAt");
    default: break;
    }
    // All, whatever sandbox was asked for; what is no request stays none.
    char *text = strndup((const char *)request, size);
    int is_filtered = strstr(text, "\"sandboxID\"") != NULL && text[0] == '{';
    free(text);
    return is_filtered ? good.list_containers(self, deadline, (const uint8_t *)"{}", 2, response, error) : good.list_containers(PASSED);
}

// Refuses an id that no container has.
static int32_t need_container(ARGUMENTS) {
    hostd_buffer list = {0};
    int32_t status = good.list_containers(self, deadline, request, size, &list, error);
    int is_there = status == HOSTD_OK && memmem(list.data, list.size, "\"sandboxID\"", 11) != NULL;
    if (list.release != NULL) list.release(list.context);
    if (status != HOSTD_OK || is_there) return status;
    return fail(error, HOSTD_ERROR_NOT_FOUND, "there is no such container");
}

static int32_t stop_once(ARGUMENTS) {
    int32_t status = need_container(PASSED);
    return status == HOSTD_OK ? good.stop_container(PASSED) : status;
}

static int32_t remove_once(ARGUMENTS) {
    int32_t status = need_container(PASSED);
    return status == HOSTD_OK ? good.remove_container(PASSED) : status;
}

// The sandbox alone: its containers are another's.
static int32_t leave_containers(ARGUMENTS) {
    plugin *it = self;
    int32_t status = good.stop_sandbox(PASSED);
    if (status != HOSTD_OK) return status;
    json *parsed = json_parse(request, size);
    const char *id = json_string(json_get(parsed, "id"), "");
    pthread_mutex_lock(&it->lock);
    sandbox_free(map_remove(&it->sandboxes, id, strlen(id)));
    pthread_mutex_unlock(&it->lock);
    json_free(parsed);
    return HOSTD_OK;
}

static int32_t exec_sync_faulty(ARGUMENTS) {
    int32_t status = good.exec_sync(PASSED);
    return FAULT == EXECUTES_WELL ? replace(status, response, "\"exitCode\":9", "\"exitCode\":0")
                                  : replace(status, response, "\"stderr\":\"", "\"stderr\":\"\",\"lost\":\"");
}

typedef struct {
    hostd_completion completion;
    void *context;
} completing;

static void complete_well(void *context, int32_t status, const uint8_t *data, uint64_t size, const hostd_error *error) {
    completing to = *(completing *)context;
    free(context);
    if (status == HOSTD_OK) data = (const uint8_t *)"{\"exitCode\":0}", size = 14;
    to.completion(to.context, status, data, size, error);
}

static int32_t exec_faulty(void *self, const uint8_t *request, uint64_t size, int32_t input, int32_t output, int32_t errors,
                           hostd_completion completion, void *context, uint64_t *operation, hostd_error *error) {
    completing *made = malloc(sizeof *made);
    *made = (completing){completion, context};
    int32_t status = good.exec(self, request, size, input, output, errors, completion == NULL ? NULL : complete_well, made,
                               operation, error);
    if (status != HOSTD_OK) free(made);
    return status;
}

// Every write of the plugin comes by here (the linker's --wrap): of the log's lines, one in a hundred is lost.
ssize_t __real_write(int file, const void *bytes, size_t size);
ssize_t __wrap_write(int file, const void *bytes, size_t size) {
    static _Atomic unsigned lines;
    int is_line = size > 38 && memmem(bytes, 50 < size ? 50 : size, " stdout F", 9) != NULL;
    if (FAULT == LOSES_LINES && is_line && ++lines % 100 == 0) return (ssize_t)size;
    return __real_write(file, bytes, size);
}

plugin *plugin_create(void) {
    plugin *self = template_create();
    hostd_runtime_1 *table = &self->table;
    good = *table;
    if (FAULT == STAYS_READY) table->list_sandboxes = list_sandboxes_faulty;
    if (FAULT == STAYS_RUNNING || FAULT == ENDS_WELL || FAULT == ENDS_NEVER || FAULT == LISTS_ALL)
        table->list_containers = list_containers_faulty;
    if (FAULT == STOPS_ONCE) table->stop_container = stop_once;
    if (FAULT == REMOVES_ONCE) table->remove_container = remove_once;
    if (FAULT == LEAVES_CONTAINERS) table->remove_sandbox = leave_containers;
    if (FAULT == LOSES_ERRORS || FAULT == EXECUTES_WELL) table->exec_sync = exec_sync_faulty;
    if (FAULT == COMPLETES_WELL) table->exec = exec_faulty;
    return self;
}
