/// Entry, negotiation and life cycle of a plugin. A plugin author includes this file alone.
#ifndef HOSTD_PLUGIN_H
#define HOSTD_PLUGIN_H

#include "hostd/abi.h"
#include "hostd/services/election.h"
#include "hostd/services/environment.h"
#include "hostd/services/events.h"
#include "hostd/services/log.h"
#include "hostd/services/metrics.h"
#include "hostd/services/reconcile.h"
#include "hostd/services/roles.h"
#include "hostd/services/timers.h"
#include "hostd/roles/api.h"
#include "hostd/roles/api_extension.h"
#include "hostd/roles/device.h"
#include "hostd/roles/network.h"
#include "hostd/roles/runtime.h"
#include "hostd/roles/scheduler.h"
#include "hostd/roles/state.h"
#include "hostd/roles/store.h"
#include "hostd/roles/volume.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

/// What the host offers at entry. It lives until `destroy` has returned.
typedef struct hostd_host {
    uint32_t struct_size;
    uint32_t abi_minimum; ///< Lowest ABI version that the host accepts.
    uint32_t abi_maximum; ///< Highest.
    uint32_t reserved;
    void *HOSTD_NULLABLE self;
    /// Finds a host service or the selected provider of a role by id; NULL when the id is unknown to the host and no
    /// plugin declares it. The table stays valid and at the same address until `destroy`, across swaps of the provider
    /// behind it; while there is no provider its slots answer HOSTD_ERROR_UNAVAILABLE. Roles may be asked for from
    /// `configure` on and called from `activate` on. [any-thread]
    const hostd_interface *HOSTD_NULLABLE (*HOSTD_NONNULL get_interface)(void *HOSTD_NULLABLE self, const char *id);
} hostd_host;

/// What a plugin answers at entry, its memory owned by the plugin until `destroy`. The host calls the life-cycle
/// functions one at a time, in this order, from one thread:
///
///     entry → describe → schema → configure → activate ⇄ deactivate → destroy
typedef struct hostd_plugin {
    uint32_t struct_size;
    uint32_t abi_version; ///< The version chosen from the host's range.
    void *HOSTD_NULLABLE self;
    /// JSON: {"name":"hello","version":"1.0.0","description":"…","provides":["hostd.scheduler/1"],
    /// "requires":["hostd.store/1"],"optional":[…],"handover":"overlap"|"exclusive","costs":{role:"slot:10ms;…"}}.
    /// `requires` decides the order of activation; `handover` how a swap goes (docs/abi.md). [<=1ms]
    int32_t (*describe)(void *HOSTD_NULLABLE self, hostd_buffer *description, hostd_error *error);
    /// JSON Schema of the options (object, string, integer, number, boolean, array; enum, default, description, minimum,
    /// maximum, pattern, required, additionalProperties). Empty means: takes no options. [<=1ms]
    int32_t (*schema)(void *HOSTD_NULLABLE self, hostd_buffer *schema, hostd_error *error);
    /// JSON: {"options":{…},"settings":{…},"paths":{"data":…,"plugin":…,"libexec":…}}: this plugin's options, checked
    /// and with defaults filled in; the settings that all plugins share; directories. Validates, keeps, starts nothing.
    int32_t (*configure)(void *HOSTD_NULLABLE self, const uint8_t *configuration, uint64_t size, hostd_error *error);
    /// Starts working. The providers that it requires are active. May be called again after deactivate. [blocking]
    int32_t (*activate)(void *HOSTD_NULLABLE self, hostd_error *error);
    /// Finishes or cancels all that is outstanding: operations, watches, timers, queues, threads. [blocking]
    int32_t (*deactivate)(void *HOSTD_NULLABLE self, hostd_error *error);
    /// Releases everything. Never called while active. [<=1ms]
    void (*destroy)(void *HOSTD_NULLABLE self);
    /// The plugin's table for a role that it provides; NULL for any other id. Same address at every call.
    const hostd_interface *HOSTD_NULLABLE (*HOSTD_NONNULL get_interface)(void *HOSTD_NULLABLE self, const char *id);
} hostd_plugin;

/// The one exported function of a plugin. Fills `*plugin`, or refuses with a negative status and an error. No host
/// service but hostd.log/1 may be called from it.
int32_t hostd_plugin_entry(const hostd_host *host, hostd_plugin *plugin, hostd_error *error);
typedef int32_t (*hostd_plugin_entry_function)(const hostd_host *host, hostd_plugin *plugin, hostd_error *error);
#define HOSTD_PLUGIN_ENTRY_SYMBOL "hostd_plugin_entry"

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
