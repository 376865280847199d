#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

_Thread_local call_record *own_calls;

static _Atomic(call_record *) records;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic(interposer_slow_reporter) reporter;

void interposer_set_slow_reporter(interposer_slow_reporter function) { atomic_store(&reporter, function); }

static void give_back(void *record) { atomic_store(&((call_record *)record)->is_used, 0); }

static void make_key(void) {
    if (pthread_key_create(&key, give_back) != 0) abort();
}

call_record *make_own_calls(void) {
    pthread_once(&once, make_key);
    call_record *record = atomic_load(&records);
    for (; record != NULL; record = record->next) {
        int expected = 0;
        if (atomic_compare_exchange_strong(&record->is_used, &expected, 1)) break;
    }
    if (record == NULL) {
        record = calloc(1, sizeof *record);
        if (record == NULL) abort(); // As every allocation of the Swift side does.
        atomic_store(&record->is_used, 1);
        record->next = atomic_load(&records);
        while (!atomic_compare_exchange_weak(&records, &record->next, record)) {}
    }
    pthread_setspecific(key, record);
    return own_calls = record;
}

void report_slow(const closure_slot *slot, interposer_target *target, uint64_t ticks) {
    atomic_fetch_add_explicit(&target->statistics[slot->index].slow, 1, memory_order_relaxed);
    interposer_slow_reporter function = atomic_load(&reporter);
    if (function == NULL) return;
    function(target->owner, slot->binding->id, slot->signature->name,
             (uint64_t)((double)ticks * clock_nanoseconds_per_tick()), 0);
}

/// Reports one level of a thread's calls if it is overdue and was not reported before. What it holds may change while it is
/// read, but only because the call is not one that stays inside; everything that it may point to lives for ever.
static void look_at(inside_call *call, uint64_t now, interposer_slow_reporter function) {
    const closure_slot *slot = atomic_load_explicit(&call->slot, memory_order_relaxed);
    interposer_target *target = atomic_load_explicit(&call->target, memory_order_relaxed);
    uint64_t start = atomic_load_explicit(&call->start, memory_order_acquire);
    if (slot == NULL || target == NULL || start > now || start == call->told) return;
    if (slot->index >= target->slot_count) return;
    uint64_t limit = target_limit(target, slot->index);
    const char *owner = atomic_load_explicit(&target->owner, memory_order_relaxed);
    if (now - start <= limit || owner == NULL) return;
    if (atomic_load_explicit(&call->slot, memory_order_relaxed) != slot) return;
    call->told = start;
    function(owner, slot->binding->id, slot->signature->name,
             (uint64_t)((double)(now - start) * clock_nanoseconds_per_tick()), 1);
}

void interposer_report_slow_inside(void) {
    interposer_slow_reporter function = atomic_load(&reporter);
    uint64_t now = clock_ticks();
    for (call_record *record = atomic_load(&records); record != NULL && function != NULL; record = record->next) {
        uint32_t depth = atomic_load_explicit(&record->depth, memory_order_acquire);
        for (uint32_t i = 0; i < depth && i < CALL_DEPTH; i++) look_at(&record->calls[i], now, function);
    }
}

/// A name, kept for ever: there are as many as plugins are configured.
typedef struct name {
    struct name *next;
    char text[];
} name;

static const char *name_kept(const char *text) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static name *names;
    pthread_mutex_lock(&lock);
    name *found = names;
    while (found != NULL && strcmp(found->text, text) != 0) found = found->next;
    if (found == NULL) {
        size_t size = strlen(text) + 1;
        if ((found = malloc(sizeof *found + size)) == NULL) abort();
        memcpy(found->text, text, size);
        found->next = names;
        names = found;
    }
    pthread_mutex_unlock(&lock);
    return found->text;
}

void interposer_target_set_cost(interposer_target *target, uint32_t slot, uint64_t nanoseconds, const char *owner) {
    if (slot >= target->slot_count) return;
    atomic_store_explicit(&target->owner, name_kept(owner), memory_order_relaxed);
    uint64_t ticks = (uint64_t)((double)nanoseconds / clock_nanoseconds_per_tick());
    atomic_store_explicit(&target->limits[slot], ticks, memory_order_relaxed);
}
