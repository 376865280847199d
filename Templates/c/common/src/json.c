// JSON values: parsing and reading. What they are made of is in text.c.
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEEPEST 64

struct json {
    json_kind kind;
    bool boolean;
    double number;
    char *string;   // Of a string.
    json **items;   // Of an array or object.
    char **keys;    // Of an object, as many as items.
    size_t count;
};

typedef struct {
    const uint8_t *next, *end;
    int depth;
} parser;

static json *parse_value(parser *in);

static json *new_value(json_kind kind) {
    json *value = allocate(sizeof *value);
    *value = (json){.kind = kind};
    return value;
}

void json_free(json *value) {
    if (value == NULL) return;
    for (size_t i = 0; i < value->count; i++) {
        json_free(value->items[i]);
        if (value->keys != NULL) free(value->keys[i]);
    }
    free(value->items), free(value->keys), free(value->string), free(value);
}

static void skip_space(parser *in) {
    while (in->next < in->end && (*in->next == ' ' || *in->next == '\n' || *in->next == '\t' || *in->next == '\r'))
        in->next++;
}

static bool take(parser *in, char wanted) {
    skip_space(in);
    if (in->next == in->end || *in->next != (uint8_t)wanted) return false;
    in->next++;
    return true;
}

static bool take_word(parser *in, const char *word) {
    size_t size = strlen(word);
    if ((size_t)(in->end - in->next) < size || memcmp(in->next, word, size) != 0) return false;
    in->next += size;
    return true;
}

static bool four_digits(parser *in, uint32_t *unit) {
    if (in->end - in->next < 4) return false;
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = *in->next++;
        uint32_t digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 16;
        if (digit == 16) return false;
        *unit = *unit << 4 | digit;
    }
    return true;
}

// What follows \u, as UTF-8. Half a surrogate pair and NUL are refused.
static bool unicode_escape(parser *in, text *out) {
    uint32_t scalar, low;
    if (!four_digits(in, &scalar) || scalar == 0) return false;
    if (scalar >= 0xD800 && scalar < 0xE000) {
        if (scalar >= 0xDC00 || !take_word(in, "\\u") || !four_digits(in, &low) || low < 0xDC00 || low > 0xDFFF)
            return false;
        scalar = 0x10000 + ((scalar - 0xD800) << 10) + (low - 0xDC00);
    }
    uint8_t bytes[4];
    size_t size = scalar < 0x80 ? 1 : scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4;
    static const uint8_t heads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = size - 1; i > 0; i--, scalar >>= 6) bytes[i] = 0x80 | (scalar & 0x3F);
    bytes[0] = heads[size] | (uint8_t)scalar;
    text_add_bytes(out, bytes, size);
    return true;
}

static char *parse_string(parser *in) {
    if (!take(in, '"')) return NULL;
    text out = {0};
    while (in->next < in->end && *in->next >= 0x20) {
        uint8_t c = *in->next++;
        if (c == '"') return text_add_bytes(&out, "", 1), out.bytes;
        if (c == '\\') {
            if (in->next == in->end) break;
            c = *in->next++;
            if (c == 'u') {
                if (!unicode_escape(in, &out)) break;
                continue;
            }
            static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
            const char *found = c == 0 ? NULL : strchr(from, c);
            if (found == NULL) break;
            c = (uint8_t)to[found - from];
        }
        text_add_bytes(&out, &c, 1);
    }
    text_free(&out);
    return NULL;
}

static json *parse_number(parser *in) {
    char digits[64] = {0};
    size_t size = 0;
    while (in->next < in->end && size < sizeof digits - 1 && strchr("+-.eE0123456789", *in->next) && *in->next != 0)
        digits[size++] = (char)*in->next++;
    char *end;
    json *value = new_value(JSON_NUMBER);
    value->number = strtod(digits, &end);
    bool well_formed = size > 0 && *end == 0 && digits[0] != '+' && digits[0] != '.' && isfinite(value->number);
    if (well_formed) return value;
    json_free(value);
    return NULL;
}

static void add_item(json *container, char *key, json *item) {
    size_t count = container->count;
    if ((count & (count - 1)) == 0) { // Room for the next power of two.
        size_t room = count == 0 ? 1 : count * 2;
        container->items = reallocate(container->items, room * sizeof *container->items);
        if (container->kind == JSON_OBJECT) container->keys = reallocate(container->keys, room * sizeof(char *));
    }
    container->items[count] = item;
    if (container->kind == JSON_OBJECT) container->keys[count] = key;
    container->count++;
}

static json *parse_container(parser *in, json_kind kind, char close) {
    json *container = new_value(kind);
    if (take(in, close)) return container;
    do {
        char *key = NULL;
        if (kind == JSON_OBJECT && ((key = parse_string(in)) == NULL || !take(in, ':'))) {
            free(key);
            goto malformed;
        }
        json *item = parse_value(in);
        if (item == NULL) {
            free(key);
            goto malformed;
        }
        add_item(container, key, item);
    } while (take(in, ','));
    if (take(in, close)) return container;
malformed:
    json_free(container);
    return NULL;
}

static json *parse_value(parser *in) {
    skip_space(in);
    if (in->next == in->end || in->depth == DEEPEST) return NULL;
    json *value = NULL;
    in->depth++;
    if (*in->next == '"') {
        char *string = parse_string(in);
        if (string != NULL) (value = new_value(JSON_STRING))->string = string;
    } else if (take(in, '{')) {
        value = parse_container(in, JSON_OBJECT, '}');
    } else if (take(in, '[')) {
        value = parse_container(in, JSON_ARRAY, ']');
    } else if (take_word(in, "true")) {
        (value = new_value(JSON_BOOL))->boolean = true;
    } else if (take_word(in, "false")) {
        value = new_value(JSON_BOOL);
    } else if (take_word(in, "null")) {
        value = new_value(JSON_NULL);
    } else {
        value = parse_number(in);
    }
    in->depth--;
    return value;
}

json *json_parse(const uint8_t *bytes, uint64_t size) {
    if (bytes == NULL || !is_utf8(bytes, size)) return NULL;
    parser in = {bytes, bytes + size, 0};
    json *value = parse_value(&in);
    skip_space(&in);
    if (in.next == in.end) return value;
    json_free(value);
    return NULL;
}

json_kind json_kind_of(const json *value) { return value == NULL ? JSON_NULL : value->kind; }

const json *json_get(const json *object, const char *key) {
    if (json_kind_of(object) != JSON_OBJECT) return NULL;
    for (size_t i = 0; i < object->count; i++)
        if (strcmp(object->keys[i], key) == 0) return object->items[i];
    return NULL;
}

size_t json_count(const json *array) { return json_kind_of(array) == JSON_ARRAY ? array->count : 0; }

const json *json_at(const json *array, size_t index) { return index < json_count(array) ? array->items[index] : NULL; }

size_t json_member_count(const json *object) { return json_kind_of(object) == JSON_OBJECT ? object->count : 0; }

const char *json_member_key(const json *object, size_t index) { return object->keys[index]; }

const json *json_member(const json *object, size_t index) { return object->items[index]; }

const char *json_string(const json *value, const char *fallback) {
    return json_kind_of(value) == JSON_STRING ? value->string : fallback;
}

int64_t json_integer(const json *value, int64_t fallback) {
    bool fits = json_kind_of(value) == JSON_NUMBER && fabs(value->number) < 9007199254740992.0;
    return fits ? (int64_t)value->number : fallback;
}

bool json_bool(const json *value, bool fallback) {
    return json_kind_of(value) == JSON_BOOL ? value->boolean : fallback;
}

void json_write(text *out, const json *value) {
    switch (json_kind_of(value)) {
    case JSON_NULL: text_add(out, "null"); return;
    case JSON_BOOL: text_add(out, "%b", (int)value->boolean); return;
    case JSON_STRING: text_add(out, "%q", value->string); return;
    case JSON_NUMBER:
        if (value->number == (double)json_integer(value, 0)) {
            text_add(out, "%i", json_integer(value, 0));
        } else {
            text_add(out, "%f", value->number);
        }
        return;
    case JSON_ARRAY:
    case JSON_OBJECT: break;
    }
    bool object = value->kind == JSON_OBJECT;
    text_add(out, object ? "{" : "[");
    for (size_t i = 0; i < value->count; i++) {
        if (i > 0) text_add(out, ",");
        if (object) text_add(out, "%q:", value->keys[i]);
        json_write(out, value->items[i]);
    }
    text_add(out, object ? "}" : "]");
}

json *json_copy(const json *value) {
    text written = {0};
    json_write(&written, value);
    json *copy = value == NULL ? NULL : json_parse((const uint8_t *)written.bytes, written.size);
    text_free(&written);
    return copy;
}
