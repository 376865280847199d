// What the store knows, and how it changes. Time and watches are watch.c's.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store.h"

#define HISTORY 20000 // Changes that can be watched from and read at; older ones are given up.

// Of one key, deletes included, oldest first; the first may be from before `compacted`.
typedef struct {
    record **records;
    size_t count;
} history;

static void history_free(void *value) {
    history *it = value;
    if (it == NULL) return;
    for (size_t i = 0; i < it->count; i++) record_release(it->records[i]);
    free(it->records), free(it);
}

static void history_add(map *keys, record *taken) {
    history *it = map_get(keys, taken->key.bytes, taken->key.size);
    if (it == NULL) {
        it = allocate(sizeof *it);
        *it = (history){0};
        map_put(keys, taken->key.bytes, taken->key.size, it);
    }
    it->records = reallocate(it->records, (it->count + 1) * sizeof *it->records);
    it->records[it->count++] = taken;
}

static record *record_at(const history *it, uint64_t revision) {
    for (size_t i = it == NULL ? 0 : it->count; i > 0; i--)
        if (it->records[i - 1]->revision <= revision) return is_put(it->records[i - 1]) ? it->records[i - 1] : NULL;
    return NULL;
}

static record *current(const state *self, view key) {
    return record_at(map_get(&self->keys, key.bytes, key.size), UINT64_MAX);
}

static record *lease_record(uint64_t id, uint64_t milliseconds) {
    record *it = record_make(LOG_LEASE, (view){0}, (view){0}, (view){0});
    it->lease = id, it->version = milliseconds;
    return it;
}

static int32_t write_records(state *self, record *const *records, size_t count, hostd_error *error) {
    text entry = {0};
    log_entry(&entry, records, count);
    int32_t status = log_append(self->file, &entry, error);
    text_free(&entry);
    return status;
}

static int32_t write_lease(state *self, uint64_t id, uint64_t milliseconds, hostd_error *error) {
    record *it = lease_record(id, milliseconds);
    int32_t status = write_records(self, &it, 1, error);
    record_release(it);
    return status;
}

static void start_lease(state *self, uint64_t id, uint64_t milliseconds) {
    lease *it = allocate(sizeof *it);
    it->time_to_live = (milliseconds < UINT64_C(1) << 40 ? milliseconds : UINT64_C(1) << 40) * 1000000;
    it->expires = monotonic_nanoseconds() + it->time_to_live;
    free(map_put(&self->leases, &id, sizeof id, it));
}

static void take_logged(void *context, record *taken) {
    state *self = context;
    if (taken->revision > self->revision) self->revision = taken->revision;
    if (taken->lease > self->last_lease) self->last_lease = taken->lease;
    if (taken->kind == LOG_LEASE && taken->version > 0) start_lease(self, taken->lease, taken->version);
    if (taken->kind == LOG_LEASE && taken->version == 0) free(map_remove(&self->leases, &taken->lease, sizeof taken->lease));
    if (taken->key.size > 0) history_free(map_remove(&self->keys, taken->key.bytes, taken->key.size));
    if (is_put(taken)) history_add(&self->keys, taken);
    else record_release(taken);
}

int32_t state_open(state *self, const char *directory, hostd_error *error) {
    *self = (state){.file = -1};
    int32_t status = log_read(directory, take_logged, self, error);
    text snapshot = {0};
    self->compacted = self->revision; // History begins anew.
    state_snapshot(self, &snapshot);
    if (status == HOSTD_OK) status = log_rewrite(directory, &snapshot, &self->file, error);
    text_free(&snapshot);
    if (status < 0) state_close(self);
    return status;
}

void state_close(state *self) {
    if (self->file >= 0) close(self->file);
    for (size_t i = 0; i < self->change_count; i++)
        record_release(self->changes[i].record), record_release(self->changes[i].previous);
    free(self->changes);
    map_free(&self->keys, history_free);
    map_free(&self->leases, free);
    *self = (state){.file = -1};
}

void state_snapshot(const state *self, text *out) {
    record *mark = record_make(LOG_REVISION, (view){0}, (view){0}, (view){0});
    mark->revision = self->revision;
    log_entry(out, &mark, 1);
    record_release(mark);
    for (size_t i = 0; i < self->leases.count; i++) {
        uint64_t id;
        memcpy(&id, self->leases.entries[i].key, sizeof id);
        record *it = lease_record(id, ((lease *)self->leases.entries[i].value)->time_to_live / 1000000);
        log_entry(out, &it, 1);
        record_release(it);
    }
    for (size_t i = 0; i < self->keys.count; i++) {
        record *it = record_at(self->keys.entries[i].value, UINT64_MAX);
        if (it != NULL) log_entry(out, &it, 1);
    }
}

static int32_t check_revision(const state *self, uint64_t *revision, hostd_error *error) {
    if (*revision == 0) *revision = self->revision;
    if (*revision > self->revision)
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "revision %llu is not reached yet", (unsigned long long)*revision);
    if (*revision < self->compacted)
        return fail(error, HOSTD_ERROR_COMPACTED, "revision %llu is no longer kept", (unsigned long long)*revision);
    return HOSTD_OK;
}

int32_t state_get(const state *self, view key, uint64_t revision, record **found, hostd_error *error) {
    int32_t status = check_key(key, error);
    if (status == HOSTD_OK) status = check_revision(self, &revision, error);
    if (status < 0) return status;
    *found = record_at(map_get(&self->keys, key.bytes, key.size), revision);
    return *found != NULL ? HOSTD_OK : fail(error, HOSTD_ERROR_NOT_FOUND, "there is no %.*s", (int)key.size, key.bytes);
}

int32_t state_list(const state *self, view prefix, const selector *wanted, uint64_t revision, uint64_t limit, view after,
                   text *page, hostd_error *error) {
    int32_t status = check_revision(self, &revision, error);
    if (status < 0) return status;
    hostd_store_page head = {.struct_size = sizeof head, .revision = revision};
    bool found = false;
    view start = after.size > 0 ? after : prefix;
    size_t at = start.size == 0 ? 0 : map_position(&self->keys, start.bytes, start.size, &found);
    if (found && after.size > 0) at++;
    text records = {0};
    for (; at < self->keys.count; at++) {
        const map_entry *entry = &self->keys.entries[at];
        view key = {(const uint8_t *)entry->key, entry->key_size};
        if (!begins_with(key, prefix)) {
            bool is_before = prefix.size > 0 && memcmp(key.bytes, prefix.bytes, key.size < prefix.size ? key.size : prefix.size) < 0;
            if (is_before) continue;
            break;
        }
        const record *it = record_at(entry->value, revision);
        if (it == NULL) continue;
        if (limit > 0 && head.count == limit) {
            head.remaining++;
        } else if (selector_matches(wanted, it->index)) {
            record_encode(it, 0, &records);
            head.count++;
        }
    }
    head.more = head.remaining > 0;
    text_add_bytes(page, &head, sizeof head);
    text_add_bytes(page, records.bytes, records.size);
    text_free(&records);
    return HOSTD_OK;
}

// Whether a step may happen to `before`.
static int32_t check_step(const state *self, const operation *step, const record *before, hostd_error *error) {
    int size = (int)step->key.size;
    unsigned long long present = before == NULL ? 0 : before->revision, expected = step->expected;
    bool changes = step->kind == HOSTD_STORE_UPDATE || step->kind == HOSTD_STORE_DELETE;
    if (step->kind == HOSTD_STORE_CREATE && before != NULL)
        return fail(error, HOSTD_ERROR_ALREADY_EXISTS, "%.*s exists", size, step->key.bytes);
    if (changes && before == NULL) return fail(error, HOSTD_ERROR_NOT_FOUND, "there is no %.*s", size, step->key.bytes);
    if ((changes && expected != 0 && expected != present) || (step->kind == HOSTD_STORE_CHECK && expected != present))
        return fail(error, HOSTD_ERROR_CONFLICT, "%.*s is at revision %llu, not %llu", size, step->key.bytes, present, expected);
    if (step->lease != 0 && map_get(&self->leases, &step->lease, sizeof step->lease) == NULL)
        return fail(error, HOSTD_ERROR_NOT_FOUND, "there is no lease %llu", (unsigned long long)step->lease);
    return HOSTD_OK;
}

static record *written(const operation *step, const record *before, uint64_t revision) {
    bool deletes = step->kind == HOSTD_STORE_DELETE;
    record *it = deletes ? record_make(HOSTD_STORE_RECORD_DELETE, step->key, (view){0}, (view){0})
                         : record_make(HOSTD_STORE_RECORD_PUT, step->key, step->index, step->value);
    it->revision = revision;
    it->create_revision = before == NULL ? revision : before->create_revision;
    it->version = deletes ? 0 : 1 + (before == NULL ? 0 : before->version);
    it->lease = deletes ? 0 : step->lease;
    return it;
}

// What a key will be after the steps before: those of the same transaction count.
static record *before_step(const state *self, const change *staged, size_t count, view key) {
    for (size_t i = count; i > 0; i--) {
        record *it = staged[i - 1].record;
        if (it->key.size == key.size && memcmp(it->key.bytes, key.bytes, key.size) == 0) return is_put(it) ? it : NULL;
    }
    return current(self, key);
}

static void forget_before(state *self, uint64_t revision) {
    size_t old = 0;
    while (old < self->change_count && self->changes[old].record->revision <= revision) {
        record_release(self->changes[old].record), record_release(self->changes[old].previous);
        old++;
    }
    self->change_count -= old;
    memmove(self->changes, self->changes + old, self->change_count * sizeof *self->changes);
    for (size_t i = 0; i < self->keys.count;) {
        history *it = self->keys.entries[i].value;
        size_t needed = 0;
        while (needed + 1 < it->count && it->records[needed + 1]->revision <= revision) needed++;
        if (!is_put(it->records[needed]) && it->records[needed]->revision <= revision) needed++;
        for (size_t k = 0; k < needed; k++) record_release(it->records[k]);
        it->count -= needed;
        memmove(it->records, it->records + needed, it->count * sizeof *it->records);
        if (it->count > 0) i++;
        else history_free(map_remove(&self->keys, self->keys.entries[i].key, self->keys.entries[i].key_size));
    }
    if (revision > self->compacted) self->compacted = revision;
}

static void apply(state *self, change *staged, size_t count) {
    for (size_t i = 0; i < count; i++) {
        history_add(&self->keys, record_keep(staged[i].record));
        if (self->change_count == self->change_capacity) {
            self->change_capacity = self->change_capacity == 0 ? 64 : self->change_capacity * 2;
            self->changes = reallocate(self->changes, self->change_capacity * sizeof *self->changes);
        }
        self->changes[self->change_count++] = staged[i];
    }
    if (self->change_count > HISTORY) forget_before(self, self->changes[HISTORY / 2].record->revision - 1);
}

int32_t state_commit(state *self, const operation *steps, size_t count, uint32_t *step, uint64_t *revision, hostd_error *error) {
    change *staged = allocate(count * sizeof *staged);
    size_t staged_count = 0;
    int32_t status = HOSTD_OK;
    *step = UINT32_MAX, *revision = self->revision;
    for (size_t i = 0; i < count && status == HOSTD_OK; i++) {
        status = operation_check(&steps[i], error);
        record *before = status < 0 ? NULL : before_step(self, staged, staged_count, steps[i].key);
        if (status == HOSTD_OK) status = check_step(self, &steps[i], before, error);
        if (status < 0) *step = (uint32_t)i, *revision = before == NULL ? 0 : before->revision;
        else if (steps[i].kind != HOSTD_STORE_CHECK)
            staged[staged_count++] = (change){written(&steps[i], before, self->revision + 1), record_keep(before)};
    }
    if (status == HOSTD_OK && staged_count > 0) {
        record **records = allocate(staged_count * sizeof *records);
        for (size_t i = 0; i < staged_count; i++) records[i] = staged[i].record;
        status = write_records(self, records, staged_count, error);
        free(records);
    }
    if (status == HOSTD_OK && staged_count > 0) {
        *revision = ++self->revision;
        apply(self, staged, staged_count);
    }
    for (size_t i = 0; status < 0 && i < staged_count; i++) record_release(staged[i].record), record_release(staged[i].previous);
    free(staged);
    return status;
}

int32_t state_compact(state *self, uint64_t revision, hostd_error *error) {
    if (revision > self->revision)
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "revision %llu is not reached yet", (unsigned long long)revision);
    forget_before(self, revision);
    return HOSTD_OK;
}

int32_t state_grant(state *self, uint64_t milliseconds, uint64_t *id, hostd_error *error) {
    if (milliseconds == 0) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "a lease needs a time to live");
    int32_t status = write_lease(self, self->last_lease + 1, milliseconds, error);
    if (status < 0) return status;
    *id = ++self->last_lease;
    start_lease(self, *id, milliseconds);
    return HOSTD_OK;
}

static int32_t find_lease(const state *self, uint64_t id, lease **found, hostd_error *error) {
    *found = map_get(&self->leases, &id, sizeof id);
    return *found != NULL ? HOSTD_OK : fail(error, HOSTD_ERROR_NOT_FOUND, "there is no lease %llu", (unsigned long long)id);
}

int32_t state_keep_alive(state *self, uint64_t id, hostd_error *error) {
    lease *found;
    int32_t status = find_lease(self, id, &found, error);
    if (status == HOSTD_OK) found->expires = monotonic_nanoseconds() + found->time_to_live;
    return status;
}

// Ends a lease, and deletes what was written under it.
int32_t state_revoke(state *self, uint64_t id, hostd_error *error) {
    lease *found;
    int32_t status = find_lease(self, id, &found, error);
    if (status < 0) return status;
    operation *deletes = allocate(self->keys.count * sizeof *deletes);
    size_t count = 0;
    for (size_t i = 0; i < self->keys.count; i++) {
        const record *it = record_at(self->keys.entries[i].value, UINT64_MAX);
        if (it != NULL && it->lease == id) deletes[count++] = (operation){.kind = HOSTD_STORE_DELETE, .key = it->key};
    }
    uint32_t step;
    uint64_t revision;
    status = state_commit(self, deletes, count, &step, &revision, error);
    free(deletes);
    if (status == HOSTD_OK) status = write_lease(self, id, 0, error);
    if (status == HOSTD_OK) free(map_remove(&self->leases, &id, sizeof id));
    return status;
}

void state_size(const state *self, int64_t *keys, int64_t *bytes) {
    *keys = *bytes = 0;
    for (size_t i = 0; i < self->keys.count; i++) {
        const record *it = record_at(self->keys.entries[i].value, UINT64_MAX);
        if (it != NULL) ++*keys, *bytes += (int64_t)it->value.size;
    }
}
