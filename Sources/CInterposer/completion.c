#include <pthread.h>
#include <stdlib.h>

#include "internal.h"

/// Outstanding completions live in chunks that are never freed, so that a token can be checked before it is trusted: a
/// provider that completes twice, or after it refused, is found out instead of running freed memory.
#define CHUNK_SIZE 256
#define CHUNK_LIMIT 4096

enum { STATE_FREE = 0, STATE_PENDING = 1, STATE_RUNNING = 2 };

typedef struct pending {
    _Atomic(uint64_t) state; ///< Turn of use in the high bits, one of the states in the low two.
    hostd_completion completion;
    void *context;
    interposer_target *target;
    const char *role;
    uint64_t start;
    uint32_t slot;
    uint32_t index;
    struct pending *next;
} pending;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pending *free_list;
static uint32_t chunk_count;
static _Atomic(pending *) chunks[CHUNK_LIMIT];
static _Atomic(uint64_t) outstanding;

/// A token is the entry's index plus one in the low half and the low half of its turn in the high one.
static void *token_of(const pending *entry, uint64_t turn) {
    return (void *)(uintptr_t)((turn << 32) | (entry->index + 1)); // NOLINT: a number in a pointer's clothes.
}

static pending *entry_of(const void *token, uint64_t *turn) {
    uint64_t number = (uint64_t)(uintptr_t)token;
    uint64_t index = (number & UINT32_MAX) - 1;
    if (index >= (uint64_t)CHUNK_SIZE * CHUNK_LIMIT) return NULL;
    pending *chunk = atomic_load_explicit(&chunks[index / CHUNK_SIZE], memory_order_acquire);
    if (chunk == NULL) return NULL;
    pending *entry = &chunk[index % CHUNK_SIZE];
    *turn = atomic_load(&entry->state) >> 2;
    return (uint32_t)*turn == number >> 32 ? entry : NULL;
}

/// Called with the lock held.
static void grow(void) {
    if (chunk_count == CHUNK_LIMIT) return;
    pending *chunk = calloc(CHUNK_SIZE, sizeof *chunk);
    if (chunk == NULL) return;
    for (uint32_t i = CHUNK_SIZE; i-- > 0;) {
        chunk[i].index = chunk_count * CHUNK_SIZE + i;
        chunk[i].next = free_list;
        free_list = &chunk[i];
    }
    atomic_store_explicit(&chunks[chunk_count++], chunk, memory_order_release);
}

static void give_back(pending *entry, uint64_t turn) {
    atomic_store(&entry->state, ((turn + 1) << 2) | STATE_FREE);
    atomic_fetch_sub(&outstanding, 1);
    pthread_mutex_lock(&lock);
    entry->next = free_list;
    free_list = entry;
    pthread_mutex_unlock(&lock);
}

void *completion_register(hostd_completion completion, void *context, interposer_target *target, const char *role,
                          uint32_t slot, uint64_t start) {
    pthread_mutex_lock(&lock);
    if (free_list == NULL) grow();
    pending *entry = free_list;
    if (entry != NULL) free_list = entry->next;
    pthread_mutex_unlock(&lock);
    if (entry == NULL) return NULL;
    entry->completion = completion;
    entry->context = context;
    entry->target = target;
    entry->role = role;
    entry->slot = slot;
    entry->start = start;
    atomic_fetch_add(&target->operations, 1);
    atomic_fetch_add(&outstanding, 1);
    uint64_t turn = atomic_load(&entry->state) >> 2;
    atomic_store(&entry->state, (turn << 2) | STATE_PENDING);
    return token_of(entry, turn);
}

int32_t completion_withdraw(void *token) {
    uint64_t turn;
    pending *entry = entry_of(token, &turn);
    uint64_t expected = (turn << 2) | STATE_PENDING;
    if (entry == NULL || !atomic_compare_exchange_strong(&entry->state, &expected, (turn << 2) | STATE_RUNNING)) return 0;
    interposer_target *target = entry->target;
    give_back(entry, turn);
    target_unpin(target, &target->operations);
    return 1;
}

void completion_arrived(void *token, int32_t status, const uint8_t *data, uint64_t size, const hostd_error *error) {
    uint64_t turn;
    pending *entry = entry_of(token, &turn);
    uint64_t expected = (turn << 2) | STATE_PENDING;
    if (entry == NULL || !atomic_compare_exchange_strong(&entry->state, &expected, (turn << 2) | STATE_RUNNING)) {
        report_violation(NULL, "a role", 0, "a provider ran a completion twice, or one that it was never given");
        return;
    }
    interposer_target *target = entry->target;
    if (status > 0) {
        report_violation(target, entry->role, entry->slot, "a completion came with a positive status");
        status = HOSTD_ERROR_INTERNAL;
    }
    target_record(target, entry->slot, clock_ticks() - entry->start, status);
    entry->completion(entry->context, status, data, size, error);
    give_back(entry, turn);
    target_unpin(target, &target->operations);
}

uint64_t interposer_outstanding_completions(void) { return atomic_load(&outstanding); }
