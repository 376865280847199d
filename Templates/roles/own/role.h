/// Role @ROLE@: values under names. A role of one's own: plugins that use it include this header as well.
#ifndef @ROLE_TYPE@_H
#define @ROLE_TYPE@_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define ROLE_ID "@ROLE@"
/// One letter an argument, see hostd/abi.h. hostd takes this text from the provider's table, and forwards, counts, calls by
/// name and isolates by it. Once plugins use the role, slots are only appended.
#define ROLE_SLOTS "put:bbe;get:boe;count:We"

typedef struct role_table {
    hostd_interface interface;
    /// Keeps `value` under `name`, 1 to 256 bytes of text. [any-thread]
    int32_t (*put)(void *HOSTD_NULLABLE self, const uint8_t *name, uint64_t name_size, const uint8_t *value,
                   uint64_t value_size, hostd_error *error);
    /// The value of `name`; NOT_FOUND. [any-thread]
    int32_t (*get)(void *HOSTD_NULLABLE self, const uint8_t *name, uint64_t name_size, hostd_buffer *value,
                   hostd_error *error);
    /// How many names there are. [any-thread]
    int32_t (*count)(void *HOSTD_NULLABLE self, uint64_t *names, hostd_error *error);
} role_table;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
