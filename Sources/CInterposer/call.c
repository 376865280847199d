#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "hostd/plugin.h"

int32_t interposer_call_shape(const char *letters, uint32_t *bytes, uint32_t *files, uint32_t *scalars) {
    uint32_t outputs = 0, handles = 0;
    *bytes = *files = *scalars = 0;
    for (const char *letter = letters; *letter != 0; letter++) {
        switch (*letter) {
        case 'b': ++*bytes; break;
        case 'f': case 'F': ++*files; break;
        case 'i': case 'u': case 'l': case 'w': case 'h': ++*scalars; break;
        case 'o': outputs++; break;
        case 'H': case 'W': case 'I': handles++; break;
        case 't': case 'e': break;
        default: return -1;
        }
    }
    uint32_t limit = INTERPOSER_CALL_ARGUMENTS;
    return outputs <= 1 && handles <= 1 && *bytes <= limit && *files <= limit && *scalars <= limit ? 0 : -1;
}

int32_t interposer_call_slot(const hostd_interface *table, const interposer_descriptor *descriptor, uint32_t slot,
                             interposer_call *call, hostd_error *error) {
    size_t end = sizeof *table + ((size_t)slot + 1) * sizeof(void *);
    if (slot >= descriptor->count || table->struct_size < end) return HOSTD_ERROR_NOT_SUPPORTED;
    const signature *signature = &descriptor->slots[slot];
    uint32_t bytes, files, scalars;
    if (interposer_call_shape(signature->letters, &bytes, &files, &scalars) != 0) return HOSTD_ERROR_NOT_SUPPORTED;
    if (bytes != call->byte_count || files != call->file_count || scalars != call->scalar_count) {
        return HOSTD_ERROR_INVALID_ARGUMENT;
    }
    void *self = table->self, *output = &call->output, *handle = &call->handle, *values[ARGUMENT_LIMIT];
    uint32_t count = 0, byte = 0, file = 0, scalar = 0;
    values[count++] = &self;
    for (const char *letter = signature->letters; *letter != 0; letter++) {
        switch (*letter) {
        case 't': values[count++] = &call->deadline_ns; break;
        case 'b':
            values[count++] = (void *)&call->bytes[byte];
            values[count++] = &call->sizes[byte++];
            break;
        case 'f': case 'F': values[count++] = &call->files[file++]; break;
        case 'o': values[count++] = &output; break;
        case 'H': case 'W': case 'I': values[count++] = &handle; break;
        case 'e': values[count++] = &error; break;
        default: values[count++] = &call->scalars[scalar++]; break; // Little-endian: 32 bits are the low half.
        }
    }
    void (*function)(void);
    memcpy(&function, (const char *)table + end - sizeof function, sizeof function);
    if (function == NULL) return HOSTD_ERROR_NOT_SUPPORTED;
    int32_t status = call_function(signature, function, values);
    return status > 0 ? HOSTD_ERROR_INTERNAL : status;
}

const char *interposer_missing_plugin_function(const void *memory) {
    static const struct {
        size_t offset;
        const char *name;
    } functions[] = {
        {offsetof(hostd_plugin, describe), "describe"},     {offsetof(hostd_plugin, schema), "schema"},
        {offsetof(hostd_plugin, configure), "configure"},   {offsetof(hostd_plugin, activate), "activate"},
        {offsetof(hostd_plugin, deactivate), "deactivate"}, {offsetof(hostd_plugin, destroy), "destroy"},
        {offsetof(hostd_plugin, get_interface), "get_interface"},
    };
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *function;
        memcpy(&function, (const char *)memory + functions[i].offset, sizeof function);
        if (function == NULL) return functions[i].name;
    }
    return NULL;
}
