#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static int is_name_start(char c) { return c >= 'a' && c <= 'z'; }
static int is_name_part(char c) { return is_name_start(c) || (c >= '0' && c <= '9') || c == '_'; }

/// The machine arguments that a letter stands for; their number, 0 for an unknown letter.
static int letter_types(char letter, ffi_type *types[2]) {
    switch (letter) {
    case 'i': case 'f': case 'F': types[0] = &ffi_type_sint32; return 1;
    case 'u': types[0] = &ffi_type_uint32; return 1;
    case 'l': types[0] = &ffi_type_sint64; return 1;
    case 'w': case 'h': case 't': types[0] = &ffi_type_uint64; return 1;
    case 'd': types[0] = &ffi_type_double; return 1;
    case 'o': case 's': case 'S': case 'H': case 'W': case 'I': case 'e': types[0] = &ffi_type_pointer; return 1;
    case 'b': case 'a': types[0] = &ffi_type_pointer; types[1] = &ffi_type_uint64; return 2;
    case 'c': case 'v': case 'q': types[0] = &ffi_type_pointer; types[1] = &ffi_type_pointer; return 2;
    default: return 0;
    }
}

/// Parses one "name:letters" of `size` bytes into `slot`; 0, or -1 with a message.
static int parse_slot(const char *text, size_t size, uint32_t number, signature *slot, char *message) {
    size_t name = 0;
    while (name < size && is_name_part(text[name])) name++;
    if (name == 0 || !is_name_start(text[0]) || name > INTERPOSER_NAME_LIMIT) {
        snprintf(message, INTERPOSER_MESSAGE_LIMIT,
                 "slot %u of the descriptor has no proper name: expected 1 to %d of a-z, 0-9 and _, a letter first",
                 number, INTERPOSER_NAME_LIMIT);
        return -1;
    }
    memcpy(slot->name, text, name);
    if (name == size || text[name] != ':') {
        snprintf(message, INTERPOSER_MESSAGE_LIMIT, "slot %u (%s) of the descriptor lacks ':' after its name", number,
                 slot->name);
        return -1;
    }
    const char *letters = text + name + 1;
    size_t count = size - name - 1;
    if (count == 0 || count > INTERPOSER_LETTER_LIMIT) {
        snprintf(message, INTERPOSER_MESSAGE_LIMIT, "slot %s of the descriptor has %zu letters: expected 1 to %d",
                 slot->name, count, INTERPOSER_LETTER_LIMIT);
        return -1;
    }
    slot->completion = -1;
    slot->deadline = -1;
    slot->is_integral = 1;
    slot->types[slot->argument_count++] = &ffi_type_pointer;
    for (size_t i = 0; i < count; i++) {
        ffi_type *types[2];
        int machine = letter_types(letters[i], types);
        if (machine == 0) {
            int printable = letters[i] > ' ' && letters[i] < 127;
            snprintf(message, INTERPOSER_MESSAGE_LIMIT,
                     "slot %s of the descriptor has an unknown letter '%c' (byte 0x%02x) at position %zu", slot->name,
                     printable ? letters[i] : '?', (unsigned char)letters[i], i + 1);
            return -1;
        }
        if ((letters[i] == 'e') != (i == count - 1)) {
            snprintf(message, INTERPOSER_MESSAGE_LIMIT,
                     "slot %s of the descriptor must have exactly one 'e', as its last letter", slot->name);
            return -1;
        }
        if (letters[i] == 'c' && slot->completion >= 0) {
            snprintf(message, INTERPOSER_MESSAGE_LIMIT, "slot %s of the descriptor has two completions", slot->name);
            return -1;
        }
        if (letters[i] == 'c') slot->completion = (int32_t)slot->argument_count;
        if (letters[i] == 't' && slot->deadline < 0) slot->deadline = (int32_t)slot->argument_count;
        if (letters[i] == 'd') slot->is_integral = 0;
        if (letters[i] == 'F') slot->given |= UINT64_C(1) << slot->argument_count;
        for (int j = 0; j < machine; j++) slot->types[slot->argument_count++] = types[j];
    }
    memcpy(slot->letters, letters, count);
    return 0;
}

/// Parses all slots into a descriptor that has room for them; 0, or -1 with a message.
static int parse_slots(const char *text, interposer_descriptor *descriptor, char *message) {
    for (uint32_t i = 0; i < descriptor->count; i++) {
        size_t size = strcspn(text, ";");
        signature *slot = &descriptor->slots[i];
        if (parse_slot(text, size, i + 1, slot, message) != 0) return -1;
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(descriptor->slots[j].name, slot->name) == 0) {
                snprintf(message, INTERPOSER_MESSAGE_LIMIT, "the descriptor names slot %s twice", slot->name);
                return -1;
            }
        }
        if (ffi_prep_cif(&slot->cif, FFI_DEFAULT_ABI, slot->argument_count, &ffi_type_sint32, slot->types) != FFI_OK) {
            snprintf(message, INTERPOSER_MESSAGE_LIMIT, "slot %s cannot be prepared by libffi", slot->name);
            return -1;
        }
        text += size + 1;
    }
    return 0;
}

interposer_descriptor *interposer_descriptor_create(const char *text, char *message) {
    size_t size = strnlen(text, INTERPOSER_DESCRIPTOR_LIMIT + 1);
    if (size == 0 || size > INTERPOSER_DESCRIPTOR_LIMIT) {
        snprintf(message, INTERPOSER_MESSAGE_LIMIT, "the descriptor is %s: expected 1 to %d bytes",
                 size == 0 ? "empty" : "too long", INTERPOSER_DESCRIPTOR_LIMIT);
        return NULL;
    }
    uint32_t count = 1;
    for (size_t i = 0; i < size; i++) count += text[i] == ';';
    if (count > INTERPOSER_SLOT_LIMIT) {
        snprintf(message, INTERPOSER_MESSAGE_LIMIT, "the descriptor has %u slots: at most %d are allowed", count,
                 INTERPOSER_SLOT_LIMIT);
        return NULL;
    }
    interposer_descriptor *descriptor = calloc(1, sizeof *descriptor + count * sizeof descriptor->slots[0]);
    if (descriptor == NULL) {
        snprintf(message, INTERPOSER_MESSAGE_LIMIT, "no memory for the descriptor");
        return NULL;
    }
    atomic_init(&descriptor->references, 1);
    descriptor->count = count;
    if (parse_slots(text, descriptor, message) != 0) {
        free(descriptor);
        return NULL;
    }
    return descriptor;
}

interposer_descriptor *interposer_descriptor_retain(interposer_descriptor *descriptor) {
    atomic_fetch_add_explicit(&descriptor->references, 1, memory_order_relaxed);
    return descriptor;
}

void interposer_descriptor_release(interposer_descriptor *descriptor) {
    if (atomic_fetch_sub_explicit(&descriptor->references, 1, memory_order_acq_rel) == 1) free(descriptor);
}

uint32_t interposer_descriptor_count(const interposer_descriptor *descriptor) { return descriptor->count; }

const char *interposer_descriptor_name(const interposer_descriptor *descriptor, uint32_t slot) {
    return slot < descriptor->count ? descriptor->slots[slot].name : "";
}

const char *interposer_descriptor_letters(const interposer_descriptor *descriptor, uint32_t slot) {
    return slot < descriptor->count ? descriptor->slots[slot].letters : "";
}

int32_t interposer_descriptor_find(const interposer_descriptor *descriptor, const char *name) {
    for (uint32_t i = 0; i < descriptor->count; i++) {
        if (strcmp(descriptor->slots[i].name, name) == 0) return (int32_t)i;
    }
    return -1;
}

int32_t interposer_descriptor_agree(const interposer_descriptor *provider, const interposer_descriptor *expected,
                                    char *message) {
    uint32_t common = provider->count < expected->count ? provider->count : expected->count;
    for (uint32_t i = 0; i < common; i++) {
        const signature *theirs = &provider->slots[i], *ours = &expected->slots[i];
        if (strcmp(theirs->name, ours->name) == 0 && strcmp(theirs->letters, ours->letters) == 0) continue;
        snprintf(message, INTERPOSER_MESSAGE_LIMIT, "slot %u is declared as %s:%s, the interface has %s:%s there",
                 i + 1, theirs->name, theirs->letters, ours->name, ours->letters);
        return 0;
    }
    return 1;
}
