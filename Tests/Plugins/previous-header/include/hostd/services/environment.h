/// Host service hostd.environment/1: facts about the host process, and its end.
#ifndef HOSTD_SERVICES_ENVIRONMENT_H
#define HOSTD_SERVICES_ENVIRONMENT_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_ENVIRONMENT_1 "hostd.environment/1"
#define HOSTD_ENVIRONMENT_1_SLOTS "describe:oe;stop:ibe"

typedef struct hostd_environment_1 {
    hostd_interface interface;
    /// JSON {"version","startedAt","processID","dataDirectory","listen","stopWorkloads":bool}. `stopWorkloads` tells a node
    /// in its `deactivate` whether containers are to be ended. [any-thread]
    int32_t (*describe)(void *HOSTD_NULLABLE self, hostd_buffer *json, hostd_error *error);
    /// Asks the host to stop in an orderly way and exit with `exit_code`, because of `reason`. Returns at once. [any-thread]
    int32_t (*stop)(void *HOSTD_NULLABLE self, int32_t exit_code, const uint8_t *reason, uint64_t reason_size,
                    hostd_error *error);
} hostd_environment_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
