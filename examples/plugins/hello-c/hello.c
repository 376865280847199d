// A plugin of hostd in C, built with nothing but hostd's header: it answers GET /hello, and logs who asked.
#include <string.h>
#include <unistd.h>

#include "hostd/plugin.h"

static const hostd_log_1 *logger;

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
    (void)self, (void)deadline, (void)request, (void)request_size, (void)body, (void)body_size;
    if (stream >= 0) close(stream); // Ours, and not needed: the answer is short.
    const char *message = "someone said hello";
    logger->log(logger->interface.self, HOSTD_LOG_INFO, (const uint8_t *)message, strlen(message), NULL, 0, error);
    *response = text("{\"status\":200,\"headers\":{\"Content-Type\":\"text/plain\"},\"body\":\"Hello from C.\\n\"}");
    return HOSTD_OK;
}

static const hostd_api_extension_1 extension = {
    .interface = {sizeof extension, 0, NULL, HOSTD_API_EXTENSION_1, HOSTD_API_EXTENSION_1_SLOTS},
    .routes = routes,
    .serve = serve,
};

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

static int32_t configure(void *self, const uint8_t *configuration, uint64_t size, hostd_error *error) {
    (void)self, (void)configuration, (void)size, (void)error;
    return HOSTD_OK;
}

static int32_t nothing(void *self, hostd_error *error) { return (void)self, (void)error, HOSTD_OK; }
static void destroy(void *self) { (void)self; }

static const hostd_interface *get_interface(void *self, const char *id) {
    (void)self;
    return strcmp(id, HOSTD_API_EXTENSION_1) == 0 ? &extension.interface : NULL;
}

__attribute__((visibility("default"))) int32_t hostd_plugin_entry(const hostd_host *host, hostd_plugin *plugin,
                                                                  hostd_error *error) {
    (void)error;
    if (host->abi_minimum > HOSTD_ABI_VERSION || host->abi_maximum < HOSTD_ABI_VERSION) return HOSTD_ERROR_VERSION;
    logger = (const hostd_log_1 *)host->get_interface(host->self, HOSTD_LOG_1);
    *plugin = (hostd_plugin){sizeof *plugin, HOSTD_ABI_VERSION, NULL, describe, schema, configure,
                             nothing, nothing, destroy, get_interface};
    return logger == NULL ? HOSTD_ERROR_NOT_SUPPORTED : HOSTD_OK;
}
