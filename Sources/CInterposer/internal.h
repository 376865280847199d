/// Declarations shared by the files of the interposer.
#ifndef INTERPOSER_INTERNAL_H
#define INTERPOSER_INTERNAL_H

#include <ffi.h>
#include <stdatomic.h>
#include <stdint.h>

#include "interposer.h"
#include "words.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

HOSTD_ASSUME_NONNULL_BEGIN

/// Most machine arguments of one slot: `self`, and two for every letter.
#define ARGUMENT_LIMIT (1 + 2 * INTERPOSER_LETTER_LIMIT)

/// What the forwarding code knows of a slot, found at parse time so that a call decides nothing.
typedef struct signature {
    char name[INTERPOSER_NAME_LIMIT + 1];
    char letters[INTERPOSER_LETTER_LIMIT + 1];
    uint32_t argument_count;
    int32_t completion; ///< Position of the completion's function pointer, -1 = none.
    int32_t deadline;   ///< Position of the first deadline, -1 = none.
    uint64_t given;     ///< Bit n: argument n is a descriptor that is given away.
    int32_t is_integral; ///< 1: every argument travels in an integer register or a stack word of its own.
    ffi_cif cif;
    ffi_type *HOSTD_NULLABLE types[ARGUMENT_LIMIT];
} signature;

struct interposer_descriptor {
    _Atomic(uint32_t) references;
    uint32_t count;
    signature slots[];
};

/// Latencies are kept in clock ticks, in buckets of an eighth of an octave: relative error at most 6 %.
#define HISTOGRAM_SHIFT 4
#define HISTOGRAM_OCTAVES 36
#define HISTOGRAM_BUCKETS ((HISTOGRAM_OCTAVES - 2) * 8 + 8)

typedef struct slot_statistics {
    _Atomic(uint64_t) buckets[HISTOGRAM_BUCKETS];
    _Atomic(uint64_t) errors;
    _Atomic(uint64_t) violations;
    _Atomic(uint64_t) slow;
} slot_statistics;

struct interposer_target {
    _Atomic(uint32_t) calls;      ///< Pins by calls; a futex word.
    _Atomic(uint32_t) operations; ///< Pins by operations that owe a completion; a futex word.
    _Atomic(uint32_t) waiters;    ///< Threads in a drain.
    void *HOSTD_NULLABLE self;
    interposer_descriptor *HOSTD_NULLABLE descriptor; ///< NULL once retired.
    slot_statistics *HOSTD_NULLABLE statistics;       ///< NULL once retired.
    _Atomic(uint64_t) *limits; ///< Ticks that a call of each slot may take, or NO_LIMIT.
    _Atomic(const char *) owner; ///< The provider's name, for reports, once a slot has a limit; lives for ever.
    interposer_target *HOSTD_NULLABLE next; ///< The next one that was retired.
    uint32_t slot_count; ///< Slots of the descriptor; never changes.
    uint32_t count;      ///< Slots that the provider's table has room for.
    void (*HOSTD_NULLABLE functions[])(void);
};

struct interposer_binding;

typedef struct closure_slot {
    struct interposer_binding *binding;
    const signature *signature;
    uint32_t index;
    ffi_closure *HOSTD_NULLABLE closure;
    void (*HOSTD_NULLABLE trampoline)(void); ///< In place of a closure.
} closure_slot;

/// In place of a target: calls wait for the next one.
#define HELD ((interposer_target *)1)

struct interposer_binding {
    _Atomic(interposer_target *) current; ///< NULL = nobody, HELD = wait, else where calls go.
    _Atomic(uint32_t) turn;               ///< Counts the ends of holds; a futex word.
    _Atomic(uint32_t) held;               ///< Calls that wait.
    _Atomic(uint64_t) hold_limit_ns;      ///< The longest that a call waits.
    interposer_descriptor *descriptor;
    char *id;
    char *unavailable;
    hostd_interface *table;
    char *HOSTD_NULLABLE text; ///< The descriptor as text, for `slots` of the table.
    closure_slot slots[];
};

/// The current target with a pin on it; NULL and HELD as they are.
static inline interposer_target *HOSTD_NULLABLE pin_current(struct interposer_binding *binding);
/// Waits until the binding is held no longer, at most as long as its limit or the call's deadline allow: the target with a
/// pin on it, or NULL.
interposer_target *HOSTD_NULLABLE await_target(const closure_slot *slot, void *HOSTD_NONNULL *HOSTD_NONNULL arguments);
/// Wakes who drains a counter of pins.
void target_wake(_Atomic(uint32_t) *pins);

/// Takes a pin off `pins`, a counter of `target`, and wakes who drains it.
static inline void target_unpin(interposer_target *target, _Atomic(uint32_t) *pins) {
    if (atomic_fetch_sub(pins, 1) == 1 && __builtin_expect(atomic_load(&target->waiters) != 0, 0)) target_wake(pins);
}

static inline interposer_target *pin_current(struct interposer_binding *binding) {
    for (;;) {
        interposer_target *target = atomic_load(&binding->current);
        if (__builtin_expect((uintptr_t)target <= (uintptr_t)HELD, 0)) return target;
        atomic_fetch_add(&target->calls, 1);
        // A target that is not current any more may have been drained before the pin: try the next one.
        if (__builtin_expect(atomic_load(&binding->current) == target, 1)) return target;
        target_unpin(target, &target->calls);
    }
}

/// Limit of a slot without a cost.
#define NO_LIMIT UINT64_MAX

/// Calls within calls of one thread that can be seen from outside.
#define CALL_DEPTH 8

/// A call with a cost, while it is inside.
typedef struct inside_call {
    _Atomic(const closure_slot *) slot;
    _Atomic(interposer_target *) target;
    _Atomic(uint64_t) start; ///< Ticks.
    uint64_t told;           ///< Start of the call that was reported; only for who looks.
} inside_call;

/// What a thread is doing, for who looks from outside. Never freed, and used again by later threads.
typedef struct call_record {
    _Atomic(uint32_t) depth;
    _Atomic(int) is_used;
    struct call_record *HOSTD_NULLABLE next;
    inside_call calls[CALL_DEPTH];
} call_record;

extern _Thread_local call_record *HOSTD_NULLABLE own_calls;
call_record *make_own_calls(void);
/// Counts and reports a call that took longer than its cost.
void report_slow(const closure_slot *slot, interposer_target *target, uint64_t ticks);

/// Lets others see that this thread is inside a call with a cost.
static inline void slow_begin(const closure_slot *slot, interposer_target *target, uint64_t start) {
    call_record *record = own_calls != NULL ? own_calls : make_own_calls();
    uint32_t depth = atomic_load_explicit(&record->depth, memory_order_relaxed);
    if (depth < CALL_DEPTH) {
        inside_call *call = &record->calls[depth];
        atomic_store_explicit(&call->slot, slot, memory_order_relaxed);
        atomic_store_explicit(&call->target, target, memory_order_relaxed);
        atomic_store_explicit(&call->start, start, memory_order_release);
    }
    atomic_store_explicit(&record->depth, depth + 1, memory_order_release);
}

/// Ends that; a provider cannot change threads within a call.
static inline void slow_end(const closure_slot *slot, interposer_target *target, uint64_t ticks, uint64_t limit) {
    call_record *record = own_calls;
    uint32_t depth = atomic_load_explicit(&record->depth, memory_order_relaxed);
    atomic_store_explicit(&record->depth, depth - 1, memory_order_release);
    if (__builtin_expect(ticks > limit, 0)) report_slow(slot, target, ticks);
}

static inline uint32_t bucket_of(uint64_t ticks) {
    uint64_t value = ticks >> HISTOGRAM_SHIFT;
    if (value < 8) return (uint32_t)value;
    uint32_t exponent = 63 - (uint32_t)__builtin_clzll(value);
    if (exponent > HISTOGRAM_OCTAVES) return HISTOGRAM_BUCKETS - 1;
    return (exponent - 2) * 8 + (uint32_t)((value >> (exponent - 3)) & 7);
}

/// Counts a call in the statistics of its slot.
static inline void target_record(interposer_target *target, uint32_t slot, uint64_t ticks, int32_t status) {
    slot_statistics *statistics = &target->statistics[slot];
    atomic_fetch_add_explicit(&statistics->buckets[bucket_of(ticks)], 1, memory_order_relaxed);
    if (status < 0) atomic_fetch_add_explicit(&statistics->errors, 1, memory_order_relaxed);
}

/// A provider's function; NULL when it has none.
static inline void (*HOSTD_NULLABLE target_function(const interposer_target *target, uint32_t slot))(void) {
    return slot < target->count ? target->functions[slot] : NULL;
}

/// Ticks that a call may take; NO_LIMIT = any.
static inline uint64_t target_limit(const interposer_target *target, uint32_t slot) {
    return atomic_load_explicit(&target->limits[slot], memory_order_relaxed);
}

void report_violation(interposer_target *HOSTD_NULLABLE target, const char *role, uint32_t slot, const char *what);

/// Every interposed call: forwards the arguments that `arguments` points to.
int32_t forward_arguments(const closure_slot *slot, void *HOSTD_NONNULL *HOSTD_NONNULL arguments);
/// The same with the arguments themselves, which it may change: only where trampolines are.
int32_t forward_words(const closure_slot *slot, word *words);

#if HAS_WORD_CALLS && (defined(__x86_64__) || defined(__aarch64__)) && defined(__ELF__)
#define HAS_TRAMPOLINES 1
#else
#define HAS_TRAMPOLINES 0
#endif
#if defined(__x86_64__)
#define TRAMPOLINE_REGISTERS 6
#else
#define TRAMPOLINE_REGISTERS 8
#endif
/// A function that callers of the slot call; NULL when the slot is of another shape or all are in use.
void (*HOSTD_NULLABLE trampoline_create(closure_slot *slot))(void);
void trampoline_destroy(void (*function)(void));

/// Calls a function with the arguments that `arguments` points to.
int32_t call_function(const signature *signature, void (*function)(void), void *HOSTD_NONNULL *HOSTD_NONNULL arguments);

/// 1 when the processor's own counter runs at a constant rate on all cores; set once before main.
extern int clock_is_steady;
uint64_t clock_monotonic_nanoseconds(void);
/// The length of a tick, measured over the process's life.
double clock_nanoseconds_per_tick(void);

/// The raw clock of the statistics.
static inline uint64_t clock_ticks(void) {
#if defined(__x86_64__)
    if (__builtin_expect(clock_is_steady, 1)) return __rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#endif
    return clock_monotonic_nanoseconds();
}

/// Registers a completion: what the provider gets instead of the caller's context; NULL without room.
void *HOSTD_NULLABLE completion_register(hostd_completion completion, void *HOSTD_NULLABLE context,
                                         interposer_target *target, const char *role, uint32_t slot, uint64_t start);
/// Takes a completion back after the provider refused the call: 1, or 0 when it had completed it nevertheless.
int32_t completion_withdraw(void *token);
/// What the provider gets instead of the caller's function.
void completion_arrived(void *HOSTD_NULLABLE token, int32_t status, const uint8_t *HOSTD_NULLABLE data, uint64_t size,
                        const hostd_error *HOSTD_NULLABLE error);

HOSTD_ASSUME_NONNULL_END
#endif
