#include "json.h"

#include <stdarg.h>
#include <string.h>

typedef struct reader {
    call *call;
    const uint8_t *start, *at, *end;
} reader;

static const json nothing = {.kind = JSON_NULL};

static _Noreturn void mistake(reader *reader, const char *what) {
    call_fail(reader->call, HOSTD_ERROR_INVALID_ARGUMENT, "the object is not JSON: %s at byte %zu", what,
              (size_t)(reader->at - reader->start));
}

static void skip_space(reader *reader) {
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n' || *reader->at == '\r'))
        reader->at++;
}

/// The length of the well-formed UTF-8 sequence at `at`, 0 when it is none (RFC 3629: shortest form, no surrogates).
static size_t sequence(const uint8_t *at, const uint8_t *end) {
    size_t left = (size_t)(end - at);
    uint8_t first = at[0];
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;
    size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (left < length) return 0;
    uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < low || at[1] > high) return 0;
    for (size_t index = 2; index < length; index++)
        if ((at[index] & 0xC0) != 0x80) return 0;
    return length;
}

static uint32_t read_hex(reader *reader) {
    if (reader->end - reader->at < 4) mistake(reader, "a cut escape");
    uint32_t unit = 0;
    for (int index = 0; index < 4; index++, reader->at++) {
        uint8_t digit = *reader->at;
        if (digit >= '0' && digit <= '9') unit = unit << 4 | (uint32_t)(digit - '0');
        else if (digit >= 'a' && digit <= 'f') unit = unit << 4 | (uint32_t)(digit - 'a' + 10);
        else if (digit >= 'A' && digit <= 'F') unit = unit << 4 | (uint32_t)(digit - 'A' + 10);
        else mistake(reader, "an escape without four hexadecimal digits");
    }
    return unit;
}

/// The character behind "\u", a surrogate pair taken as one.
static uint32_t read_unicode(reader *reader) {
    uint32_t unit = read_hex(reader);
    if (unit >= 0xDC00 && unit <= 0xDFFF) mistake(reader, "a lone surrogate");
    if (unit < 0xD800 || unit > 0xDBFF) return unit;
    if (reader->end - reader->at < 6 || reader->at[0] != '\\' || reader->at[1] != 'u')
        mistake(reader, "a lone surrogate");
    reader->at += 2;
    uint32_t low = read_hex(reader);
    if (low < 0xDC00 || low > 0xDFFF) mistake(reader, "a lone surrogate");
    return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
}

static char *write_character(char *out, uint32_t character) {
    if (character < 0x80) {
        *out++ = (char)character;
        return out;
    }
    int rest = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
    static const uint8_t marks[] = {0, 0xC0, 0xE0, 0xF0};
    *out++ = (char)(marks[rest] | character >> (6 * rest));
    while (rest-- > 0) *out++ = (char)(0x80 | ((character >> (6 * rest)) & 0x3F));
    return out;
}

static char *read_escape(reader *reader, char *out) {
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    reader->at++;
    if (reader->at == reader->end) mistake(reader, "a cut escape");
    uint8_t name = *reader->at;
    const char *found = name == 0 ? NULL : strchr(names, name);
    if (found == NULL && name != 'u') mistake(reader, "an unknown escape");
    reader->at++;
    if (found == NULL) return write_character(out, read_unicode(reader));
    *out++ = meanings[found - names];
    return out;
}

/// Steps over plain characters; true at the closing quotation mark, false at an escape.
static bool skip_plain(reader *reader) {
    while (reader->at < reader->end && *reader->at != '"' && *reader->at != '\\') {
        if (*reader->at < 0x20) mistake(reader, "a control character in a string");
        size_t length = sequence(reader->at, reader->end);
        if (length == 0) mistake(reader, "ill-formed UTF-8");
        reader->at += length;
    }
    if (reader->at == reader->end) mistake(reader, "a string without an end");
    return *reader->at == '"';
}

static text read_string(reader *reader) {
    reader->at++;
    const uint8_t *start = reader->at;
    if (skip_plain(reader)) return (text){(const char *)start, (uint32_t)(reader->at++ - start)};
    // What escapes stand for is never longer than they are.
    const uint8_t *close = reader->at;
    while (close < reader->end && *close != '"') close += *close == '\\' && close + 1 < reader->end ? 2 : 1;
    char *copy = call_allocate(reader->call, (size_t)(close - start) + 1), *out = copy;
    const uint8_t *plain = start;
    while (true) {
        memcpy(out, plain, (size_t)(reader->at - plain));
        out += reader->at - plain;
        if (*reader->at == '"') break;
        out = read_escape(reader, out);
        plain = reader->at;
        skip_plain(reader);
    }
    reader->at++;
    return (text){copy, (uint32_t)(out - copy)};
}

static bool skip_digits(reader *reader) {
    const uint8_t *start = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') reader->at++;
    return reader->at > start;
}

static text read_number(reader *reader) {
    const uint8_t *start = reader->at;
    if (*reader->at == '-') reader->at++;
    if (reader->at < reader->end && *reader->at == '0') reader->at++;
    else if (!skip_digits(reader)) mistake(reader, "no value");
    if (reader->at < reader->end && *reader->at == '.') {
        reader->at++;
        if (!skip_digits(reader)) mistake(reader, "a number without digits behind its point");
    }
    if (reader->at < reader->end && (*reader->at | 0x20) == 'e') {
        reader->at++;
        if (reader->at < reader->end && (*reader->at == '+' || *reader->at == '-')) reader->at++;
        if (!skip_digits(reader)) mistake(reader, "a number without an exponent");
    }
    return (text){(const char *)start, (uint32_t)(reader->at - start)};
}

static bool read_word(reader *reader, const char *word) {
    size_t size = strlen(word);
    if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, word, size) != 0) return false;
    reader->at += size;
    return true;
}

static void read_value(reader *reader, json *value, int depth);

/// Elements of an array or members of an object, from behind its opening bracket.
static void read_children(reader *reader, json *parent, char close, int depth) {
    if (depth > JSON_DEPTH_LIMIT) mistake(reader, "too many values in one another");
    const json **link = &parent->first;
    skip_space(reader);
    if (reader->at < reader->end && *reader->at == close) {
        reader->at++;
        return;
    }
    while (true) {
        json *child = call_allocate(reader->call, sizeof *child);
        skip_space(reader);
        if (parent->kind == JSON_OBJECT) {
            if (reader->at == reader->end || *reader->at != '"') mistake(reader, "a member without a name");
            child->key = read_string(reader);
            skip_space(reader);
            if (reader->at == reader->end || *reader->at != ':') mistake(reader, "a member without a colon");
            reader->at++;
        }
        read_value(reader, child, depth);
        *link = child;
        link = &child->next;
        parent->count++;
        skip_space(reader);
        if (reader->at == reader->end) mistake(reader, "a value without an end");
        uint8_t sign = *reader->at++;
        if (sign == close) return;
        if (sign != ',') {
            reader->at--;
            mistake(reader, "no comma");
        }
    }
}

static void read_value(reader *reader, json *value, int depth) {
    skip_space(reader);
    if (reader->at == reader->end) mistake(reader, "no value");
    switch (*reader->at) {
    case '{':
    case '[':
        value->kind = *reader->at == '{' ? JSON_OBJECT : JSON_ARRAY;
        reader->at++;
        read_children(reader, value, value->kind == JSON_OBJECT ? '}' : ']', depth + 1);
        return;
    case '"':
        value->kind = JSON_STRING;
        value->string = read_string(reader);
        return;
    case 't':
    case 'f':
        value->kind = JSON_BOOLEAN;
        value->boolean = *reader->at == 't';
        if (!read_word(reader, value->boolean ? "true" : "false")) mistake(reader, "an unknown word");
        return;
    case 'n':
        if (!read_word(reader, "null")) mistake(reader, "an unknown word");
        return;
    default:
        value->kind = JSON_NUMBER;
        value->string = read_number(reader);
    }
}

const json *json_parse(call *call, const uint8_t *data, uint64_t size) {
    reader reader = {call, data, data, data + (data == NULL ? 0 : size)};
    if (size > INT32_MAX) call_fail(call, HOSTD_ERROR_INVALID_ARGUMENT, "the object has more than 2 GiB");
    json *value = call_allocate(call, sizeof *value);
    read_value(&reader, value, 0);
    skip_space(&reader);
    if (reader.at != reader.end) mistake(&reader, "something behind the value");
    return value;
}

const json *json_members(const json *object) { return object->kind == JSON_OBJECT ? object->first : NULL; }
const json *json_elements(const json *array) { return array->kind == JSON_ARRAY ? array->first : NULL; }
uint32_t json_count(const json *value) { return value->count; }

const json *json_member(const json *object, const char *name) {
    const json *found = &nothing;
    size_t size = strlen(name);
    for (const json *member = json_members(object); member != NULL; member = member->next)
        if (member->key.size == size && memcmp(member->key.data, name, size) == 0) found = member;
    return found;
}

const json *json_path(const json *object, ...) {
    va_list names;
    va_start(names, object);
    for (const char *name = va_arg(names, const char *); name != NULL; name = va_arg(names, const char *))
        object = json_member(object, name);
    va_end(names);
    return object;
}

text json_text(const json *value) { return value->kind == JSON_STRING ? value->string : (text){"", 0}; }

bool json_is(const json *value, const char *string) {
    return value->kind == JSON_STRING && text_equal(value->string, (text){string, (uint32_t)strlen(string)});
}

bool json_integer(const json *value, int64_t *number) {
    return value->kind == JSON_NUMBER && text_integer(value->string, number);
}
