#define _GNU_SOURCE // asprintf
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

#include "internal.h"

static _Atomic(interposer_reporter) reporter;

void interposer_set_reporter(interposer_reporter function) { atomic_store(&reporter, function); }

void report_violation(interposer_target *target, const char *role, uint32_t slot, const char *what) {
    if (target != NULL && target->statistics != NULL) {
        atomic_fetch_add_explicit(&target->statistics[slot].violations, 1, memory_order_relaxed);
    }
    interposer_reporter function = atomic_load(&reporter);
    if (function != NULL) function(role, target == NULL || target->descriptor == NULL ? "" : target->descriptor->slots[slot].name, what);
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

/// What a closure of libffi comes to.
static void closure_called(ffi_cif *cif, void *result, void **arguments, void *user) {
    (void)cif;
    *(ffi_sarg *)result = forward_arguments(user, arguments);
}

/// Makes what callers call; 0, or -1 without memory.
static int make_entries(interposer_binding *binding) {
    void **functions = (void **)(binding->table + 1);
    for (uint32_t i = 0; i < binding->descriptor->count; i++) {
        closure_slot *slot = &binding->slots[i];
        *slot = (closure_slot){.binding = binding, .signature = &binding->descriptor->slots[i], .index = i};
        slot->trampoline = trampoline_create(slot);
        if (slot->trampoline != NULL) {
            functions[i] = (void *)(uintptr_t)slot->trampoline;
            continue;
        }
        slot->closure = ffi_closure_alloc(sizeof *slot->closure, &functions[i]);
        if (slot->closure == NULL) return -1;
        ffi_cif *cif = (ffi_cif *)&slot->signature->cif;
        if (ffi_prep_closure_loc(slot->closure, cif, closure_called, slot, functions[i]) != FFI_OK) return -1;
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
        make_entries(binding) != 0) {
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
        if (binding->slots[i].trampoline != NULL) trampoline_destroy(binding->slots[i].trampoline);
        if (binding->slots[i].closure != NULL) ffi_closure_free(binding->slots[i].closure);
    }
    interposer_descriptor_release(binding->descriptor);
    free(binding->table);
    free(binding->text);
    free(binding->id);
    free(binding->unavailable);
    free(binding);
}
