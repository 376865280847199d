// JSON in and out, and a map with ordered keys: as much as a plugin needs.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } json_kind;
typedef struct json json;

// The value, to be freed; NULL for what is not JSON in UTF-8, is nested more than 64 deep, or has NUL in a string.
json *json_parse(const uint8_t *bytes, uint64_t size);
void json_free(json *value);
json *json_copy(const json *value); // To be freed; NULL for NULL.

// Readers take NULL and every kind of value: what is not of the kind asked for reads as absent.
json_kind json_kind_of(const json *value); // JSON_NULL for NULL
const json *json_get(const json *object, const char *key);
size_t json_count(const json *array);
const json *json_at(const json *array, size_t index);
size_t json_member_count(const json *object);
const char *json_member_key(const json *object, size_t index);
const json *json_member(const json *object, size_t index);
const char *json_string(const json *value, const char *fallback);
int64_t json_integer(const json *value, int64_t fallback);
bool json_bool(const json *value, bool fallback);

bool is_utf8(const uint8_t *bytes, uint64_t size);

// Text that grows. A zeroed one is empty.
typedef struct {
    char *bytes;
    size_t size, capacity;
} text;
// Appends `format`: %s a C string, %q a C string as a JSON string, %i an int64_t, %b an int as true or false, %j a
// `const json *`, %f a double, %% a percent sign. Other characters stand for themselves.
void text_add(text *self, const char *format, ...);
void text_add_bytes(text *self, const void *bytes, size_t size);
void text_free(text *self);

// A map from byte strings to pointers, in the order of its keys: finding takes O(log n), adding and removing O(n) moves.
typedef struct {
    char *key; // Followed by a NUL.
    size_t key_size;
    void *value;
} map_entry;
typedef struct {
    map_entry *entries;
    size_t count, capacity;
} map;
size_t map_position(const map *self, const void *key, size_t size, bool *found); // Where it is or would be.
void *map_get(const map *self, const void *key, size_t size);                    // NULL when absent
void *map_put(map *self, const void *key, size_t size, void *value);             // What was there before
void *map_remove(map *self, const void *key, size_t size);                       // What was there
void map_free(map *self, void (*free_value)(void *value));

// As malloc and realloc, but ends the process when there is no memory: a plugin that half did something helps nobody.
void *allocate(size_t size);
void *reallocate(void *old, size_t size);
char *copy_text(const char *bytes, size_t size);

#endif
