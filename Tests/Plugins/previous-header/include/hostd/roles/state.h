/// Interface hostd.state/1, offered by a plugin beside its roles: the state that the next generation takes over in a swap.
#ifndef HOSTD_ROLES_STATE_H
#define HOSTD_ROLES_STATE_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_STATE_1 "hostd.state/1"
#define HOSTD_STATE_1_SLOTS "export_state:oe;import_state:be"

typedef struct hostd_state_1 {
    hostd_interface interface;
    /// The state in a format of the plugin's own that begins with its version. [active] [blocking]
    int32_t (*export_state)(void *HOSTD_NULLABLE self, hostd_buffer *state, hostd_error *error);
    /// Called between configure and activate. HOSTD_ERROR_VERSION refuses a format that it does not know. [blocking]
    int32_t (*import_state)(void *HOSTD_NULLABLE self, const uint8_t *state, uint64_t size, hostd_error *error);
} hostd_state_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
