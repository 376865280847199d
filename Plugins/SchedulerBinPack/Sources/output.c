#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void output_bytes(output *output, const void *bytes, size_t size) {
    if (output->failed || size == 0) return;
    if (output->room - output->size < size) {
        size_t room = (output->size + size) * 2 < 256 ? 256 : (output->size + size) * 2;
        char *larger = realloc(output->data, room);
        if (larger == NULL) {
            output->failed = true;
            return;
        }
        output->data = larger;
        output->room = room;
    }
    memcpy(output->data + output->size, bytes, size);
    output->size += size;
}

void output_text(output *output, const char *text) { output_bytes(output, text, strlen(text)); }

void output_number(output *output, uint64_t number) {
    char digits[24];
    output_bytes(output, digits, (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)number));
}

void output_string(output *output, text text) {
    output_text(output, "\"");
    uint32_t plain = 0;
    for (uint32_t at = 0; at < text.size; at++) {
        uint8_t byte = (uint8_t)text.data[at];
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
        char escape[8];
        int size = snprintf(escape, sizeof escape, byte < 0x20 ? "\\u%04x" : "\\%c", byte);
        output_bytes(output, text.data + plain, at - plain);
        output_bytes(output, escape, (size_t)size);
        plain = at + 1;
    }
    output_bytes(output, text.data + plain, text.size - plain);
    output_text(output, "\"");
}

bool output_take(output *output, hostd_buffer *buffer) {
    if (output->failed) {
        free(output->data);
        *output = (struct output){0};
        return false;
    }
    *buffer = (hostd_buffer){(uint8_t *)output->data, output->size, free, output->data};
    *output = (struct output){0};
    return true;
}
