/// A strict reader of JSON (RFC 8259): the whole input must be one value, UTF-8 well formed, nested at most 256 deep.
/// Values live in the call's scratch memory; text without escapes stays in the input.
#ifndef BINPACK_JSON_H
#define BINPACK_JSON_H

#include "call.h"

#define JSON_DEPTH_LIMIT 256

enum json_kind { JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

typedef struct json {
    enum json_kind kind;
    bool boolean;
    uint32_t count;           ///< Elements or members.
    text key;                 ///< Within an object.
    text string;              ///< Of a string its text, of a number its digits.
    const struct json *first; ///< Of an array or object.
    const struct json *next;  ///< Sibling.
} json;

/// Fails the call with HOSTD_ERROR_INVALID_ARGUMENT and the place of the mistake.
const json *json_parse(call *call, const uint8_t *data, uint64_t size);

/// The member of this name, the last one where there are several; a null value when there is none or `object` is none.
const json *json_member(const json *object, const char *name);
/// The member at the end of a path of names, ending with NULL.
const json *json_path(const json *object, ...) __attribute__((sentinel));
/// First element of an array, and members of an object; NULL for other values.
const json *json_elements(const json *array);
const json *json_members(const json *object);
/// Number of elements or members; 0 for other values.
uint32_t json_count(const json *value);

static inline bool json_exists(const json *value) { return value->kind != JSON_NULL; }
/// Empty for what is no string.
text json_text(const json *value);
bool json_is(const json *value, const char *string);
/// Whether it is a whole number of 64 bits.
bool json_integer(const json *value, int64_t *number);

#endif
