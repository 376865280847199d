/// Interface hostd.state/1, offered by a plugin beside its roles: the state that the next generation takes over in a swap.
#ifndef HOSTD_ROLES_STATE_H
#define HOSTD_ROLES_STATE_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_STATE_1 "hostd.state/1"
#define HOSTD_STATE_1_SLOTS \
    "export_state:oe;import_state:be;export_base:Woe;export_changes:woe;export_end:we;import_changes:be"

/// State begins with the id of its format and a newline, "hostd.scheduler.state/1\n"; the rest is up to the format. A
/// header of a role may define one, so that different providers of the role can take over from each other; a format of a
/// plugin's own is named in its own domain. No calls of the plugin's roles run in `export_state` and `import_state`.
///
/// The slots from `export_base` on are there all together or not at all. With them on both sides, and unless a side's
/// handover is exclusive, callers wait for the last changes and no longer for the whole state:
///
///     calls run     export_base ─► import_state, activate ─► export_changes ─► import_changes
///     calls wait                                             export_changes ─► import_changes ─► the new one is in charge
typedef struct hostd_state_1 {
    hostd_interface interface;
    /// The whole state. The plugin goes on to work afterwards, should the swap fail. [active] [blocking]
    int32_t (*export_state)(void *HOSTD_NULLABLE self, hostd_buffer *state, hostd_error *error);
    /// Called between configure and activate, at most once. HOSTD_ERROR_VERSION refuses a format that it does not know,
    /// and with it the swap. [blocking]
    int32_t (*import_state)(void *HOSTD_NULLABLE self, const uint8_t *state, uint64_t size, hostd_error *error);
    /// The whole state of one moment, as `export_state` hands it out, while calls of the plugin's roles run; and a mark by
    /// which later changes are asked for. Ends what an earlier mark began. Calls may wait for a copy in memory to be made and
    /// no longer. [active] [blocking]
    int32_t (*export_base)(void *HOSTD_NULLABLE self, uint64_t *mark, hostd_buffer *state, hostd_error *error);
    /// What has changed since `export_base`, or since the last call of this with the mark, while calls run or wait. Begins
    /// with the format's line. HOSTD_ERROR_NOT_FOUND for another mark than the last. [active] [<=1ms]
    int32_t (*export_changes)(void *HOSTD_NULLABLE self, uint64_t mark, hostd_buffer *changes, hostd_error *error);
    /// Nobody asks for the changes of a mark any more. Unknown marks are no error, whenever they come. [<=1ms]
    int32_t (*export_end)(void *HOSTD_NULLABLE self, uint64_t mark, hostd_error *error);
    /// Changes since what was imported last, before any call of the plugin's roles. What is refused leaves the plugin as it
    /// was, and fails the swap. [active] [<=1ms]
    int32_t (*import_changes)(void *HOSTD_NULLABLE self, const uint8_t *changes, uint64_t size, hostd_error *error);
} hostd_state_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
