#include <ffi.h>
#include <string.h>

#include "plugin_check.h"

/// Most machine arguments: `self`, and two a letter.
#define MACHINE_LIMIT (1 + 2 * CHECK_ARGUMENT_LIMIT)

static size_t slot_offset(uint32_t slot) { return sizeof(hostd_interface) + (size_t)slot * sizeof(void *); }

int32_t check_has_slot(const hostd_interface *table, uint32_t slot) {
    void (*function)(void);
    if (table->struct_size < slot_offset(slot) + sizeof function) return 0;
    memcpy(&function, (const char *)table + slot_offset(slot), sizeof function);
    return function != NULL;
}

int32_t check_call(const hostd_interface *table, uint32_t slot, const char *letters, const check_argument *arguments) {
    ffi_type *types[MACHINE_LIMIT];
    void *values[MACHINE_LIMIT], *self = table->self;
    unsigned count = 0;
    types[count] = &ffi_type_pointer, values[count++] = &self;
    for (uint32_t i = 0; letters[i] != 0 && i < CHECK_ARGUMENT_LIMIT; i++) {
        check_argument *argument = (check_argument *)&arguments[i];
        switch (letters[i]) {
        case 'i': case 'f': case 'F': types[count] = &ffi_type_sint32, values[count++] = &argument->number; break;
        case 'u': types[count] = &ffi_type_uint32, values[count++] = &argument->number; break;
        case 'l': types[count] = &ffi_type_sint64, values[count++] = &argument->number; break;
        case 'w': case 'h': case 't': types[count] = &ffi_type_uint64, values[count++] = &argument->number; break;
        case 'd': types[count] = &ffi_type_double, values[count++] = &argument->real; break;
        case 'b': case 'a':
            types[count] = &ffi_type_pointer, values[count++] = &argument->data;
            types[count] = &ffi_type_uint64, values[count++] = &argument->size;
            break;
        case 'c': case 'v': case 'q':
            types[count] = &ffi_type_pointer, values[count++] = &argument->function;
            types[count] = &ffi_type_pointer, values[count++] = &argument->context;
            break;
        default: types[count] = &ffi_type_pointer, values[count++] = &argument->data; break;
        }
    }
    ffi_cif cif;
    if (ffi_prep_cif(&cif, FFI_DEFAULT_ABI, count, &ffi_type_sint32, types) != FFI_OK) return HOSTD_ERROR_INTERNAL;
    void (*function)(void);
    memcpy(&function, (const char *)table + slot_offset(slot), sizeof function);
    ffi_arg result = 0;
    ffi_call(&cif, function, &result, values);
    return (int32_t)result;
}
