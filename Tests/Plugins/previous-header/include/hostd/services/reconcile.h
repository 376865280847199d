/// Host service hostd.reconcile/1: keyed work queues. One key is worked on by one thread at a time; adding a key that
/// waits is a no-op; adding a key that is being worked on makes it run once more afterwards.
#ifndef HOSTD_SERVICES_RECONCILE_H
#define HOSTD_SERVICES_RECONCILE_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_RECONCILE_1 "hostd.reconcile/1"
#define HOSTD_RECONCILE_1_SLOTS "create:buqHe;add:hbwe;forget:hbe;destroy:he"

typedef struct hostd_reconcile_1 {
    hostd_interface interface;
    /// Creates a queue. `name` labels its metrics; at most `workers` keys run at once, on the host's worker threads. A
    /// callback that fails is run again after a back-off (5 ms doubling to 1000 s, jittered), reset by success. [any-thread]
    int32_t (*create)(void *HOSTD_NULLABLE self, const uint8_t *name, uint64_t name_size, uint32_t workers,
                      hostd_callback callback, void *HOSTD_NULLABLE context, uint64_t *queue, hostd_error *error);
    /// Adds a key after `delay_ns` (0 = now); the earlier of two pending times wins. [any-thread]
    int32_t (*add)(void *HOSTD_NULLABLE self, uint64_t queue, const uint8_t *key, uint64_t key_size, uint64_t delay_ns,
                   hostd_error *error);
    /// Forgets the back-off of a key. [any-thread]
    int32_t (*forget)(void *HOSTD_NULLABLE self, uint64_t queue, const uint8_t *key, uint64_t key_size,
                      hostd_error *error);
    /// Drops what waits, lets what runs finish, and removes the queue. Idempotent. [any-thread] [blocking]
    int32_t (*destroy)(void *HOSTD_NULLABLE self, uint64_t queue, hostd_error *error);
} hostd_reconcile_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
