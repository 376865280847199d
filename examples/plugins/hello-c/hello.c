// A plugin of hostd in C, built with nothing but hostd's header: it answers GET /hello, and logs who asked.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostd/plugin.h"

/// All state lies behind `self`: the host may hold two instances of one image at once.
typedef struct hello {
    hostd_api_extension_1 extension;
    const hostd_log_1 *log;
    enum { ENTERED, CONFIGURED, ACTIVE } stage;
} hello;

static hostd_buffer text(const char *constant) { // Constant text needs no release.
    return (hostd_buffer){.data = (const uint8_t *)constant, .size = strlen(constant)};
}

static int32_t routes(void *self, hostd_buffer *json, hostd_error *error) {
    (void)self, (void)error;
    *json = text("{\"routes\":[{\"methods\":[\"GET\"],\"path\":\"/hello\",\"upgrade\":\"none\"}]}");
    return HOSTD_OK;
}

static int32_t serve(void *self, uint64_t deadline, const uint8_t *request, uint64_t request_size, const uint8_t *body,
                     uint64_t body_size, int32_t stream, hostd_buffer *response, hostd_error *error) {
    (void)deadline, (void)request, (void)request_size, (void)body, (void)body_size;
    if (stream >= 0) close(stream); // Ours, and not needed: the answer is short.
    const hostd_log_1 *log = ((hello *)self)->log;
    const char *message = "someone said hello";
    log->log(log->interface.self, HOSTD_LOG_INFO, (const uint8_t *)message, strlen(message), NULL, 0, error);
    *response = text("{\"status\":200,\"headers\":{\"Content-Type\":\"text/plain\"},\"body\":\"Hello from C.\\n\"}");
    return HOSTD_OK;
}

static int32_t describe(void *self, hostd_buffer *description, hostd_error *error) {
    (void)self, (void)error;
    *description = text("{\"name\":\"hello\",\"version\":\"1.0.0\",\"description\":\"Says hello.\","
                        "\"provides\":[\"hostd.api-extension/1\"]}");
    return HOSTD_OK;
}

static int32_t schema(void *self, hostd_buffer *schema, hostd_error *error) {
    (void)self, (void)schema, (void)error;
    return HOSTD_OK; // No options.
}

/// A step out of order is refused.
static int32_t configure(void *self, const uint8_t *configuration, uint64_t size, hostd_error *error) {
    (void)configuration, (void)size, (void)error;
    hello *hello = self;
    if (hello->stage == ACTIVE) return HOSTD_ERROR_WRONG_STATE;
    hello->stage = CONFIGURED;
    return HOSTD_OK;
}

static int32_t activate(void *self, hostd_error *error) {
    (void)error;
    hello *hello = self;
    if (hello->stage != CONFIGURED) return HOSTD_ERROR_WRONG_STATE;
    hello->stage = ACTIVE;
    return HOSTD_OK;
}

static int32_t deactivate(void *self, hostd_error *error) {
    (void)error;
    hello *hello = self;
    if (hello->stage == ACTIVE) hello->stage = CONFIGURED; // Nothing runs that would have to end.
    return HOSTD_OK;
}

static const hostd_interface *get_interface(void *self, const char *id) {
    return strcmp(id, HOSTD_API_EXTENSION_1) == 0 ? &((hello *)self)->extension.interface : NULL;
}

__attribute__((visibility("default"))) int32_t hostd_plugin_entry(const hostd_host *host, hostd_plugin *plugin,
                                                                  hostd_error *error) {
    (void)error;
    if (host->abi_minimum > HOSTD_ABI_VERSION || host->abi_maximum < HOSTD_ABI_VERSION) return HOSTD_ERROR_VERSION;
    const hostd_log_1 *log = (const hostd_log_1 *)host->get_interface(host->self, HOSTD_LOG_1);
    hello *self = log == NULL ? NULL : calloc(1, sizeof *self);
    if (self == NULL) return HOSTD_ERROR_NOT_SUPPORTED;
    self->log = log;
    self->extension = (hostd_api_extension_1){
        .interface = {sizeof self->extension, 0, self, HOSTD_API_EXTENSION_1, HOSTD_API_EXTENSION_1_SLOTS},
        .routes = routes,
        .serve = serve,
    };
    *plugin = (hostd_plugin){sizeof *plugin, HOSTD_ABI_VERSION, self, describe, schema, configure,
                             activate, deactivate, free, get_interface};
    return HOSTD_OK;
}
