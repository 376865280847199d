// The plugin that is measured: gives back the bytes that it gets.
#include <stdlib.h>
#include <string.h>

#include "echo.h"

static int32_t echo(void *self, const uint8_t *bytes, uint64_t size, hostd_buffer *same, hostd_error *error) {
    (void)self, (void)error;
    uint8_t *copy = malloc(size + 1);
    if (copy == NULL) return HOSTD_ERROR_RESOURCE_EXHAUSTED;
    memcpy(copy, bytes, size);
    *same = (hostd_buffer){copy, size, free, copy};
    return HOSTD_OK;
}

static const echo_1 table = {{sizeof table, 0, NULL, ECHO_1, ECHO_1_SLOTS}, echo};

static int32_t describe(void *self, hostd_buffer *description, hostd_error *error) {
    (void)self, (void)error;
    static const char json[] = "{\"name\":\"echo\",\"version\":\"1.0.0\",\"description\":\"Gives back.\",\"provides\":[\"" ECHO_1 "\"]}";
    *description = (hostd_buffer){(const uint8_t *)json, sizeof json - 1, NULL, NULL};
    return HOSTD_OK;
}

static int32_t schema(void *self, hostd_buffer *schema, hostd_error *error) {
    return (void)self, (void)schema, (void)error, HOSTD_OK;
}
static int32_t configure(void *self, const uint8_t *configuration, uint64_t size, hostd_error *error) {
    return (void)self, (void)configuration, (void)size, (void)error, HOSTD_OK;
}
static int32_t step(void *self, hostd_error *error) { return (void)self, (void)error, HOSTD_OK; }
static void destroy(void *self) { (void)self; }
static const hostd_interface *get_interface(void *self, const char *id) {
    return (void)self, strcmp(id, ECHO_1) == 0 ? &table.interface : NULL;
}

__attribute__((visibility("default"))) int32_t hostd_plugin_entry(const hostd_host *host, hostd_plugin *plugin,
                                                                  hostd_error *error) {
    (void)host, (void)error;
    *plugin = (hostd_plugin){sizeof *plugin, HOSTD_ABI_VERSION, NULL, describe, schema, configure, step, step, destroy,
                             get_interface};
    return HOSTD_OK;
}
