#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

/// The machine types of one letter; how many, which the descriptor's parser has checked to be at least one.
static unsigned machine_types(char letter, ffi_type **types) {
    types[1] = &ffi_type_pointer;
    switch (letter) {
    case 'i': case 'f': case 'F': types[0] = &ffi_type_sint32; return 1;
    case 'u': types[0] = &ffi_type_uint32; return 1;
    case 'l': types[0] = &ffi_type_sint64; return 1;
    case 'w': case 'h': case 't': types[0] = &ffi_type_uint64; return 1;
    case 'd': types[0] = &ffi_type_double; return 1;
    case 'b': case 'a': types[0] = &ffi_type_pointer; types[1] = &ffi_type_uint64; return 2;
    case 'c': case 'v': case 'q': types[0] = &ffi_type_pointer; return 2;
    default: types[0] = &ffi_type_pointer; return 1;
    }
}

static int prepare(struct shape *shape, uint32_t index) {
    struct shape_slot *slot = &shape->slots[index];
    slot->name = interposer_descriptor_name(shape->descriptor, index);
    slot->letters = interposer_descriptor_letters(shape->descriptor, index);
    slot->closes_with = -1;
    slot->types[slot->argument_count++] = &ffi_type_pointer;
    int has_handle = 0;
    for (const char *letter = slot->letters; *letter != 0; letter++) {
        ffi_type *types[2];
        unsigned count = machine_types(*letter, types);
        for (unsigned i = 0; i < count; i++) slot->types[slot->argument_count++] = types[i];
        has_handle |= *letter == 'H';
        slot->has_callback |= *letter == 'v' || *letter == 'q' || *letter == 'c';
        slot->file_count += *letter == 'f' || *letter == 'F';
    }
    if (slot->has_callback && has_handle) slot->closes_with = interposer_descriptor_closer(shape->descriptor, index, shape->traits);
    if (slot->closes_with >= 0) shape->slots[slot->closes_with].is_closer = 1;
    slot->gives_table = interposer_descriptor_tag(shape->descriptor, index, shape->traits, "table", 'W') >= 0;
    if (strchr(slot->letters, 'q') == NULL) slot->once = -1;
    else slot->once = (int8_t)interposer_descriptor_tag(shape->descriptor, index, shape->traits, "once", 'w');
    return ffi_prep_cif(&slot->cif, FFI_DEFAULT_ABI, slot->argument_count, &ffi_type_sint32, slot->types) == FFI_OK ? 0
                                                                                                                  : -1;
}

struct shape *shape_create(const char *id, const char *slots, const char *traits, char *message) {
    interposer_descriptor *descriptor = interposer_descriptor_create(slots, message);
    if (descriptor == NULL) return NULL;
    uint32_t count = interposer_descriptor_count(descriptor);
    struct shape *shape = calloc(1, sizeof *shape + count * sizeof shape->slots[0]);
    if (shape == NULL) {
        interposer_descriptor_release(descriptor);
        snprintf(message, INTERPOSER_MESSAGE_LIMIT, "no memory for the descriptor");
        return NULL;
    }
    shape->descriptor = descriptor;
    shape->count = count;
    shape->id = strdup(id);
    shape->text = strdup(slots);
    shape->traits = strdup(traits == NULL ? "" : traits);
    int status = shape->id == NULL || shape->text == NULL || shape->traits == NULL ? -1 : 0;
    for (uint32_t i = 0; status == 0 && i < count; i++) status = prepare(shape, i);
    if (status == 0) return shape;
    snprintf(message, INTERPOSER_MESSAGE_LIMIT, "the descriptor cannot be prepared for calls");
    shape_free(shape);
    return NULL;
}

void shape_free(struct shape *shape) {
    interposer_descriptor_release(shape->descriptor);
    free(shape->id);
    free(shape->text);
    free(shape->traits);
    free(shape);
}
