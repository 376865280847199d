// Records and steps as they cross: the layouts of hostd/roles/store.h. This machine is little-endian, as they are.
#include <stdlib.h>
#include <string.h>

#include "store.h"

static void copy_part(view *part, uint8_t **end, view from) {
    if (from.size > 0) memcpy(*end, from.bytes, from.size);
    *part = (view){*end, from.size};
    *end += from.size;
}

record *record_make(uint32_t kind, view key, view index, view value) {
    record *it = allocate(sizeof *it + key.size + index.size + value.size);
    memset(it, 0, sizeof *it);
    uint8_t *end = it->content;
    it->owners = 1;
    it->kind = kind;
    copy_part(&it->key, &end, key), copy_part(&it->index, &end, index), copy_part(&it->value, &end, value);
    return it;
}

record *record_keep(record *it) {
    if (it != NULL) it->owners++;
    return it;
}

void record_release(record *it) {
    if (it != NULL && --it->owners == 0) free(it);
}

void record_encode(const record *it, uint32_t flags, text *out) {
    hostd_store_record head = {
        .struct_size = sizeof head, .revision = it->revision, .create_revision = it->create_revision,
        .version = it->version, .lease = it->lease, .kind = it->kind, .flags = flags, .key_size = (uint32_t)it->key.size,
        .index_size = (uint32_t)it->index.size, .value_size = (uint32_t)it->value.size,
    };
    uint64_t size = sizeof head + it->key.size + it->index.size + it->value.size;
    head.record_size = (uint32_t)((size + 7) / 8 * 8);
    text_add_bytes(out, &head, sizeof head);
    text_add_bytes(out, it->content, size - sizeof head);
    text_add_bytes(out, "\0\0\0\0\0\0\0", head.record_size - size);
}

record *record_decode(const uint8_t *bytes, uint64_t size, uint64_t *used) {
    hostd_store_record head;
    if (size < sizeof head) return NULL;
    memcpy(&head, bytes, sizeof head);
    uint64_t needed = (uint64_t)head.struct_size + head.key_size + head.index_size + head.value_size;
    if (head.struct_size < sizeof head || head.record_size > size || needed > head.record_size) return NULL;
    const uint8_t *key = bytes + head.struct_size, *index = key + head.key_size, *value = index + head.index_size;
    record *it = record_make(head.kind, (view){key, head.key_size}, (view){index, head.index_size}, (view){value, head.value_size});
    it->revision = head.revision, it->create_revision = head.create_revision;
    it->version = head.version, it->lease = head.lease;
    *used = head.record_size;
    return it;
}

int32_t operations_decode(view bytes, operation **all, size_t *count, hostd_error *error) {
    *all = NULL, *count = 0;
    while (bytes.size > 0) {
        hostd_store_operation head = {0};
        if (bytes.size >= sizeof head) memcpy(&head, bytes.bytes, sizeof head);
        uint64_t needed = (uint64_t)head.struct_size + head.key_size + head.index_size + head.value_size;
        if (head.struct_size < sizeof head || needed > head.operation_size || head.operation_size > bytes.size ||
            head.operation_size % 8 != 0) {
            free(*all);
            return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "step %zu of the transaction is malformed", *count);
        }
        const uint8_t *key = bytes.bytes + head.struct_size, *index = key + head.key_size, *value = index + head.index_size;
        *all = reallocate(*all, (*count + 1) * sizeof **all);
        (*all)[(*count)++] = (operation){head.kind, head.expected_revision, head.lease, {key, head.key_size},
                                         {index, head.index_size}, {value, head.value_size}};
        bytes = (view){bytes.bytes + head.operation_size, bytes.size - head.operation_size};
    }
    return HOSTD_OK;
}

// UTF-8 without control characters; the number of slashes goes to `*slashes`.
static bool is_path(view bytes, int *slashes) {
    *slashes = 0;
    for (uint64_t i = 0; i < bytes.size; i++) {
        if (bytes.bytes[i] < 0x20 || bytes.bytes[i] == 0x7F) return false;
        *slashes += bytes.bytes[i] == '/';
    }
    return bytes.size > 0 && bytes.bytes[0] != '/' && is_utf8(bytes.bytes, bytes.size);
}

int32_t check_key(view key, hostd_error *error) {
    int slashes;
    bool good = key.bytes != NULL && key.size <= 1024 && is_path(key, &slashes) && slashes == 2 && key.bytes[key.size - 1] != '/';
    return good ? HOSTD_OK : fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "a key is RESOURCE/NAMESPACE/NAME, at most 1,024 bytes of text");
}

int32_t check_prefix(view prefix, hostd_error *error) {
    int slashes;
    bool good = prefix.size == 0 || (prefix.bytes != NULL && prefix.size <= 1024 && is_path(prefix, &slashes) && slashes <= 2 &&
                                     prefix.bytes[prefix.size - 1] == '/');
    return good ? HOSTD_OK : fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "a prefix is empty, RESOURCE/ or RESOURCE/NAMESPACE/");
}

int32_t operation_check(const operation *it, hostd_error *error) {
    size_t zeros = 0;
    for (uint64_t i = 0; i < it->index.size; i++) zeros += it->index.bytes[i] == 0;
    if (zeros % 2 != 0 || (it->index.size > 0 && it->index.bytes[it->index.size - 1] != 0))
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "an index is a list of \"name\\0value\\0\"");
    if (it->kind < HOSTD_STORE_CREATE || it->kind > HOSTD_STORE_CHECK)
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "%u is no kind of step", it->kind);
    return check_key(it->key, error);
}
