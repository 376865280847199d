/// Writing and reading the fields of a message. A writer that has run out of room goes on counting, so that its size is
/// known; a reader that has run out of bytes, or met something odd, stays broken and reads zeros.
#ifndef ISOLATION_MESSAGE_H
#define ISOLATION_MESSAGE_H

#include <string.h>

#include "internal.h"

/// The machine arguments of a letter.
static inline unsigned width(char letter) {
    return letter == 'b' || letter == 'a' || letter == 'c' || letter == 'v' || letter == 'q' ? 2 : 1;
}

/// A function of a table; NULL where the table is too short for it, or leaves it out.
static inline void (*table_function(const hostd_interface *table, uint32_t slot))(void) {
    size_t end = sizeof *table + ((size_t)slot + 1) * sizeof(void *);
    void (*function)(void) = NULL;
    if (table->struct_size >= end) memcpy(&function, (const char *)table + end - sizeof function, sizeof function);
    return function;
}

struct writer {
    uint8_t *at;   ///< Where the message begins.
    uint64_t room;
    uint64_t size; ///< So far; more than `room` when it did not fit.
};

static inline uint64_t padded(uint64_t size) { return (size + 7) & ~UINT64_C(7); }

static inline void write_bytes(struct writer *writer, const void *bytes, uint64_t size) {
    uint64_t end = writer->size + padded(size);
    if (end <= writer->room) {
        if (size != 0) memcpy(writer->at + writer->size, bytes, size);
        if (padded(size) != size) memset(writer->at + writer->size + size, 0, padded(size) - size);
    }
    writer->size = end;
}

static inline void write_number(struct writer *writer, uint64_t value) {
    if (writer->size + sizeof value <= writer->room) memcpy(writer->at + writer->size, &value, sizeof value);
    writer->size += sizeof value;
}

/// Size, then bytes.
static inline void write_view(struct writer *writer, const void *bytes, uint64_t size) {
    write_number(writer, bytes == NULL ? LAYOUT_NONE : size);
    if (bytes != NULL) write_bytes(writer, bytes, size);
}

struct reader {
    const uint8_t *at;
    uint64_t left;
    int is_broken;
};

static inline const uint8_t *read_bytes(struct reader *reader, uint64_t size) {
    if (size > reader->left || padded(size) > reader->left) {
        reader->is_broken = 1;
        reader->left = 0;
        return NULL;
    }
    const uint8_t *bytes = reader->at;
    reader->at += padded(size);
    reader->left -= padded(size);
    return bytes;
}

static inline uint64_t read_number(struct reader *reader) {
    uint64_t value = 0;
    const uint8_t *bytes = read_bytes(reader, sizeof value);
    if (bytes != NULL) memcpy(&value, bytes, sizeof value);
    return value;
}

/// Size, then bytes; NULL and 0 where there are none.
static inline const uint8_t *read_view(struct reader *reader, uint64_t *size) {
    *size = read_number(reader);
    if (*size == LAYOUT_NONE || reader->is_broken) {
        *size = 0;
        return NULL;
    }
    const uint8_t *bytes = read_bytes(reader, *size);
    if (bytes == NULL) *size = 0;
    return bytes;
}

/// A number that must fit 32 bits.
static inline uint32_t read_small(struct reader *reader) {
    uint64_t value = read_number(reader);
    if (value > UINT32_MAX) reader->is_broken = 1;
    return (uint32_t)value;
}

/// An error as it travels: code, retry, and the sentence cut to its limit.
static inline void write_error(struct writer *writer, const hostd_error *error) {
    const uint8_t *text = error->message.data;
    uint64_t size = error->message.size;
    if (size > HOSTD_ERROR_MESSAGE_LIMIT) size = HOSTD_ERROR_MESSAGE_LIMIT;
    write_number(writer, (uint32_t)error->code);
    write_number(writer, error->retryable);
    write_number(writer, error->retry_delay_ms);
    write_view(writer, text, text == NULL ? 0 : size);
}

/// Reads an error; its message points into the message that is read.
static inline void read_error(struct reader *reader, hostd_error *error) {
    memset(error, 0, sizeof *error);
    error->struct_size = sizeof *error;
    error->code = (int32_t)read_small(reader);
    error->retryable = read_small(reader) != 0;
    error->retry_delay_ms = read_small(reader);
    error->message.data = read_view(reader, &error->message.size);
    if (error->message.size > HOSTD_ERROR_MESSAGE_LIMIT) error->message.size = HOSTD_ERROR_MESSAGE_LIMIT;
}

#endif
