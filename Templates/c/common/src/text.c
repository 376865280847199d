// Text that grows, and the map: see json.h.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

void json_write(text *out, const json *value); // In json.c, for %j.

void *reallocate(void *old, size_t size) {
    void *memory = realloc(old, size > 0 ? size : 1);
    if (memory == NULL) abort();
    return memory;
}

void *allocate(size_t size) { return reallocate(NULL, size); }

char *copy_text(const char *bytes, size_t size) {
    char *copy = allocate(size + 1);
    if (size > 0) memcpy(copy, bytes, size);
    copy[size] = 0;
    return copy;
}

void text_add_bytes(text *self, const void *bytes, size_t size) {
    if (size == 0) return;
    if (self->capacity - self->size < size) {
        self->capacity = (self->size + size) * 2;
        self->bytes = reallocate(self->bytes, self->capacity);
    }
    memcpy(self->bytes + self->size, bytes, size);
    self->size += size;
}

void text_free(text *self) {
    free(self->bytes);
    *self = (text){0};
}

static void add_quoted(text *self, const char *string) {
    text_add_bytes(self, "\"", 1);
    for (; *string != 0; string++) {
        uint8_t c = (uint8_t)*string;
        char escape[8];
        if (c == '"' || c == '\\') {
            snprintf(escape, sizeof escape, "\\%c", c);
        } else if (c < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", c);
        } else {
            snprintf(escape, sizeof escape, "%c", c);
        }
        text_add_bytes(self, escape, strlen(escape));
    }
    text_add_bytes(self, "\"", 1);
}

static void add_string(text *self, const char *string) { text_add_bytes(self, string, strlen(string)); }

void text_add(text *self, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    for (const char *next = format; *next != 0; next++) {
        char number[64];
        if (*next != '%') {
            text_add_bytes(self, next, 1);
            continue;
        }
        switch (*++next) {
        case 's': add_string(self, va_arg(arguments, const char *)); break;
        case 'q': add_quoted(self, va_arg(arguments, const char *)); break;
        case 'b': add_string(self, va_arg(arguments, int) ? "true" : "false"); break;
        case 'j': json_write(self, va_arg(arguments, const json *)); break;
        case 'i':
            snprintf(number, sizeof number, "%lld", (long long)va_arg(arguments, int64_t));
            add_string(self, number);
            break;
        case 'f':
            snprintf(number, sizeof number, "%.17g", va_arg(arguments, double));
            add_string(self, number);
            break;
        default: text_add_bytes(self, next, 1);
        }
    }
    va_end(arguments);
}

bool is_utf8(const uint8_t *bytes, uint64_t size) {
    for (uint64_t i = 0; i < size;) {
        uint8_t head = bytes[i];
        uint64_t more = head < 0x80 ? 0 : head < 0xC2 ? 4 : head < 0xE0 ? 1 : head < 0xF0 ? 2 : head < 0xF5 ? 3 : 4;
        if (more == 4 || size - i <= more) return false;
        for (uint64_t k = 1; k <= more; k++)
            if ((bytes[i + k] & 0xC0) != 0x80) return false;
        // Too long a form, a surrogate, beyond the last scalar.
        if ((head == 0xE0 && bytes[i + 1] < 0xA0) || (head == 0xED && bytes[i + 1] > 0x9F) ||
            (head == 0xF0 && bytes[i + 1] < 0x90) || (head == 0xF4 && bytes[i + 1] > 0x8F))
            return false;
        i += more + 1;
    }
    return true;
}

size_t map_position(const map *self, const void *key, size_t size, bool *found) {
    size_t low = 0, high = self->count;
    *found = false;
    while (low < high && !*found) {
        size_t middle = (low + high) / 2;
        const map_entry *entry = &self->entries[middle];
        size_t common = size < entry->key_size ? size : entry->key_size;
        int order = common == 0 ? 0 : memcmp(key, entry->key, common);
        if (order == 0) order = size < entry->key_size ? -1 : size > entry->key_size;
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return low;
}

void *map_get(const map *self, const void *key, size_t size) {
    bool found;
    size_t position = map_position(self, key, size, &found);
    return found ? self->entries[position].value : NULL;
}

void *map_put(map *self, const void *key, size_t size, void *value) {
    bool found;
    size_t position = map_position(self, key, size, &found);
    if (found) {
        void *before = self->entries[position].value;
        self->entries[position].value = value;
        return before;
    }
    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? 8 : self->capacity * 2;
        self->entries = reallocate(self->entries, self->capacity * sizeof(map_entry));
    }
    memmove(&self->entries[position + 1], &self->entries[position], (self->count - position) * sizeof(map_entry));
    self->entries[position] = (map_entry){copy_text(key, size), size, value};
    self->count++;
    return NULL;
}

void *map_remove(map *self, const void *key, size_t size) {
    bool found;
    size_t position = map_position(self, key, size, &found);
    if (!found) return NULL;
    map_entry removed = self->entries[position];
    free(removed.key);
    self->count--;
    memmove(&self->entries[position], &self->entries[position + 1], (self->count - position) * sizeof(map_entry));
    return removed.value;
}

void map_free(map *self, void (*free_value)(void *value)) {
    for (size_t i = 0; i < self->count; i++) {
        if (free_value != NULL) free_value(self->entries[i].value);
        free(self->entries[i].key);
    }
    free(self->entries);
    *self = (map){0};
}
