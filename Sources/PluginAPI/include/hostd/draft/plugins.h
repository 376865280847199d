/// Draft of the host service hostd.plugins/1: swaps plugins, and tells of them. A draft may change until it is promoted;
/// its id stays. Include it after hostd/plugin.h.
#ifndef HOSTD_DRAFT_PLUGINS_H
#define HOSTD_DRAFT_PLUGINS_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_PLUGINS_1 "hostd.plugins/1"
#define HOSTD_PLUGINS_1_SLOTS "describe:oe;watch:vHe;unwatch:he;request:boe"
#define HOSTD_PLUGINS_1_ENDS "watch:unwatch"

/// Messages ("?" may be absent):
///
/// Plugin {name, version, description, path, state, reason, optional, provides: [role], requires: [role], generation,
///   library, isolation: "shared"|"process", grants: [text], limits: {…}, options: {…}, handover: "overlap"|"exclusive",
///   previous?: {library, version}, startedAt, restarts,
///   roles: [{id, selected, calls, errors, violations, p50Nanoseconds, p99Nanoseconds, inside}],
///   lastSwap?: {time (RFC 3339), result: "succeeded"|"failed", from: {library, version}, to: {library, version}, reason,
///   step, milliseconds, gapMicroseconds, trigger: "command"|"reload"|"object"|"restart"|"rollback"}}
/// Request {action: "swap"|"rollback", role? or plugin?, library? (path or name), isolation?, grants?, limits?,
///   options?, discardState?: bool, trigger?}

typedef struct hostd_plugins_1 {
    hostd_interface interface;
    /// {"plugins": [Plugin]}, the kernel's own engine of the store included. [any-thread]
    int32_t (*describe)(void *HOSTD_NULLABLE self, hostd_buffer *json, hostd_error *error);
    /// {"plugin": name} whenever something of it but its counters has changed, after one message for each. [any-thread]
    int32_t (*watch)(void *HOSTD_NULLABLE self, hostd_sink sink, void *HOSTD_NULLABLE context, uint64_t *watch,
                     hostd_error *error);
    int32_t (*unwatch)(void *HOSTD_NULLABLE self, uint64_t watch, hostd_error *error);
    /// Request → {"plugin": name, "generation": of now}. Checks and queues it; what became of it is `lastSwap` of the
    /// plugin. So a plugin may ask for its own replacement. [any-thread]
    int32_t (*request)(void *HOSTD_NULLABLE self, const uint8_t *request, uint64_t request_size, hostd_buffer *answer,
                       hostd_error *error);
} hostd_plugins_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
