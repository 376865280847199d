// Entry, life cycle and errors: the same for every role. Start reading in the role's file.
#include "plugin.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

hostd_buffer constant_buffer(const char *constant) {
    return (hostd_buffer){.data = (const uint8_t *)constant, .size = strlen(constant)};
}

hostd_buffer text_buffer(text *taken) {
    hostd_buffer buffer = {(const uint8_t *)taken->bytes, taken->size, free, taken->bytes};
    *taken = (text){0};
    return buffer;
}

int32_t fail(hostd_error *error, int32_t code, const char *format, ...) {
    if (error == NULL || error->struct_size < sizeof *error) return code; // No room for more than the status.
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    error->code = code;
    error->retryable = code == HOSTD_ERROR_UNAVAILABLE || code == HOSTD_ERROR_DEADLINE_EXCEEDED;
    text sentence = {0};
    text_add(&sentence, "%s", message);
    error->message = text_buffer(&sentence);
    return code;
}

void write_log(const hostd_log_1 *log, uint32_t level, const char *format, ...) {
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    hostd_error error = {.struct_size = sizeof error};
    int32_t status = log->log(log->interface.self, level, (const uint8_t *)message, strlen(message), NULL, 0, &error);
    if (status < 0 && error.message.release != NULL) error.message.release(error.message.context);
}

uint64_t monotonic_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int32_t answer_json(json_handler *handler, void *self, uint64_t deadline, const uint8_t *request, uint64_t size,
                    hostd_buffer *response, hostd_error *error) {
    int32_t status = check_active(self, error);
    if (status < 0) return status;
    if (deadline != 0 && monotonic_nanoseconds() > deadline)
        return fail(error, HOSTD_ERROR_DEADLINE_EXCEEDED, "the deadline had passed when the call came in");
    json *parsed = json_parse(request, size);
    if (json_kind_of(parsed) != JSON_OBJECT) {
        json_free(parsed);
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request is not a JSON object");
    }
    text answer = {0};
    status = handler(self, parsed, &answer, error);
    json_free(parsed);
    if (status < 0) {
        text_free(&answer);
        return status;
    }
    if (answer.size == 0) text_add(&answer, "{}");
    *response = text_buffer(&answer);
    return HOSTD_OK;
}

int32_t check_active(const void *self, hostd_error *error) {
    if (((const plugin_base *)self)->state == PLUGIN_ACTIVE) return HOSTD_OK;
    return fail(error, HOSTD_ERROR_WRONG_STATE, "the plugin is not active");
}

static int32_t describe(void *self, hostd_buffer *description, hostd_error *error) {
    (void)self, (void)error;
    *description = constant_buffer(plugin_description);
    return HOSTD_OK;
}

static int32_t schema(void *self, hostd_buffer *schema, hostd_error *error) {
    (void)self, (void)error;
    *schema = constant_buffer(plugin_schema);
    return HOSTD_OK;
}

static int32_t configure(void *self, const uint8_t *configuration, uint64_t size, hostd_error *error) {
    plugin_base *base = self;
    if (base->state == PLUGIN_ACTIVE) return fail(error, HOSTD_ERROR_WRONG_STATE, "the plugin is active: deactivate it first");
    json *parsed = json_parse(configuration, size);
    if (json_kind_of(parsed) != JSON_OBJECT) {
        json_free(parsed);
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the configuration is not a JSON object");
    }
    const char *directory = json_string(json_get(json_get(parsed, "paths"), "plugin"), "");
    int32_t status = plugin_configure(self, json_get(parsed, "options"), directory, error);
    json_free(parsed);
    if (status == HOSTD_OK) base->state = PLUGIN_CONFIGURED;
    return status;
}

static int32_t activate(void *self, hostd_error *error) {
    plugin_base *base = self;
    if (base->state != PLUGIN_CONFIGURED)
        return fail(error, HOSTD_ERROR_WRONG_STATE, base->state == PLUGIN_ACTIVE ? "the plugin is active" : "the plugin is not configured");
    int32_t status = plugin_activate(self, error);
    if (status == HOSTD_OK) base->state = PLUGIN_ACTIVE;
    return status;
}

static int32_t deactivate(void *self, hostd_error *error) {
    plugin_base *base = self;
    if (base->state != PLUGIN_ACTIVE) return HOSTD_OK;
    base->state = PLUGIN_CONFIGURED; // From here on, slots refuse.
    return plugin_deactivate(self, error);
}

static void destroy(void *self) { plugin_destroy(self); }
static const hostd_interface *get_interface(void *self, const char *id) { return plugin_interface(self, id); }

__attribute__((visibility("default"))) int32_t hostd_plugin_entry(const hostd_host *host, hostd_plugin *out,
                                                                  hostd_error *error) {
    if (host->abi_minimum > HOSTD_ABI_VERSION || host->abi_maximum < HOSTD_ABI_VERSION)
        return fail(error, HOSTD_ERROR_VERSION, "this plugin speaks ABI %d, the host offers %u to %u", HOSTD_ABI_VERSION,
                    host->abi_minimum, host->abi_maximum);
    if (out->struct_size < sizeof *out)
        return fail(error, HOSTD_ERROR_VERSION, "the host has room for %u bytes of hostd_plugin, this plugin needs %zu",
                    out->struct_size, sizeof *out);
    const hostd_log_1 *log = (const hostd_log_1 *)host->get_interface(host->self, HOSTD_LOG_1);
    if (log == NULL) return fail(error, HOSTD_ERROR_NOT_SUPPORTED, "the host lacks " HOSTD_LOG_1);
    plugin *self = plugin_create();
    plugin_base *base = (plugin_base *)self;
    base->host = host, base->log = log, base->state = PLUGIN_NEW;
    *out = (hostd_plugin){sizeof *out, HOSTD_ABI_VERSION, self,    describe, schema, configure,
                          activate,    deactivate,        destroy, get_interface};
    return HOSTD_OK;
}
