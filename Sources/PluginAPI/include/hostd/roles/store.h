/// Role hostd.store/1: a revisioned map from keys to bytes; also the service through which plugins use it.
#ifndef HOSTD_ROLES_STORE_H
#define HOSTD_ROLES_STORE_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_STORE_1 "hostd.store/1"
#define HOSTD_STORE_1_SLOTS "get:bwoe;list:bbwwboe;create:bbbwWe;update:bbbwwWe;remove:bwWe;transaction:bce;watch:bbwvHe;watch_cancel:he;lease_grant:wWe;lease_keep_alive:we;lease_revoke:we;compact:we;status:oe;backup:Foe;transaction_by:bbce;history:bwoe;revision_at:wWe;watch_promptly:he"
#define HOSTD_STORE_1_COSTS "get:1ms;watch_cancel:1s;status:10ms"

/// Kinds of hostd_store_record.
#define HOSTD_STORE_RECORD_PUT 1
#define HOSTD_STORE_RECORD_DELETE 2
/// Flag of a record in a watch batch: the record that follows it in the batch is the key's previous value.
#define HOSTD_STORE_RECORD_HAS_PREVIOUS 1u
/// Flag of a put in a watch with a selector: the previous value did not match, so to this watch the key is new.
#define HOSTD_STORE_RECORD_ENTERED 2u
/// Flag of a put in a watch with a selector: it does not match and the previous value did, so to this watch the key is
/// gone. Comes with HAS_PREVIOUS.
#define HOSTD_STORE_RECORD_LEFT 4u

/// One stored value as it crosses: this head, then key, index and value bytes without terminators, then zeros up to a
/// multiple of 8. Numbers are little-endian; records lie one behind the other and start on multiples of 8.
typedef struct hostd_store_record {
    uint32_t struct_size;     ///< Of this head (64); the key starts there.
    uint32_t record_size;     ///< Of all, padding included: the next record starts there.
    uint64_t revision;        ///< Of the write, the delete for HOSTD_STORE_RECORD_DELETE.
    uint64_t create_revision; ///< Of the key's creation.
    uint64_t version;         ///< Writes since the creation, from 1.
    uint64_t lease;           ///< 0 = none.
    uint32_t kind;
    uint32_t flags;
    uint32_t key_size;
    uint32_t index_size;
    uint32_t value_size;
    uint32_t reserved;        ///< The engine's own; others neither read nor set it.
} hostd_store_record;

/// Head of a list page; `count` records follow at `struct_size`.
typedef struct hostd_store_page {
    uint32_t struct_size;
    uint32_t more;      ///< 1 when the limit cut the list: go on after the last key, at `revision`.
    uint64_t revision;  ///< The state that the page shows.
    uint64_t count;
    uint64_t remaining; ///< Keys after the last one under the prefix; exact only for an empty selector.
} hostd_store_page;

/// Kinds of hostd_store_operation.
#define HOSTD_STORE_CREATE 1 ///< Fails with ALREADY_EXISTS when the key exists.
#define HOSTD_STORE_UPDATE 2 ///< Needs the key, at `expected_revision` unless that is 0.
#define HOSTD_STORE_PUT 3    ///< Creates or replaces.
#define HOSTD_STORE_DELETE 4 ///< Needs the key, at `expected_revision` unless that is 0.
#define HOSTD_STORE_CHECK 5  ///< Writes nothing; the key must be at `expected_revision`, 0 = must not exist.
/// Flag of a transaction's first step: its completion returns promptly. It hands on what it gets: it calls nothing that waits, no
/// write of the store either, and holds no lock for long. So the thread that commits may run it, without a change of threads, and
/// before completions of earlier transactions that did not promise that. An engine may ignore it.
#define HOSTD_STORE_OPERATION_PROMPT 1u

/// One step of a transaction: this head, then key, index and value, then zeros up to a multiple of 8.
typedef struct hostd_store_operation {
    uint32_t struct_size;    ///< Of this head (48).
    uint32_t operation_size; ///< Of all, padding included.
    uint32_t kind;
    uint32_t flags;
    uint64_t expected_revision;
    uint64_t lease;
    uint32_t key_size;
    uint32_t index_size;
    uint32_t value_size;
    uint32_t reserved;
} hostd_store_operation;

/// Result of a transaction, the `data` of its completion, also when it failed.
typedef struct hostd_store_commit {
    uint32_t struct_size;
    uint32_t failed_operation; ///< Position of the step whose precondition failed; UINT32_MAX when none.
    uint64_t revision;         ///< Of the commit; after a failed precondition the key's present revision, 0 = absent.
} hostd_store_commit;

/// A key is UTF-8 "RESOURCE/NAMESPACE/NAME" ("pods/default/web-1", "nodes//alpha"), at most 1,024 bytes. A prefix is
/// "RESOURCE/" or "RESOURCE/NAMESPACE/", or empty for everything. An index is a list of "name\0value\0" pairs that
/// selectors can test; a selector is the text of a Kubernetes label selector over those names ("app=web,!beta,tier in
/// (a,b)"), fields by convention under names that begin with a dot (".spec.nodeName=alpha"). Revision 0 = the latest.
typedef struct hostd_store_1 {
    hostd_interface interface;
    /// The record of one key at a revision. NOT_FOUND, COMPACTED. The bytes are shared, not copied. [<=1ms]
    int32_t (*get)(void *HOSTD_NULLABLE self, const uint8_t *key, uint64_t key_size, uint64_t revision,
                   hostd_buffer *record, hostd_error *error);
    /// A page in key order: what lies under `prefix`, matches `selector`, and comes after key `after` (empty = from the
    /// start); at most `limit` records, 0 = all. COMPACTED; INVALID_ARGUMENT for a revision not yet reached.
    int32_t (*list)(void *HOSTD_NULLABLE self, const uint8_t *HOSTD_NULLABLE prefix, uint64_t prefix_size,
                    const uint8_t *HOSTD_NULLABLE selector, uint64_t selector_size, uint64_t revision, uint64_t limit,
                    const uint8_t *HOSTD_NULLABLE after, uint64_t after_size, hostd_buffer *page, hostd_error *error);
    /// Durable writes of one key: when they return HOSTD_OK the write is on disk. [blocking]
    int32_t (*create)(void *HOSTD_NULLABLE self, const uint8_t *key, uint64_t key_size, const uint8_t *value,
                      uint64_t value_size, const uint8_t *HOSTD_NULLABLE index, uint64_t index_size, uint64_t lease,
                      uint64_t *revision, hostd_error *error);
    int32_t (*update)(void *HOSTD_NULLABLE self, const uint8_t *key, uint64_t key_size, const uint8_t *value,
                      uint64_t value_size, const uint8_t *HOSTD_NULLABLE index, uint64_t index_size, uint64_t lease,
                      uint64_t expected_revision, uint64_t *revision, hostd_error *error);
    int32_t (*remove)(void *HOSTD_NULLABLE self, const uint8_t *key, uint64_t key_size, uint64_t expected_revision,
                      uint64_t *revision, hostd_error *error);
    /// Several steps (hostd_store_operation records) that happen all or not at all, under one revision. Completes when
    /// they are on disk, with a hostd_store_commit. An immediate negative status means that no completion follows.
    int32_t (*transaction)(void *HOSTD_NULLABLE self, const uint8_t *operations, uint64_t operations_size,
                           hostd_completion completion, void *HOSTD_NULLABLE context, hostd_error *error);
    /// Every change under `prefix` after `from_revision` (0 = from now on), in order, without gap: the sink gets batches
    /// of records, a delete with its previous record. With a selector, also those changes whose previous value matched.
    /// COMPACTED when `from_revision` is too old. HOSTD_SINK_PROGRESS follows when the watch is idle and on start.
    int32_t (*watch)(void *HOSTD_NULLABLE self, const uint8_t *HOSTD_NULLABLE prefix, uint64_t prefix_size,
                     const uint8_t *HOSTD_NULLABLE selector, uint64_t selector_size, uint64_t from_revision,
                     hostd_sink sink, void *HOSTD_NULLABLE context, uint64_t *watch, hostd_error *error);
    /// When it returns, the sink is not running (unless this is called from it) and will not run again. Idempotent.
    int32_t (*watch_cancel)(void *HOSTD_NULLABLE self, uint64_t watch, hostd_error *error);
    /// Leases: keys written under one are deleted when it is not kept alive for its time to live (milliseconds).
    int32_t (*lease_grant)(void *HOSTD_NULLABLE self, uint64_t time_to_live_ms, uint64_t *lease, hostd_error *error);
    int32_t (*lease_keep_alive)(void *HOSTD_NULLABLE self, uint64_t lease, hostd_error *error);
    int32_t (*lease_revoke)(void *HOSTD_NULLABLE self, uint64_t lease, hostd_error *error);
    /// Gives up the history before a revision.
    int32_t (*compact)(void *HOSTD_NULLABLE self, uint64_t revision, hostd_error *error);
    /// JSON {"revision","compactedRevision","keys","bytes","engine","healthy","reason"}.
    int32_t (*status)(void *HOSTD_NULLABLE self, hostd_buffer *json, hostd_error *error);
    /// Writes a consistent copy to a file; JSON out {"revision","bytes"}. [blocking]
    int32_t (*backup)(void *HOSTD_NULLABLE self, int32_t file_descriptor, hostd_buffer *json, hostd_error *error);
    /// As `transaction`, and records who writes: `writer` is UTF-8 of at most 512 bytes, the authenticated user and, behind
    /// a NUL, what it calls itself (Kubernetes' field manager). NOT_SUPPORTED by an engine that cannot keep it: then use
    /// `transaction`. No completion follows an immediate negative status.
    int32_t (*transaction_by)(void *HOSTD_NULLABLE self, const uint8_t *writer, uint64_t writer_size,
                              const uint8_t *operations, uint64_t operations_size, hostd_completion completion,
                              void *HOSTD_NULLABLE context, hostd_error *error);
    /// What a key held at each revision that is kept, oldest first, at most the `limit` newest (0 = all). JSON out {"key",
    /// "compactedRevision", "versions": [{"revision", "createRevision", "version", "kind": "put" or "delete", "time"
    /// (RFC 3339; "" = not known), "user", "manager", "lease", "index": {…}, "value" (JSON), or "text", or "base64"}]}.
    /// NOT_FOUND when nothing of it is kept; NOT_SUPPORTED by an engine without history.
    int32_t (*history)(void *HOSTD_NULLABLE self, const uint8_t *key, uint64_t key_size, uint64_t limit,
                       hostd_buffer *json, hostd_error *error);
    /// The newest revision at or before a time, milliseconds since 1970 (UTC). COMPACTED when the history does not reach so
    /// far back; NOT_SUPPORTED by an engine that does not know when its revisions were written.
    int32_t (*revision_at)(void *HOSTD_NULLABLE self, uint64_t time_ms, uint64_t *revision, hostd_error *error);
    /// Promises that the sink of a watch returns promptly, as the completion of a transaction whose first step has
    /// HOSTD_STORE_OPERATION_PROMPT: the thread that commits may run it. NOT_SUPPORTED by an engine that makes no difference.
    int32_t (*watch_promptly)(void *HOSTD_NULLABLE self, uint64_t watch, hostd_error *error);
} hostd_store_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
