/// Role com.example.thing/1: values under names, and word of their changes. It belongs to this example, not to hostd: the
/// host learns of it from the provider's table.
#ifndef COM_EXAMPLE_THING_H
#define COM_EXAMPLE_THING_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define THING_1 "com.example.thing/1"
#define THING_1_SLOTS "put:bbe;get:boe;watch:vHe;watch_cancel:he"

typedef struct thing_1 {
    hostd_interface interface;
    /// Keeps `value` under `name`, 1 to 256 bytes of text, and tells all watches. [any-thread]
    int32_t (*put)(void *HOSTD_NULLABLE self, const uint8_t *name, uint64_t name_size, const uint8_t *value,
                   uint64_t value_size, hostd_error *error);
    /// The value of `name`; NOT_FOUND. [any-thread]
    int32_t (*get)(void *HOSTD_NULLABLE self, const uint8_t *name, uint64_t name_size, hostd_buffer *value,
                   hostd_error *error);
    /// Tells of each `put` by its name. A sink must not call `put`. [any-thread]
    int32_t (*watch)(void *HOSTD_NULLABLE self, hostd_sink sink, void *HOSTD_NULLABLE context, uint64_t *watch,
                     hostd_error *error);
    /// When it returns, the sink will not run again. Idempotent. Not from the sink itself. [any-thread]
    int32_t (*watch_cancel)(void *HOSTD_NULLABLE self, uint64_t watch, hostd_error *error);
} thing_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
