#include "call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scratch_block {
    struct scratch_block *next;
    max_align_t bytes[];
};

bool text_equal(text one, text other) {
    return one.size == other.size && (one.size == 0 || memcmp(one.data, other.data, one.size) == 0);
}

int text_compare(text one, text other) {
    uint32_t common = one.size < other.size ? one.size : other.size;
    int order = common == 0 ? 0 : memcmp(one.data, other.data, common);
    return order != 0 ? order : (one.size > other.size) - (one.size < other.size);
}

bool text_integer(text digits, int64_t *number) {
    uint32_t at = 0;
    bool negative = digits.size > 0 && digits.data[0] == '-';
    if (negative || (digits.size > 0 && digits.data[0] == '+')) at = 1;
    if (at == digits.size) return false;
    int64_t result = 0;
    for (; at < digits.size; at++) {
        int digit = digits.data[at] - '0';
        if (digit < 0 || digit > 9) return false;
        if (__builtin_mul_overflow(result, 10, &result)) return false;
        if (__builtin_add_overflow(result, negative ? -digit : digit, &result)) return false;
    }
    *number = result;
    return true;
}

void call_prepare(call *call) {
    call->blocks = NULL;
    call->next = call->end = NULL;
    call->subject = NULL;
    call->name = (text){NULL, 0};
    call->status = HOSTD_OK;
}

void call_end(call *call) {
    while (call->blocks != NULL) {
        struct scratch_block *block = call->blocks;
        call->blocks = block->next;
        free(block);
    }
}

int32_t call_failed(call *call, hostd_error *error) {
    call_end(call);
    if (error == NULL || error->struct_size < sizeof *error) return call->status;
    error->code = call->status;
    error->retryable = 0;
    error->retry_delay_ms = 0;
    char *message = strdup(call->message);
    if (message != NULL) error->message = (hostd_buffer){(uint8_t *)message, strlen(message), free, message};
    return call->status;
}

void call_fail(call *call, int32_t status, const char *format, ...) {
    call->status = status;
    size_t used = 0;
    if (call->subject != NULL) {
        // A name is at most as long as the message leaves room for; what is cut is cut between characters.
        uint32_t size = call->name.size < 256 ? call->name.size : 256;
        while (size > 0 && size < call->name.size && ((uint8_t)call->name.data[size] & 0xC0) == 0x80) size--;
        used = (size_t)snprintf(call->message, sizeof call->message, "%s %.*s: ", call->subject, (int)size,
                                call->name.data);
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(call->message + used, sizeof call->message - used, format, arguments);
    va_end(arguments);
    longjmp(call->exit, 1);
}

void *call_allocate(call *call, size_t size) {
    size = size == 0 ? 16 : (size + 15) & ~(size_t)15;
    if ((size_t)(call->end - call->next) < size) {
        size_t room = size > 16384 ? size : 16384;
        struct scratch_block *block = malloc(sizeof *block + room);
        if (block == NULL) call_fail(call, HOSTD_ERROR_RESOURCE_EXHAUSTED, "there is no memory for the call");
        block->next = call->blocks;
        call->blocks = block;
        call->next = (char *)block->bytes;
        call->end = call->next + room;
    }
    void *memory = call->next;
    call->next += size;
    return memset(memory, 0, size);
}
