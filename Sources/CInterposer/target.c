#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/// Targets that were retired, to be used again.
static interposer_target *retired;

/// A target that was retired and has as many slots; NULL when there is none. Its pins stay as they are: a late caller may
/// have one for a moment, and takes it off again when it sees that its binding leads elsewhere.
static interposer_target *take_retired(uint32_t slot_count) {
    pthread_mutex_lock(&lock);
    interposer_target **place = &retired;
    while (*place != NULL && (*place)->slot_count != slot_count) place = &(*place)->next;
    interposer_target *target = *place;
    if (target != NULL) *place = target->next;
    pthread_mutex_unlock(&lock);
    return target;
}

static interposer_target *make(uint32_t slot_count) {
    interposer_target *target = calloc(1, sizeof *target + slot_count * sizeof target->functions[0]);
    if (target == NULL || (target->limits = malloc(slot_count * sizeof *target->limits)) == NULL) abort();
    target->slot_count = slot_count;
    return target;
}

interposer_target *interposer_target_create(interposer_descriptor *descriptor, const hostd_interface *provider) {
    size_t head = sizeof(hostd_interface);
    uint32_t size = provider->struct_size;
    uint32_t count = size > head ? (uint32_t)((size - head) / sizeof(void *)) : 0;
    if (count > descriptor->count) count = descriptor->count;
    interposer_target *target = take_retired(descriptor->count);
    if (target == NULL) target = make(descriptor->count);
    slot_statistics *statistics = calloc(descriptor->count, sizeof *statistics);
    if (statistics == NULL) abort(); // As every allocation of the Swift side does.
    for (uint32_t i = 0; i < descriptor->count; i++) atomic_store_explicit(&target->limits[i], NO_LIMIT, memory_order_relaxed);
    target->self = provider->self;
    target->descriptor = interposer_descriptor_retain(descriptor);
    target->statistics = statistics;
    target->count = count;
    memcpy(target->functions, (const char *)provider + head, count * sizeof(void *));
    return target;
}

void target_wake(_Atomic(uint32_t) *pins) {
    syscall(SYS_futex, pins, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

uint32_t interposer_target_calls(const interposer_target *target) {
    return atomic_load(&((interposer_target *)target)->calls);
}

uint32_t interposer_target_operations(const interposer_target *target) {
    return atomic_load(&((interposer_target *)target)->operations);
}

static int32_t drain(interposer_target *target, _Atomic(uint32_t) *pins, uint64_t deadline_ns) {
    struct timespec limit = {.tv_sec = (time_t)(deadline_ns / 1000000000), .tv_nsec = (long)(deadline_ns % 1000000000)};
    int32_t result = 0;
    atomic_fetch_add(&target->waiters, 1);
    for (;;) {
        uint32_t now = atomic_load(pins);
        if (now == 0) break;
        // FUTEX_WAIT_BITSET takes an absolute time of the monotonic clock.
        long status = syscall(SYS_futex, pins, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, now,
                              deadline_ns == 0 ? NULL : &limit, NULL, FUTEX_BITSET_MATCH_ANY);
        if (status != 0 && errno == ETIMEDOUT) {
            result = atomic_load(pins) == 0 ? 0 : -ETIMEDOUT;
            break;
        }
    }
    atomic_fetch_sub(&target->waiters, 1);
    return result;
}

int32_t interposer_target_drain_calls(interposer_target *target, uint64_t deadline_ns) {
    return drain(target, &target->calls, deadline_ns);
}

int32_t interposer_target_drain_operations(interposer_target *target, uint64_t deadline_ns) {
    return drain(target, &target->operations, deadline_ns);
}

void interposer_target_retire(interposer_target *target) {
    slot_statistics *statistics = target->statistics;
    interposer_descriptor *descriptor = target->descriptor;
    if (descriptor == NULL) return;
    target->statistics = NULL;
    target->descriptor = NULL;
    interposer_descriptor_release(descriptor);
    free(statistics); // The limits stay: who looks at calls inside may read them.
    pthread_mutex_lock(&lock);
    target->next = retired;
    retired = target;
    pthread_mutex_unlock(&lock);
}

/// The middle of a bucket, in ticks.
static double bucket_middle(uint32_t bucket) {
    if (bucket < 8) return ((double)bucket + 0.5) * (1 << HISTOGRAM_SHIFT);
    uint32_t exponent = bucket / 8 + 2;
    double width = (double)(UINT64_C(1) << (exponent - 3));
    return ((double)(UINT64_C(1) << exponent) + ((double)(bucket % 8) + 0.5) * width) * (1 << HISTOGRAM_SHIFT);
}

static uint64_t percentile(const uint64_t *buckets, uint64_t calls, double share) {
    uint64_t rank = (uint64_t)((double)calls * share), seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += buckets[i];
        if (seen > rank) return (uint64_t)(bucket_middle(i) * clock_nanoseconds_per_tick());
    }
    return 0;
}

void interposer_target_statistics(const interposer_target *target, uint32_t slot, interposer_statistics *result) {
    memset(result, 0, sizeof *result);
    if (target->statistics == NULL) return;
    uint64_t buckets[HISTOGRAM_BUCKETS] = {0};
    double total = 0;
    for (uint32_t i = 0; i < target->slot_count; i++) {
        if (slot != UINT32_MAX && slot != i) continue;
        slot_statistics *statistics = &target->statistics[i];
        for (uint32_t j = 0; j < HISTOGRAM_BUCKETS; j++) {
            uint64_t count = atomic_load_explicit(&statistics->buckets[j], memory_order_relaxed);
            buckets[j] += count;
            result->calls += count;
            total += (double)count * bucket_middle(j);
        }
        result->errors += atomic_load_explicit(&statistics->errors, memory_order_relaxed);
        result->slow += atomic_load_explicit(&statistics->slow, memory_order_relaxed);
        result->violations += atomic_load_explicit(&statistics->violations, memory_order_relaxed);
    }
    result->total_nanoseconds = (uint64_t)(total * clock_nanoseconds_per_tick());
    if (result->calls == 0) return;
    result->p50_nanoseconds = percentile(buckets, result->calls, 0.50);
    result->p99_nanoseconds = percentile(buckets, result->calls, 0.99);
}
