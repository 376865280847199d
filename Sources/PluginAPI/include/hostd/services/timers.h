/// Host service hostd.timers/1: one-shot and repeating timers on the monotonic clock.
#ifndef HOSTD_SERVICES_TIMERS_H
#define HOSTD_SERVICES_TIMERS_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_TIMERS_1 "hostd.timers/1"
#define HOSTD_TIMERS_1_SLOTS "start:wwqHe;cancel:he"
#define HOSTD_TIMERS_1_ENDS "start:cancel"
#define HOSTD_TIMERS_1_TAGS "start:once=1"

typedef struct hostd_timers_1 {
    hostd_interface interface;
    /// Calls `callback` (without data) after `delay_ns`, then every `period_ns` unless that is 0. Runs of one timer do not
    /// overlap. A one-shot timer that sets `*delay_ns` in its callback is started again. [any-thread]
    int32_t (*start)(void *HOSTD_NULLABLE self, uint64_t delay_ns, uint64_t period_ns, hostd_callback callback,
                     void *HOSTD_NULLABLE context, uint64_t *timer, hostd_error *error);
    /// When it returns, the callback is not running (unless this is called from it) and will not run. Idempotent.
    int32_t (*cancel)(void *HOSTD_NULLABLE self, uint64_t timer, hostd_error *error);
} hostd_timers_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
