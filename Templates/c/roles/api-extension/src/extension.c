// @NAME@: paths behind the API front. GET /@NAME@ greets the caller, GET /@NAME@/count streams numbers.
//
//   kubectl get --raw /@NAME@
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "plugin.h"

const char plugin_description[] = "{\"name\":\"@NAME@\",\"version\":\"1.0.0\",\"description\":\"Serves /@NAME@.\","
                                  "\"provides\":[\"hostd.api-extension/1\"]}";
const char plugin_schema[] = "{\"type\":\"object\",\"properties\":{\"greeting\":{\"type\":\"string\",\"maxLength\":100,"
                             "\"default\":\"Hello\"}}}";
static const char route_table[] = "{\"routes\":[{\"methods\":[\"GET\"],\"path\":\"/@NAME@\",\"upgrade\":\"none\"},"
                                  "{\"methods\":[\"GET\"],\"path\":\"/@NAME@/count\",\"upgrade\":\"none\"}]}";

struct plugin {
    plugin_base base;
    hostd_api_extension_1 table;
    char *greeting;
    pthread_mutex_t lock;
    pthread_cond_t ended; // A stream has.
    int streams;
    bool stopping;
};

typedef struct {
    plugin *owner;
    int stream;
} count_job;

static bool is_stopping(plugin *self) {
    pthread_mutex_lock(&self->lock);
    bool stopping = self->stopping;
    pthread_mutex_unlock(&self->lock);
    return stopping;
}

// Sends one packet for each chunk of the body. Closing the socket ends the response.
static void *send_numbers(void *argument) {
    count_job job = *(count_job *)argument;
    free(argument);
    struct timeval limit = {.tv_sec = 1}; // So that a client that does not read cannot hold up `deactivate`.
    setsockopt(job.stream, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    for (int number = 1; number <= 10 && !is_stopping(job.owner); number++) {
        char line[16];
        int size = snprintf(line, sizeof line, "%d\n", number);
        if (send(job.stream, line, (size_t)size, MSG_NOSIGNAL) < 0) break; // The client is gone.
    }
    close(job.stream);
    pthread_mutex_lock(&job.owner->lock);
    job.owner->streams--;
    pthread_cond_broadcast(&job.owner->ended);
    pthread_mutex_unlock(&job.owner->lock);
    return NULL;
}

// Starts the thread of a stream; from then on the socket is its own.
static int32_t start_stream(plugin *self, int stream, hostd_error *error) {
    if (stream < 0) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "a stream needs a socket");
    count_job *job = allocate(sizeof *job);
    *job = (count_job){self, stream};
    pthread_mutex_lock(&self->lock);
    pthread_t thread;
    int code = self->stopping ? ESHUTDOWN : pthread_create(&thread, NULL, send_numbers, job);
    if (code == 0) self->streams++, pthread_detach(thread);
    pthread_mutex_unlock(&self->lock);
    if (code == 0) return HOSTD_OK;
    free(job);
    close(stream);
    return fail(error, HOSTD_ERROR_UNAVAILABLE, "a stream cannot be started: %s", strerror(code));
}

static int32_t routes(void *self, hostd_buffer *json, hostd_error *error) {
    if (check_active(self, error) < 0) return HOSTD_ERROR_WRONG_STATE;
    *json = constant_buffer(route_table);
    return HOSTD_OK;
}

static int32_t serve(void *context, uint64_t deadline, const uint8_t *request, uint64_t request_size, const uint8_t *body,
                     uint64_t body_size, int32_t stream, hostd_buffer *response, hostd_error *error) {
    (void)deadline, (void)body, (void)body_size;
    plugin *self = context;
    json *parsed = json_parse(request, request_size);
    const char *path = json_string(json_get(parsed, "path"), "");
    const char *user = json_string(json_get(json_get(parsed, "user"), "name"), "stranger");
    text answer = {0}, greeting = {0};
    int32_t status = check_active(self, error);
    if (status < 0) {
        // Nothing begins.
    } else if (json_kind_of(parsed) == JSON_OBJECT && strcmp(path, "/@NAME@/count") == 0) {
        status = start_stream(self, stream, error);
        stream = -1; // Given away, whatever became of it.
        if (status == HOSTD_OK)
            text_add(&answer, "{\"status\":200,\"headers\":{\"Content-Type\":\"text/plain\"},\"stream\":true}");
    } else if (json_kind_of(parsed) == JSON_OBJECT) {
        text_add(&greeting, "%s, %s.\n", self->greeting, user);
        text_add_bytes(&greeting, "", 1);
        text_add(&answer, "{\"status\":200,\"headers\":{\"Content-Type\":\"text/plain\"},\"body\":%q}", greeting.bytes);
        write_log(self->base.log, HOSTD_LOG_INFO, "greeted %.64s", user);
    } else {
        status = fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request is not a JSON object");
    }
    if (stream >= 0) close(stream); // It is ours from the moment of the call, also when it is not needed.
    text_free(&greeting);
    json_free(parsed);
    if (status == HOSTD_OK) *response = text_buffer(&answer);
    return status;
}

plugin *plugin_create(void) {
    plugin *self = allocate(sizeof *self);
    *self = (plugin){.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER, .stopping = true};
    self->table = (hostd_api_extension_1){
        .interface = {sizeof self->table, 0, self, HOSTD_API_EXTENSION_1, HOSTD_API_EXTENSION_1_SLOTS},
        .routes = routes, .serve = serve,
    };
    return self;
}

int32_t plugin_configure(plugin *self, const json *options, const char *directory, hostd_error *error) {
    (void)directory, (void)error;
    const char *greeting = json_string(json_get(options, "greeting"), "Hello");
    free(self->greeting);
    self->greeting = copy_text(greeting, strlen(greeting));
    return HOSTD_OK;
}

int32_t plugin_activate(plugin *self, hostd_error *error) {
    (void)error;
    pthread_mutex_lock(&self->lock);
    self->stopping = false;
    pthread_mutex_unlock(&self->lock);
    return HOSTD_OK;
}

// No thread is left when this returns.
int32_t plugin_deactivate(plugin *self, hostd_error *error) {
    (void)error;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    while (self->streams > 0) pthread_cond_wait(&self->ended, &self->lock);
    pthread_mutex_unlock(&self->lock);
    return HOSTD_OK;
}

void plugin_destroy(plugin *self) {
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->ended);
    free(self->greeting);
    free(self);
}

const hostd_interface *plugin_interface(plugin *self, const char *id) {
    return strcmp(id, HOSTD_API_EXTENSION_1) == 0 ? &self->table.interface : NULL;
}
