// The parts of the store: records, selectors, the log file, the state, watches. store.c has the slots.
#ifndef STORE_H
#define STORE_H

#include <pthread.h>

#include "plugin.h"

// Kinds of records that only the log knows: a lease, with its time to live in `version` (0 = over); the revision alone.
#define LOG_LEASE 100u
#define LOG_REVISION 101u

typedef struct {
    const uint8_t *bytes;
    uint64_t size;
} view;

// Never changed after it is made; several owners.
typedef struct {
    _Atomic int owners;
    uint32_t kind;
    uint64_t revision, create_revision, version, lease;
    view key, index, value; // In `content`.
    uint8_t content[];
} record;

record *record_make(uint32_t kind, view key, view index, view value);
record *record_keep(record *it); // NULL stays NULL
void record_release(record *it);
void record_encode(const record *it, uint32_t flags, text *out);
record *record_decode(const uint8_t *bytes, uint64_t size, uint64_t *used); // NULL when it is not whole
static inline bool is_put(const record *it) { return it != NULL && it->kind == HOSTD_STORE_RECORD_PUT; }

typedef struct {
    uint32_t kind;
    uint64_t expected, lease;
    view key, index, value;
} operation;
// All steps of a transaction's bytes, to be freed; they point into the bytes.
int32_t operations_decode(view bytes, operation **all, size_t *count, hostd_error *error);
int32_t operation_check(const operation *it, hostd_error *error);
int32_t check_key(view key, hostd_error *error);
int32_t check_prefix(view prefix, hostd_error *error);
static inline bool begins_with(view bytes, view prefix) {
    return prefix.size == 0 || (bytes.size >= prefix.size && __builtin_memcmp(bytes.bytes, prefix.bytes, prefix.size) == 0);
}

typedef struct selector selector; // NULL matches everything.
int32_t selector_parse(view bytes, selector **made, hostd_error *error);
bool selector_matches(const selector *it, view index);
void selector_free(selector *it);

// The log file. An entry is its size, a checksum, and records; all of one entry were written under one revision, or none.
void log_entry(text *out, record *const *records, size_t count);
int32_t log_read(const char *directory, void (*each)(void *context, record *taken), void *context, hostd_error *error);
int32_t log_rewrite(const char *directory, const text *entries, int *file, hostd_error *error);
int32_t log_append(int file, const text *entry, hostd_error *error);

typedef struct {
    record *record, *previous;
} change;
typedef struct {
    uint64_t time_to_live, expires; // Nanoseconds; the monotonic clock.
} lease;

// What the store knows. Its callers hold the plugin's lock.
typedef struct {
    int file; // -1 while closed
    uint64_t revision, compacted, last_lease;
    map keys; // key → history *
    change *changes;
    size_t change_count, change_capacity;
    map leases; // the id's 8 bytes → lease *
} state;

int32_t state_open(state *self, const char *directory, hostd_error *error);
void state_close(state *self);
void state_snapshot(const state *self, text *out);
int32_t state_get(const state *self, view key, uint64_t revision, record **found, hostd_error *error);
int32_t state_list(const state *self, view prefix, const selector *wanted, uint64_t revision, uint64_t limit, view after,
                   text *page, hostd_error *error);
// All steps under one revision, or none. `*step` is the one that failed, UINT32_MAX when none did; `*revision` that of the
// commit, or of the key that failed the precondition.
int32_t state_commit(state *self, const operation *steps, size_t count, uint32_t *step, uint64_t *revision, hostd_error *error);
int32_t state_compact(state *self, uint64_t revision, hostd_error *error);
int32_t state_grant(state *self, uint64_t milliseconds, uint64_t *id, hostd_error *error);
int32_t state_keep_alive(state *self, uint64_t id, hostd_error *error);
int32_t state_revoke(state *self, uint64_t id, hostd_error *error);
void state_size(const state *self, int64_t *keys, int64_t *bytes);

typedef struct {
    view prefix; // Owned.
    selector *wanted;
    uint64_t delivered; // All changes up to here were told, or are of no concern.
    uint64_t told;      // The revision that the last progress message named; UINT64_MAX = none yet.
    hostd_sink sink;
    void *context;
    bool is_busy, is_cancelled;
} watch;

struct plugin {
    plugin_base base;
    hostd_store_1 table;
    char directory[3072];
    pthread_mutex_t lock;
    pthread_cond_t news; // A change, a watch, a message that was told, the end.
    state state;
    map watches; // the handle's 8 bytes → watch *
    uint64_t last_watch;
    pthread_t teller;
    bool is_stopping;
};

// watch.c
void *tell(void *self); // The body of the thread that tells watches of changes, and ends leases.
void cancel(plugin *self, uint64_t handle);
void watch_free(void *it);

#endif
