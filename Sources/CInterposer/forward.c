#include <string.h>
#include <unistd.h>

#include "internal.h"

int32_t call_function(const signature *signature, void (*function)(void), void **arguments) {
#if HAS_WORD_CALLS
#define ARGUMENT(n) (*(const word *)arguments[n])
    if (signature->is_integral) {
        switch (signature->argument_count) { WORD_CASES(ARGUMENT); }
    }
#endif
    ffi_arg result = 0;
    ffi_call((ffi_cif *)&signature->cif, function, &result, arguments);
    return (int32_t)result;
}

/// Answers in place of a provider: closes what the caller gave away and describes why. Returns `status`.
static int32_t answer(const closure_slot *slot, void **arguments, int32_t status, const char *message) {
    const signature *signature = slot->signature;
    for (uint64_t given = signature->given; given != 0; given &= given - 1) {
        int32_t file = *(int32_t *)arguments[__builtin_ctzll(given)];
        if (file >= 0) close(file);
    }
    hostd_error *error = *(hostd_error **)arguments[signature->argument_count - 1];
    if (error != NULL && error->struct_size >= sizeof *error) {
        error->code = status;
        error->retryable = status == HOSTD_ERROR_UNAVAILABLE;
        error->retry_delay_ms = status == HOSTD_ERROR_UNAVAILABLE ? 100 : 0;
        error->message = (hostd_buffer){.data = (const uint8_t *)message, .size = strlen(message)};
    }
    return status;
}

/// What the caller gets of a provider's status: positive ones are a breach.
static inline int32_t checked(const closure_slot *slot, interposer_target *target, int32_t status) {
    if (__builtin_expect(status <= 0, 1)) return status;
    report_violation(target, slot->binding->id, slot->index, "a slot returned a positive status");
    return HOSTD_ERROR_INTERNAL;
}

/// Forwards a call whose slot has a completion: the provider gets a checked token in place of the caller's context.
static int32_t forward_operation(const closure_slot *slot, interposer_target *target, void **arguments, uint64_t start) {
    const signature *signature = slot->signature;
    int32_t position = signature->completion;
    hostd_completion theirs = *(hostd_completion *)arguments[position], ours = completion_arrived;
    void *context = *(void **)arguments[position + 1];
    if (theirs == NULL) return answer(slot, arguments, HOSTD_ERROR_INVALID_ARGUMENT, "The completion is NULL.");
    void *token = completion_register(theirs, context, target, slot->binding->id, slot->index, start);
    if (token == NULL) {
        return answer(slot, arguments, HOSTD_ERROR_RESOURCE_EXHAUSTED, "Too many operations are outstanding.");
    }
    arguments[position] = (void *)&ours;
    arguments[position + 1] = &token;
    int32_t status = checked(slot, target, call_function(signature, target->functions[slot->index], arguments));
    if (status == HOSTD_OK) return status;
    if (completion_withdraw(token)) {
        target_record(target, slot->index, clock_ticks() - start, status);
        return status;
    }
    // Completed and refused at once: the caller has its completion, and a refusal on top would end things twice.
    report_violation(target, slot->binding->id, slot->index, "a slot completed an operation and refused it as well");
    return HOSTD_OK;
}

int32_t forward_arguments(const closure_slot *slot, void **arguments) {
    interposer_target *target = pin_current(slot->binding);
    if (__builtin_expect(target == HELD, 0)) target = await_target(slot, arguments);
    if (target == NULL) return answer(slot, arguments, HOSTD_ERROR_UNAVAILABLE, slot->binding->unavailable);
    void (*function)(void) = target_function(target, slot->index);
    if (function == NULL) {
        target_unpin(target, &target->calls);
        return answer(slot, arguments, HOSTD_ERROR_NOT_SUPPORTED,
                      "The provider of this role does not have this function.");
    }
    arguments[0] = &target->self;
    uint64_t limit = target_limit(target, slot->index), start = clock_ticks(), ticks;
    if (limit != NO_LIMIT) slow_begin(slot, target, start);
    int32_t status;
    if (slot->signature->completion >= 0) {
        status = forward_operation(slot, target, arguments, start);
        ticks = clock_ticks() - start;
    } else {
        status = checked(slot, target, call_function(slot->signature, function, arguments));
        ticks = clock_ticks() - start;
        target_record(target, slot->index, ticks, status);
    }
    if (limit != NO_LIMIT) slow_end(slot, target, ticks, limit);
    target_unpin(target, &target->calls);
    return status;
}

#if HAS_TRAMPOLINES

static inline int32_t call_words(uint32_t count, void (*function)(void), const word *words) {
#define WORD_AT(n) words[n]
    switch (count) { WORD_CASES(WORD_AT); }
    __builtin_unreachable(); // A trampoline has no other count.
}

/// What is rare goes by way of pointers to the words.
static __attribute__((noinline)) int32_t forward_rare(const closure_slot *slot, word *words) {
    void *arguments[WORD_LIMIT];
    for (uint32_t i = 0; i < slot->signature->argument_count; i++) arguments[i] = &words[i];
    return forward_arguments(slot, arguments);
}

int32_t forward_words(const closure_slot *slot, word *words) {
    const signature *signature = slot->signature;
    if (signature->completion >= 0) return forward_rare(slot, words);
    interposer_target *target = pin_current(slot->binding);
    if (__builtin_expect((uintptr_t)target <= (uintptr_t)HELD, 0)) return forward_rare(slot, words);
    void (*function)(void) = target_function(target, slot->index);
    if (__builtin_expect(function == NULL, 0)) {
        target_unpin(target, &target->calls);
        return forward_rare(slot, words);
    }
    words[0] = (word)(uintptr_t)target->self;
    uint64_t limit = target_limit(target, slot->index), start = clock_ticks();
    if (limit != NO_LIMIT) slow_begin(slot, target, start);
    int32_t status = checked(slot, target, call_words(signature->argument_count, function, words));
    uint64_t ticks = clock_ticks() - start;
    target_record(target, slot->index, ticks, status);
    if (limit != NO_LIMIT) slow_end(slot, target, ticks, limit);
    target_unpin(target, &target->calls);
    return status;
}

#endif
