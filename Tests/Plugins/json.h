// Just enough of JSON for fixtures: the text or number of one member, looked for by its name at any depth. Not a parser.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/// Whether the request looks like an object; fixtures refuse everything else.
static int is_object(const uint8_t *bytes, uint64_t size) { return size >= 2 && bytes[0] == '{' && bytes[size - 1] == '}'; }

/// Copies the text member `name` into `value`, which has room for 512 bytes; 0 when there is none.
__attribute__((unused)) static int get_text(const uint8_t *bytes, uint64_t size, const char *name, char *value) {
    char *copy = strndup((const char *)bytes, size), key[64];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *found = strstr(copy, key);
    size_t length = found == NULL ? 0 : strcspn(found + strlen(key), "\"");
    int is_there = length > 0 && length < 512;
    if (is_there) memcpy(value, found + strlen(key), length), value[length] = 0;
    free(copy);
    return is_there;
}

__attribute__((unused)) static long get_number(const uint8_t *bytes, uint64_t size, const char *name) {
    char *copy = strndup((const char *)bytes, size), key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *found = strstr(copy, key);
    long number = found == NULL ? 0 : strtol(found + strlen(key), NULL, 10);
    free(copy);
    return number;
}
