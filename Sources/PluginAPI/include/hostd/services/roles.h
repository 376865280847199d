/// Host service hostd.roles/1: who provides what, and changes of that.
#ifndef HOSTD_SERVICES_ROLES_H
#define HOSTD_SERVICES_ROLES_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_ROLES_1 "hostd.roles/1"
#define HOSTD_ROLES_1_SLOTS "describe:oe;providers:boe;watch:vHe;unwatch:he;provider:bbWe"
#define HOSTD_ROLES_1_ENDS "watch:unwatch"
#define HOSTD_ROLES_1_TAGS "provider:table=2"

typedef struct hostd_roles_1 {
    hostd_interface interface;
    /// JSON of all plugins: {"plugins":[{"name","version","path","state","reason","provides":[…],"generation",
    /// "roles":[{"id","calls","errors","p50Nanoseconds","p99Nanoseconds"}]}]}. [any-thread]
    int32_t (*describe)(void *HOSTD_NULLABLE self, hostd_buffer *json, hostd_error *error);
    /// JSON of the active providers of a role in order of preference: {"providers":["name",…]}. [any-thread]
    int32_t (*providers)(void *HOSTD_NULLABLE self, const uint8_t *role, uint64_t role_size, hostd_buffer *json,
                         hostd_error *error);
    /// Reports each change of a role's providers as JSON {"role","plugin","state":"active"|"inactive","generation"}, after
    /// one message for every provider that is active now. A provider that was replaced is told of as "active" once more, with
    /// a greater generation and, when it took over what callers had told the one before, "hasState":true. [any-thread]
    int32_t (*watch)(void *HOSTD_NULLABLE self, hostd_sink sink, void *HOSTD_NULLABLE context, uint64_t *watch,
                     hostd_error *error);
    int32_t (*unwatch)(void *HOSTD_NULLABLE self, uint64_t watch, hostd_error *error);
    /// The table of one named provider of a role that several may provide (hostd.volume/1, hostd.device/1,
    /// hostd.api-extension/1): `*table` is the address of a hostd_interface with the promises of get_interface. [any-thread]
    int32_t (*provider)(void *HOSTD_NULLABLE self, const uint8_t *role, uint64_t role_size, const uint8_t *plugin,
                        uint64_t plugin_size, uint64_t *table, hostd_error *error);
} hostd_roles_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
