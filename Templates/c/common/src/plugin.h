// What is the same for every plugin (plugin.c), and what the role's own file gives it.
#ifndef PLUGIN_H
#define PLUGIN_H

#include <stdbool.h>

#include "hostd/plugin.h"
#include "json.h"

// What every instance begins with. plugin.c fills it, and keeps the life cycle in order by it.
typedef struct {
    const hostd_host *host; // For services and other roles, by get_interface.
    const hostd_log_1 *log;
    _Atomic int state; // PLUGIN_…
} plugin_base;
enum { PLUGIN_NEW, PLUGIN_CONFIGURED, PLUGIN_ACTIVE };

// Given by the role's file. `struct plugin`, which begins with a plugin_base, is one instance: entry may be called more than
// once, so nothing is global.
typedef struct plugin plugin;
extern const char plugin_description[]; // JSON, see hostd_plugin.describe
extern const char plugin_schema[];      // JSON Schema of the options; "" when there are none
plugin *plugin_create(void);
// `directory` is the plugin's own, below the host's data directory. Validates and keeps; starts nothing.
int32_t plugin_configure(plugin *self, const json *options, const char *directory, hostd_error *error);
int32_t plugin_activate(plugin *self, hostd_error *error);
int32_t plugin_deactivate(plugin *self, hostd_error *error); // When it returns, nothing of the plugin runs.
void plugin_destroy(plugin *self);
const hostd_interface *plugin_interface(plugin *self, const char *id);

// Fills the caller's error and returns `code`, so that a slot can end with `return fail(error, …)`.
int32_t fail(hostd_error *error, int32_t code, const char *format, ...) __attribute__((format(printf, 3, 4)));
void write_log(const hostd_log_1 *log, uint32_t level, const char *format, ...) __attribute__((format(printf, 3, 4)));

// HOSTD_OK while the plugin is active, else WRONG_STATE: what every slot asks first. `self` is the table's.
int32_t check_active(const void *self, hostd_error *error);
// Constant text as an owned buffer: there is nothing to release.
hostd_buffer constant_buffer(const char *constant);
// Hands the text's bytes to the receiver, who frees them with `release`.
hostd_buffer text_buffer(text *taken);
uint64_t monotonic_nanoseconds(void);

// Slots of the shape `tboe`: a deadline, a JSON request, a JSON answer. JSON_SLOT(attach) makes `attach_slot`, which
// parses the request, calls `attach`, and hands its answer out.
typedef int32_t json_handler(plugin *self, const json *request, text *answer, hostd_error *error);
int32_t answer_json(json_handler *handler, void *self, uint64_t deadline, const uint8_t *request, uint64_t size,
                    hostd_buffer *response, hostd_error *error);
#define JSON_SLOT(name)                                                                                                \
    static int32_t name##_slot(void *self, uint64_t deadline, const uint8_t *request, uint64_t size,                   \
                               hostd_buffer *response, hostd_error *error) {                                           \
        return answer_json(name, self, deadline, request, size, response, error);                                      \
    }

#endif
