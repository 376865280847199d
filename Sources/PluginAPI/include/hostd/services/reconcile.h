/// Host service hostd.reconcile/1: keyed work queues. One key is worked on by one thread at a time; adding a key that
/// waits is a no-op; adding a key that is being worked on makes it run once more afterwards.
#ifndef HOSTD_SERVICES_RECONCILE_H
#define HOSTD_SERVICES_RECONCILE_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_RECONCILE_1 "hostd.reconcile/1"
#define HOSTD_RECONCILE_1_SLOTS "create:buqHe;add:hbwe;forget:hbe;destroy:he;enqueue:hbbuwe;drain:htoe"
#define HOSTD_RECONCILE_1_ENDS "create:destroy"

/// Priorities of enqueue.
#define HOSTD_RECONCILE_INTERACTIVE 0 ///< Someone waits for it: an object was changed.
#define HOSTD_RECONCILE_BACKGROUND 1  ///< Nobody does: everything is looked at again, at a start or from time to time.

/// Ready keys run in turns: interactive ones first, but of eight turns one is the background's; group by group, so that a
/// group with thousands of keys does not delay the others; within a group in the order of arrival. The group of a key is
/// what stands before its last slash ("default" of "default/web"), unless enqueue names another.
typedef struct hostd_reconcile_1 {
    hostd_interface interface;
    /// Creates a queue. `name` labels its metrics; at most `workers` keys run at once, on the host's worker threads. A
    /// callback that fails is run again after a back-off (5 ms doubling to 1000 s, jittered), reset by success. [any-thread]
    int32_t (*create)(void *HOSTD_NULLABLE self, const uint8_t *name, uint64_t name_size, uint32_t workers,
                      hostd_callback callback, void *HOSTD_NULLABLE context, uint64_t *queue, hostd_error *error);
    /// Adds an interactive key after `delay_ns` (0 = now); the earlier of two pending times wins. [any-thread]
    int32_t (*add)(void *HOSTD_NULLABLE self, uint64_t queue, const uint8_t *key, uint64_t key_size, uint64_t delay_ns,
                   hostd_error *error);
    /// Forgets the back-off of a key. [any-thread]
    int32_t (*forget)(void *HOSTD_NULLABLE self, uint64_t queue, const uint8_t *key, uint64_t key_size,
                      hostd_error *error);
    /// Drops what waits, lets what runs finish, and removes the queue. Idempotent. [any-thread] [blocking]
    int32_t (*destroy)(void *HOSTD_NULLABLE self, uint64_t queue, hostd_error *error);
    /// Adds a key with a priority, and with a group of the caller's choice (size 0 = that of the key). Of two pending adds the
    /// earlier time and the more urgent priority win; a key that is known keeps its group. [any-thread]
    int32_t (*enqueue)(void *HOSTD_NULLABLE self, uint64_t queue, const uint8_t *key, uint64_t key_size,
                       const uint8_t *HOSTD_NULLABLE group, uint64_t group_size, uint32_t priority, uint64_t delay_ns,
                       hostd_error *error);
    /// Takes no keys any more (WRONG_STATE) and returns when the ready ones have run, or at the deadline, 0 = none; keys that
    /// wait for their time, back-off included, do not run. JSON {"running","dropped","keys"}: how many still run, how many
    /// will not run, and the first hundred of these. The queue stays until destroy. [any-thread] [blocking]
    int32_t (*drain)(void *HOSTD_NULLABLE self, uint64_t queue, uint64_t deadline, hostd_buffer *json,
                     hostd_error *error);
} hostd_reconcile_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
