// One path, served by the rules, and with -DFAULT=NAME against one of them.
#include <unistd.h>

#include "faults.h"
#include "hostd/plugin.h"
#include "../json.h"

typedef struct state {
    hostd_api_extension_1 table;
} state;

static hostd_buffer copy_of(const char *bytes);
static int32_t fail(hostd_error *error, int32_t code, const char *message);

static int32_t routes(void *self, hostd_buffer *json, hostd_error *error) {
    (void)self, (void)error;
    const char *methods = FAULT == NO_METHODS ? "[]" : "[\"GET\"]";
    char text[256];
    snprintf(text, sizeof text, "{\"routes\":[{\"methods\":%s,\"path\":\"%s\",\"upgrade\":\"none\"}]}", methods,
             FAULT == RELATIVE_PATH ? "toy" : "/toy/{name}");
    *json = copy_of(text);
    return HOSTD_OK;
}

static int32_t serve(void *self, uint64_t deadline, const uint8_t *request, uint64_t size, const uint8_t *body,
                     uint64_t body_size, int32_t stream, hostd_buffer *response, hostd_error *error) {
    (void)self, (void)deadline, (void)body, (void)body_size;
    if (stream >= 0) close(stream);
    if (!is_object(request, size)) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request is no object");
    *response = copy_of(FAULT == HEAD_IS_TEXT ? "200 OK" : FAULT == NO_STATUS ? "{\"body\":\"\"}" : "{\"status\":200,\"body\":\"toy\"}");
    return HOSTD_OK;
}

static void make_table(state *state) {
    state->table = (hostd_api_extension_1){
        .interface = {sizeof state->table, 0, state, HOSTD_API_EXTENSION_1, HOSTD_API_EXTENSION_1_SLOTS},
        .routes = routes, .serve = serve,
    };
}

#define NAME "toy-paths"
#define ROLE HOSTD_API_EXTENSION_1
#include "../shell.h"
