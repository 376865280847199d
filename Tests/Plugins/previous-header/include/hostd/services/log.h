/// Host service hostd.log/1: structured log lines, tagged by the host with the plugin's name.
#ifndef HOSTD_SERVICES_LOG_H
#define HOSTD_SERVICES_LOG_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_LOG_1 "hostd.log/1"
#define HOSTD_LOG_1_SLOTS "log:ubbe"

#define HOSTD_LOG_DEBUG 1
#define HOSTD_LOG_INFO 2
#define HOSTD_LOG_WARNING 3
#define HOSTD_LOG_ERROR 4

typedef struct hostd_log_1 {
    hostd_interface interface;
    /// Writes one event. `fields` is a JSON object of scalars, or empty. Over-long messages are cut. [any-thread]
    int32_t (*log)(void *HOSTD_NULLABLE self, uint32_t level, const uint8_t *message, uint64_t message_size,
                   const uint8_t *HOSTD_NULLABLE fields, uint64_t fields_size, hostd_error *error);
} hostd_log_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
