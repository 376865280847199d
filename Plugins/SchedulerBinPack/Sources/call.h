/// One call into the plugin: scratch memory that lives as long as the call, and the one way out of it on a failure.
#ifndef BINPACK_CALL_H
#define BINPACK_CALL_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hostd/plugin.h"

/// Borrowed UTF-8 bytes.
typedef struct text {
    const char *data;
    uint32_t size;
} text;

/// A constant as text.
#define TEXT(constant) ((text){constant, sizeof constant - 1})

bool text_equal(text one, text other);
/// As memcmp: by bytes, a prefix before what it begins.
int text_compare(text one, text other);
/// A decimal number of 64 bits with an optional sign, and nothing else.
bool text_integer(text digits, int64_t *number);

struct scratch_block;

typedef struct call {
    jmp_buf exit;
    struct scratch_block *blocks;
    char *next, *end;
    /// Named in front of a failure's message: "pod", "UID". Empty for none.
    const char *subject;
    text name;
    int32_t status;
    char message[512];
} call;

/// Begins a call: 0, and then a negative status when anything in it has failed, its scratch memory being freed. Use as
///     if (CALL_BEGIN(&call)) return call_failed(&call, error);
#define CALL_BEGIN(call) (call_prepare(call), setjmp((call)->exit))
void call_prepare(call *call);
/// Frees the scratch memory of a call that went well.
void call_end(call *call);
/// Reports the failure to the caller's error and returns its status.
int32_t call_failed(call *call, hostd_error *error);
/// Leaves the call. A message is one sentence without a full stop.
void call_fail(call *call, int32_t status, const char *format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));
/// Zeroed memory for the rest of the call; never NULL.
void *call_allocate(call *call, size_t size);

#endif
