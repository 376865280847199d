// One plugin that can be bad in many ways: the tests build it with -DCASE=NAME for each of them. Without a fault it is a
// good provider of hostd.scheduler/1.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostd/plugin.h"

enum {
    GOOD, WRONG_ABI, REFUSES_ABI, ENTRY_ERROR, ENTRY_POSITIVE, ENTRY_SILENT, ENTRY_LONG, SMALL_TABLE, NULL_FUNCTION,
    DESCRIBE_ERROR, DESCRIBE_LONG, DESCRIBE_LONG_ERROR, DESCRIBE_NOT_JSON, DESCRIBE_LONG_NAME, DESCRIBE_BAD_ROLE,
    DESCRIBE_BAD_TEXT, SCHEMA_ERROR, SCHEMA_LONG, SCHEMA_LONG_ERROR, SCHEMA_NOT_JSON, SCHEMA_BAD_KEYWORD, CONFIGURE_ERROR,
    CONFIGURE_LONG_ERROR, ACTIVATE_ERROR, ACTIVATE_LONG_ERROR, DEACTIVATE_ERROR, DEACTIVATE_LONG_ERROR, CONSTRUCTOR_PRINTS,
    NULL_SLOTS, NO_TABLE, OTHER_ID, OTHER_SLOTS, BAD_SLOTS, REQUIRES_ABSENT, REQUIRES_ITSELF, OPTIONS, OWN_ROLE, SLOW_ACTIVATION, NO_ENTRY,
};
#ifndef CASE
#define CASE GOOD
#endif
#ifndef NAME
#define NAME "bad"
#endif
#ifndef OTHER
#define OTHER "other"
#endif

static const hostd_host *host;

static void release(void *context) { free(context); }

static hostd_buffer repeated(size_t size) {
    uint8_t *bytes = malloc(size);
    memset(bytes, 'x', size);
    return (hostd_buffer){.data = bytes, .size = size, .release = release, .context = bytes};
}

static hostd_buffer text(const char *constant) {
    return (hostd_buffer){.data = (const uint8_t *)constant, .size = strlen(constant)};
}

static int32_t fail(hostd_error *error, int32_t code, hostd_buffer message) {
    error->code = code;
    error->message = message;
    return code;
}

/// What a step does: its own error, an over-long one, or success.
static int32_t step(hostd_error *error, int error_case, int long_case) {
    if (CASE == error_case) return fail(error, HOSTD_ERROR_UNAVAILABLE, text("the fixture cannot: try tomorrow"));
    if (CASE == long_case) return fail(error, HOSTD_ERROR_INTERNAL, repeated(1 << 20));
    return HOSTD_OK;
}

static int32_t node_remove(void *self, const uint8_t *name, uint64_t size, hostd_error *error) {
    (void)self;
    if (size > 4 && memcmp(name, "error", 5) == 0) return fail(error, HOSTD_ERROR_NOT_FOUND, text("no such node"));
    if (size > 7 && memcmp(name, "positive", 8) == 0) return 7;
    return HOSTD_OK;
}

static int32_t reset(void *self, hostd_error *error) { return (void)self, (void)error, HOSTD_OK; }

static const hostd_scheduler_1 scheduler = {
    .interface = {sizeof scheduler, 0, NULL,
                  CASE == OTHER_ID ? "hostd.other/1" : HOSTD_SCHEDULER_1,
                  CASE == OTHER_SLOTS ? "node_set:be" : CASE == BAD_SLOTS ? "node_set:x" : HOSTD_SCHEDULER_1_SLOTS},
    .node_remove = node_remove,
    .reset = CASE == NULL_SLOTS ? NULL : reset,
};

/// com.example.cache/1, which no header of hostd knows: echoes a key.
static int32_t cache_get(void *self, const uint8_t *key, uint64_t size, hostd_buffer *value, hostd_error *error) {
    (void)self, (void)error;
    uint8_t *copy = malloc(size + 1);
    memcpy(copy, key, size);
    *value = (hostd_buffer){copy, size, release, copy};
    return HOSTD_OK;
}

static const struct {
    hostd_interface interface;
    int32_t (*get)(void *, const uint8_t *, uint64_t, hostd_buffer *, hostd_error *);
} cache = {{sizeof cache, 0, NULL, "com.example.cache/1", "get:boe"}, cache_get};

static int32_t describe(void *self, hostd_buffer *out, hostd_error *error) {
    (void)self;
    switch (CASE) {
    case DESCRIBE_LONG: *out = repeated(1 << 20); return HOSTD_OK;
    case DESCRIBE_NOT_JSON: *out = text("{\"name\":"); return HOSTD_OK;
    case DESCRIBE_BAD_TEXT: *out = text("{\"name\":\"\xff\xfe\"}"); return HOSTD_OK;
    case DESCRIBE_BAD_ROLE: *out = text("{\"name\":\"bad\",\"version\":\"1\",\"provides\":[\"Scheduler\"]}"); return HOSTD_OK;
    case DESCRIBE_LONG_NAME: {
        char *json = malloc(2048);
        int size = snprintf(json, 2048, "{\"name\":\"%0*d\",\"version\":\"1\"}", 1000, 0);
        *out = (hostd_buffer){(const uint8_t *)json, (uint64_t)size, release, json};
        return HOSTD_OK;
    }
    case REQUIRES_ABSENT:
        *out = text("{\"name\":\"" NAME "\",\"version\":\"1\",\"requires\":[\"com.example.absent/1\"]}");
        return HOSTD_OK;
    case OWN_ROLE:
        *out = text("{\"name\":\"" NAME "\",\"version\":\"1\",\"provides\":[\"com.example.cache/1\"]}");
        return HOSTD_OK;
    case REQUIRES_ITSELF:
        *out = text("{\"name\":\"" NAME "\",\"version\":\"1\",\"provides\":[\"com.example." NAME "/1\"],"
                    "\"requires\":[\"com.example." OTHER "/1\"]}");
        return HOSTD_OK;
    default: break;
    }
    int32_t status = step(error, DESCRIBE_ERROR, DESCRIBE_LONG_ERROR);
    if (status == HOSTD_OK) {
        *out = text("{\"name\":\"" NAME "\",\"version\":\"1\",\"provides\":[\"hostd.scheduler/1\"]}");
    }
    return status;
}

static int32_t schema(void *self, hostd_buffer *out, hostd_error *error) {
    (void)self;
    switch (CASE) {
    case SCHEMA_LONG: *out = repeated(1 << 20); return HOSTD_OK;
    case SCHEMA_NOT_JSON: *out = text("type: object"); return HOSTD_OK;
    case SCHEMA_BAD_KEYWORD: *out = text("{\"type\":\"object\",\"oneOf\":[]}"); return HOSTD_OK;
    case OPTIONS:
        *out = text("{\"type\":\"object\",\"properties\":{\"port\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535,"
                    "\"default\":53},\"mode\":{\"type\":\"string\",\"enum\":[\"fast\",\"safe\"]}}}");
        return HOSTD_OK;
    default: return step(error, SCHEMA_ERROR, SCHEMA_LONG_ERROR);
    }
}

static int32_t configure(void *self, const uint8_t *configuration, uint64_t size, hostd_error *error) {
    (void)self;
    char *copy = strndup((const char *)configuration, size);
    int has_default = strstr(copy, "\"port\":53") != NULL;
    free(copy);
    if (CASE == OPTIONS && !has_default) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, text("the default is missing"));
    return step(error, CONFIGURE_ERROR, CONFIGURE_LONG_ERROR);
}

static int32_t activate(void *self, hostd_error *error) {
    (void)self;
    if (CASE == SLOW_ACTIVATION) { // Until the process is asked to stop: the signal is blocked, and so stays pending.
        fprintf(stderr, "activating slowly\n");
        sigset_t pending;
        do {
            usleep(1000);
            sigpending(&pending);
        } while (!sigismember(&pending, SIGTERM));
    }
    return step(error, ACTIVATE_ERROR, ACTIVATE_LONG_ERROR);
}
static int32_t deactivate(void *self, hostd_error *error) {
    return (void)self, step(error, DEACTIVATE_ERROR, DEACTIVATE_LONG_ERROR);
}
static void destroy(void *self) { (void)self; }

static const hostd_interface *get_interface(void *self, const char *id) {
    (void)self;
    if (CASE == OWN_ROLE) return strcmp(id, "com.example.cache/1") == 0 ? &cache.interface : NULL;
    return CASE != NO_TABLE && strcmp(id, HOSTD_SCHEDULER_1) == 0 ? &scheduler.interface : NULL;
}

__attribute__((constructor)) static void constructed(void) {
    if (CASE != CONSTRUCTOR_PRINTS) return;
    printf("a constructor prints on standard output\n");
    fflush(stdout);
}

#if !defined(WITHOUT_ENTRY)
__attribute__((visibility("default"))) int32_t hostd_plugin_entry(const hostd_host *given, hostd_plugin *plugin,
                                                                  hostd_error *error) {
    host = given;
    switch (CASE) {
    case ENTRY_ERROR: return fail(error, HOSTD_ERROR_FORBIDDEN, text("the fixture does not want to"));
    case ENTRY_POSITIVE: return 3;
    case ENTRY_SILENT: return HOSTD_ERROR_INTERNAL;
    case ENTRY_LONG: return fail(error, HOSTD_ERROR_INTERNAL, repeated(1 << 20));
    case REFUSES_ABI: return fail(error, HOSTD_ERROR_VERSION, text("the fixture needs ABI version 7"));
    default: break;
    }
    *plugin = (hostd_plugin){CASE == SMALL_TABLE ? 16 : sizeof *plugin, CASE == WRONG_ABI ? 99 : HOSTD_ABI_VERSION, NULL,
                             describe, schema, configure, activate, deactivate, destroy, get_interface};
    if (CASE == NULL_FUNCTION) memset(&plugin->activate, 0, sizeof plugin->activate);
    return HOSTD_OK;
}
#endif
