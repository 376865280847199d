#include <string.h>

#include "internal.h"

/// The next value of `slot` in the text of traits "slot:value;…" from `*at` on: its size, and `*value`. 0 = no further one.
static size_t next_value(const char **at, const char *slot, const char **value) {
    size_t name = strlen(slot);
    while (*at != NULL && **at != 0) {
        const char *pair = *at;
        size_t length = strcspn(pair, ";");
        *at = pair + length + (pair[length] == ';');
        if (length <= name + 1 || strncmp(pair, slot, name) != 0 || pair[name] != ':') continue;
        *value = pair + name + 1;
        return length - name - 1;
    }
    return 0;
}

int32_t interposer_descriptor_closer(const interposer_descriptor *descriptor, uint32_t index, const char *traits) {
    const char *slot = descriptor->slots[index].name, *at = traits, *value = NULL;
    char closer[INTERPOSER_NAME_LIMIT + sizeof "_cancel"];
    strcpy(stpcpy(closer, slot), "_cancel");
    for (size_t size; (size = next_value(&at, slot, &value)) != 0;) {
        if (size > INTERPOSER_NAME_LIMIT || memchr(value, '=', size) != NULL) continue;
        memcpy(closer, value, size);
        closer[size] = 0;
    }
    int32_t found = interposer_descriptor_find(descriptor, closer);
    return found >= 0 && strcmp(descriptor->slots[found].letters, "he") == 0 ? found : -1;
}

int32_t interposer_descriptor_tag(const interposer_descriptor *descriptor, uint32_t index, const char *traits,
                                  const char *tag, char letter) {
    const signature *signature = &descriptor->slots[index];
    const char *at = traits, *value = NULL;
    size_t name = strlen(tag);
    for (size_t size; (size = next_value(&at, signature->name, &value)) != 0;) {
        if (size < name + 2 || size > name + 3 || strncmp(value, tag, name) != 0 || value[name] != '=') continue;
        uint32_t position = 0;
        for (const char *digit = value + name + 1; digit < value + size; digit++) {
            if (*digit < '0' || *digit > '9') return -1;
            position = position * 10 + (uint32_t)(*digit - '0');
        }
        return position < strlen(signature->letters) && signature->letters[position] == letter ? (int32_t)position : -1;
    }
    return -1;
}
