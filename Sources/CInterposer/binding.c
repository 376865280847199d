#define _GNU_SOURCE // asprintf
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <unistd.h>

#include "internal.h"

static _Atomic(interposer_reporter) reporter;

void interposer_set_reporter(interposer_reporter function) { atomic_store(&reporter, function); }

void report_violation(interposer_target *target, const char *role, uint32_t slot, const char *what) {
    if (target != NULL && target->statistics != NULL) {
        atomic_fetch_add_explicit(&target->statistics[slot].violations, 1, memory_order_relaxed);
    }
    interposer_reporter function = atomic_load(&reporter);
    if (function != NULL) function(role, target == NULL ? "" : target->descriptor->slots[slot].name, what);
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
    int32_t status = call_function(signature, target->functions[slot->index], arguments);
    if (status > 0) {
        report_violation(target, slot->binding->id, slot->index, "a slot returned a positive status");
        status = HOSTD_ERROR_INTERNAL;
    }
    if (status == HOSTD_OK) return status;
    if (completion_withdraw(token)) {
        target_record(target, slot->index, clock_ticks() - start, status);
        return status;
    }
    // Completed and refused at once: the caller has its completion, and a refusal on top would end things twice.
    report_violation(target, slot->binding->id, slot->index, "a slot completed an operation and refused it as well");
    return HOSTD_OK;
}

/// Every call of every interposed slot.
static void forward(ffi_cif *cif, void *result, void **arguments, void *user) {
    (void)cif;
    const closure_slot *slot = user;
    interposer_target *target = pin_current(slot->binding);
    if (__builtin_expect(target == HELD, 0)) target = await_target(slot, arguments);
    if (target == NULL) {
        *(ffi_sarg *)result = answer(slot, arguments, HOSTD_ERROR_UNAVAILABLE, slot->binding->unavailable);
        return;
    }
    if (slot->index >= target->count || target->functions[slot->index] == NULL) {
        target_unpin(target, &target->calls);
        *(ffi_sarg *)result =
            answer(slot, arguments, HOSTD_ERROR_NOT_SUPPORTED, "The provider of this role does not have this function.");
        return;
    }
    arguments[0] = &target->self;
    uint64_t limit = target->limits == NULL ? NO_LIMIT : target->limits[slot->index];
    uint64_t start = clock_ticks();
    if (limit != NO_LIMIT) slow_begin(slot, target, start);
    uint64_t ticks;
    int32_t status;
    if (slot->signature->completion >= 0) {
        status = forward_operation(slot, target, arguments, start);
        ticks = clock_ticks() - start;
    } else {
        status = call_function(slot->signature, target->functions[slot->index], arguments);
        if (__builtin_expect(status > 0, 0)) {
            report_violation(target, slot->binding->id, slot->index, "a slot returned a positive status");
            status = HOSTD_ERROR_INTERNAL;
        }
        ticks = clock_ticks() - start;
        target_record(target, slot->index, ticks, status);
    }
    if (limit != NO_LIMIT) slow_end(slot, target, ticks, limit);
    target_unpin(target, &target->calls);
    *(ffi_sarg *)result = status;
}

/// The text of a descriptor, made anew: "name:letters;…".
static char *descriptor_text(const interposer_descriptor *descriptor) {
    size_t size = 1;
    for (uint32_t i = 0; i < descriptor->count; i++) {
        size += strlen(descriptor->slots[i].name) + strlen(descriptor->slots[i].letters) + 2;
    }
    char *text = calloc(1, size), *end = text;
    for (uint32_t i = 0; text != NULL && i < descriptor->count; i++) {
        end += sprintf(end, "%s%s:%s", i == 0 ? "" : ";", descriptor->slots[i].name, descriptor->slots[i].letters);
    }
    return text;
}

/// Makes the closures; 0, or -1 without memory.
static int make_closures(interposer_binding *binding) {
    void **functions = (void **)(binding->table + 1);
    for (uint32_t i = 0; i < binding->descriptor->count; i++) {
        closure_slot *slot = &binding->slots[i];
        *slot = (closure_slot){.binding = binding, .signature = &binding->descriptor->slots[i], .index = i};
        slot->closure = ffi_closure_alloc(sizeof *slot->closure, &functions[i]);
        if (slot->closure == NULL) return -1;
        ffi_cif *cif = (ffi_cif *)&slot->signature->cif;
        if (ffi_prep_closure_loc(slot->closure, cif, forward, slot, functions[i]) != FFI_OK) return -1;
    }
    return 0;
}

interposer_binding *interposer_binding_create(const char *id, interposer_descriptor *descriptor) {
    interposer_binding *binding = calloc(1, sizeof *binding + descriptor->count * sizeof binding->slots[0]);
    if (binding == NULL) return NULL;
    size_t size = sizeof(hostd_interface) + descriptor->count * sizeof(void *);
    binding->descriptor = interposer_descriptor_retain(descriptor);
    binding->id = strdup(id);
    binding->text = descriptor_text(descriptor);
    binding->table = calloc(1, size);
    if (asprintf(&binding->unavailable, "No plugin provides %s at the moment.", id) < 0) binding->unavailable = NULL;
    if (binding->id == NULL || binding->text == NULL || binding->table == NULL || binding->unavailable == NULL ||
        make_closures(binding) != 0) {
        interposer_binding_destroy(binding);
        return NULL;
    }
    binding->table->struct_size = (uint32_t)size;
    binding->table->self = binding;
    binding->table->id = binding->id;
    binding->table->slots = binding->text;
    return binding;
}

const hostd_interface *interposer_binding_table(const interposer_binding *binding) { return binding->table; }

void interposer_binding_destroy(interposer_binding *binding) {
    for (uint32_t i = 0; i < binding->descriptor->count; i++) {
        if (binding->slots[i].closure != NULL) ffi_closure_free(binding->slots[i].closure);
    }
    interposer_descriptor_release(binding->descriptor);
    free(binding->table);
    free(binding->text);
    free(binding->id);
    free(binding->unavailable);
    free(binding);
}
