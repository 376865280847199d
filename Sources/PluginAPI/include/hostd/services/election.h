/// Host service hostd.election/1: of several candidates, in one hostd or in several that share a store, one leads at a time.
#ifndef HOSTD_SERVICES_ELECTION_H
#define HOSTD_SERVICES_ELECTION_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_ELECTION_1 "hostd.election/1"
#define HOSTD_ELECTION_1_SLOTS "campaign:bbbwvHe;token:hWe;resign:he"
#define HOSTD_ELECTION_1_ENDS "campaign:resign"
#define HOSTD_ELECTION_1_COSTS "token:1ms"

/// Candidates meet at a key of hostd.store/1. Who leads holds it under a lease of the store, which is kept alive; when the
/// leader is gone the lease ends, the key with it, and another one creates it.
///
/// Who leads stops in time: a fifth of the time to live before the lease could end in the store, by this machine's own
/// monotonic clock. A process that was stopped meanwhile does not notice that. Therefore what a leader writes carries its
/// token: a HOSTD_STORE_CHECK of the key at the token's revision in the same transaction (or in front of it). The store
/// refuses it as soon as someone else leads, whatever the writer believes. Tokens only grow.
typedef struct hostd_election_1 {
    hostd_interface interface;
    /// Begins to stand for election at `key`, for a lease of `time_to_live_ms` (100 to 3,600,000). `value` and `index` are what
    /// the key shall hold while this candidate leads; they may be empty. A key that someone wrote without a lease is taken
    /// over when it did not change for that time. The sink gets HOSTD_SINK_DATA, JSON {"leading":true,"token":TOKEN} or
    /// {"leading":false,"reason":TEXT}, whenever that changes; the last one counts. [any-thread]
    int32_t (*campaign)(void *HOSTD_NULLABLE self, const uint8_t *key, uint64_t key_size,
                        const uint8_t *HOSTD_NULLABLE value, uint64_t value_size, const uint8_t *HOSTD_NULLABLE index,
                        uint64_t index_size, uint64_t time_to_live_ms, hostd_sink sink, void *HOSTD_NULLABLE context,
                        uint64_t *candidacy, hostd_error *error);
    /// The revision that fences the writes of a candidate that leads; WRONG_STATE (retryable) when it does not. [<=1ms]
    int32_t (*token)(void *HOSTD_NULLABLE self, uint64_t candidacy, uint64_t *token, hostd_error *error);
    /// Stops to stand, and to lead: the key is deleted, so that another one leads at once. When it returns, the sink is not
    /// running (unless this is called from it) and will not run again. Idempotent. [any-thread] [blocking]
    int32_t (*resign)(void *HOSTD_NULLABLE self, uint64_t candidacy, hostd_error *error);
} hostd_election_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
