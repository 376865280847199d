// Watches: one thread tells them of changes, and ends leases that nobody keeps alive.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store.h"

#define BATCH 256 // Changes in one message.

void watch_free(void *value) {
    watch *it = value;
    if (it == NULL) return;
    free((void *)it->prefix.bytes);
    selector_free(it->wanted);
    free(it);
}

// A change as the watch sees it; nothing when it is of no concern.
static void encode(const watch *it, const change *change, text *out) {
    const record *now = change->record, *before = change->previous;
    if (!begins_with(now->key, it->prefix)) return;
    bool is = is_put(now) && selector_matches(it->wanted, now->index);
    bool was = before != NULL && selector_matches(it->wanted, before->index);
    if (!is && !was) return;
    uint32_t flags = is ? (before != NULL && !was ? HOSTD_STORE_RECORD_ENTERED : 0) : HOSTD_STORE_RECORD_HAS_PREVIOUS;
    if (!is && is_put(now)) flags |= HOSTD_STORE_RECORD_LEFT;
    record_encode(now, flags, out);
    if (!is) record_encode(before, 0, out);
}

// The next message, if changes concern the watch, and the revision that it brings the watch to.
static uint64_t next_batch(const state *state, const watch *it, text *batch) {
    size_t low = 0, high = state->change_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (state->changes[middle].record->revision <= it->delivered) low = middle + 1;
        else high = middle;
    }
    uint64_t last = it->delivered;
    for (size_t i = low; i < state->change_count; i++) {
        uint64_t revision = state->changes[i].record->revision;
        if (i - low >= BATCH && revision != last) return last;
        encode(it, &state->changes[i], batch);
        last = revision;
    }
    return state->revision;
}

static bool revoke_expired(state *state, uint64_t *next) {
    uint64_t now = monotonic_nanoseconds();
    *next = now + UINT64_C(3600) * 1000000000;
    for (size_t i = 0; i < state->leases.count; i++) {
        uint64_t id, expires = ((lease *)state->leases.entries[i].value)->expires;
        memcpy(&id, state->leases.entries[i].key, sizeof id);
        if (expires <= now) {
            // Where the disk is full, say, it is over all the same.
            if (state_revoke(state, id, NULL) < 0) free(map_remove(&state->leases, &id, sizeof id));
            return true;
        }
        if (expires < *next) *next = expires;
    }
    return false;
}

static watch *due(plugin *self, uint64_t *handle) {
    for (size_t i = 0; i < self->watches.count; i++) {
        watch *it = self->watches.entries[i].value;
        memcpy(handle, self->watches.entries[i].key, sizeof *handle);
        if (!it->is_busy && (it->delivered < self->state.revision || it->told != self->state.revision)) return it;
    }
    return NULL;
}

// Tells one watch what is new. The lock is held, and given up while the sink runs.
static void tell_one(plugin *self, watch *it, uint64_t handle) {
    text batch = {0};
    bool is_behind = it->delivered < self->state.compacted;
    uint64_t last = next_batch(&self->state, it, &batch);
    bool progress = last == self->state.revision;
    it->delivered = last;
    if (progress) it->told = last;
    it->is_busy = true;
    pthread_mutex_unlock(&self->lock);
    if (is_behind) {
        it->sink(it->context, HOSTD_SINK_RESYNC, NULL, 0);
    } else {
        if (batch.size > 0) it->sink(it->context, HOSTD_SINK_DATA, (const uint8_t *)batch.bytes, batch.size);
        if (progress && !it->is_cancelled) it->sink(it->context, HOSTD_SINK_PROGRESS, (const uint8_t *)&last, sizeof last);
    }
    text_free(&batch);
    pthread_mutex_lock(&self->lock);
    it->is_busy = false;
    if (is_behind || it->is_cancelled) watch_free(map_remove(&self->watches, &handle, sizeof handle));
    pthread_cond_broadcast(&self->news);
}

void *tell(void *argument) {
    plugin *self = argument;
    pthread_mutex_lock(&self->lock);
    while (!self->is_stopping) {
        uint64_t handle, next;
        if (revoke_expired(&self->state, &next)) continue;
        watch *it = due(self, &handle);
        if (it != NULL) {
            tell_one(self, it, handle);
            continue;
        }
        struct timespec until = {(time_t)(next / 1000000000), (long)(next % 1000000000)};
        pthread_cond_timedwait(&self->news, &self->lock, &until);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

// When it returns, the sink is not running and will not run again; unless it is called from the sink itself, which then was
// called for the last time.
void cancel(plugin *self, uint64_t handle) {
    pthread_mutex_lock(&self->lock);
    watch *it;
    while ((it = map_get(&self->watches, &handle, sizeof handle)) != NULL && it->is_busy) {
        it->is_cancelled = true;
        if (pthread_equal(pthread_self(), self->teller)) break;
        pthread_cond_wait(&self->news, &self->lock);
    }
    bool is_ours = it != NULL && !it->is_busy;
    if (is_ours) map_remove(&self->watches, &handle, sizeof handle);
    pthread_mutex_unlock(&self->lock);
    if (!is_ours) return;
    it->sink(it->context, HOSTD_SINK_END, NULL, 0);
    watch_free(it);
}
