/// Interface hostd.state/1, offered by a plugin beside its roles: the state that the next generation takes over in a swap.
#ifndef HOSTD_ROLES_STATE_H
#define HOSTD_ROLES_STATE_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_STATE_1 "hostd.state/1"
#define HOSTD_STATE_1_SLOTS "export_state:oe;import_state:be"

/// State begins with the id of its format and a newline, "hostd.scheduler.state/1\n"; the rest is up to the format. A
/// header of a role may define one, so that different providers of the role can take over from each other; a format of a
/// plugin's own is named in its own domain. No calls of the plugin's roles run while it exports.
typedef struct hostd_state_1 {
    hostd_interface interface;
    /// The whole state. The plugin goes on to work afterwards, should the swap fail. [active] [blocking]
    int32_t (*export_state)(void *HOSTD_NULLABLE self, hostd_buffer *state, hostd_error *error);
    /// Called between configure and activate, at most once. HOSTD_ERROR_VERSION refuses a format that it does not know,
    /// and with it the swap. [blocking]
    int32_t (*import_state)(void *HOSTD_NULLABLE self, const uint8_t *state, uint64_t size, hostd_error *error);
} hostd_state_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
