/// Bytes that grow, and are handed out as an owned buffer at the end.
#ifndef BINPACK_OUTPUT_H
#define BINPACK_OUTPUT_H

#include "call.h"

typedef struct output {
    char *data;
    size_t size, room;
    bool failed; ///< There was no memory; what is written goes nowhere.
} output;

void output_bytes(output *output, const void *bytes, size_t size);
void output_text(output *output, const char *text);
/// A JSON string with its quotation marks.
void output_string(output *output, text text);
void output_number(output *output, uint64_t number);
/// Hands the bytes over; false when there was no memory.
bool output_take(output *output, hostd_buffer *buffer);

#endif
