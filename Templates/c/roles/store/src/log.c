// The log file: what was acknowledged is in it. See store.h.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store.h"

typedef struct {
    uint32_t size, checksum; // Of what follows.
} entry_head;

static uint32_t checksum(const uint8_t *bytes, uint64_t size) { // FNV-1a
    uint32_t hash = 0x811c9dc5;
    for (uint64_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 0x01000193;
    return hash;
}

void log_entry(text *out, record *const *records, size_t count) {
    text body = {0};
    for (size_t i = 0; i < count; i++) record_encode(records[i], 0, &body);
    entry_head head = {(uint32_t)body.size, checksum((const uint8_t *)body.bytes, body.size)};
    text_add_bytes(out, &head, sizeof head);
    text_add_bytes(out, body.bytes, body.size);
    text_free(&body);
}

static int32_t system_failure(hostd_error *error, const char *what, const char *path) {
    int code = errno;
    return fail(error, code == ENOSPC ? HOSTD_ERROR_NO_SPACE : HOSTD_ERROR_INTERNAL, "cannot %s %s: %s", what, path, strerror(code));
}

static bool write_all(int file, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t count = write(file, bytes, size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return false;
        bytes += count, size -= (size_t)count;
    }
    return true;
}

// A last entry that was cut by a crash was never acknowledged, and is left out.
static int32_t read_entries(const text *content, void (*each)(void *, record *), void *context, hostd_error *error) {
    size_t at = 0;
    entry_head head;
    while (content->size - at >= sizeof head) {
        memcpy(&head, content->bytes + at, sizeof head);
        const uint8_t *body = (const uint8_t *)content->bytes + at + sizeof head;
        if (content->size - at - sizeof head < head.size) return HOSTD_OK;
        bool is_last = content->size - at - sizeof head == head.size;
        if (checksum(body, head.size) != head.checksum)
            return is_last ? HOSTD_OK : fail(error, HOSTD_ERROR_DATA_LOSS, "the log is damaged at byte %zu: restore a backup", at);
        uint64_t used, done = 0;
        record *found;
        for (; (found = record_decode(body + done, head.size - done, &used)) != NULL; done += used) each(context, found);
        at += sizeof head + head.size;
    }
    return HOSTD_OK;
}

int32_t log_read(const char *directory, void (*each)(void *, record *), void *context, hostd_error *error) {
    char path[4096], block[65536];
    snprintf(path, sizeof path, "%s/store.log", directory);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno == ENOENT) return HOSTD_OK;
    if (file < 0) return system_failure(error, "open", path);
    text content = {0};
    ssize_t count;
    while ((count = read(file, block, sizeof block)) > 0) text_add_bytes(&content, block, (size_t)count);
    int32_t status = count < 0 ? system_failure(error, "read", path) : read_entries(&content, each, context, error);
    close(file);
    text_free(&content);
    return status;
}

int32_t log_rewrite(const char *directory, const text *entries, int *file, hostd_error *error) {
    char path[4096], draft[4096 + 4];
    snprintf(path, sizeof path, "%s/store.log", directory);
    snprintf(draft, sizeof draft, "%s.new", path);
    *file = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    int folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool written = *file >= 0 && folder >= 0 && write_all(*file, entries->bytes, entries->size) && fsync(*file) == 0 &&
                   rename(draft, path) == 0 && fsync(folder) == 0;
    int32_t status = written ? HOSTD_OK : system_failure(error, "write", path);
    if (folder >= 0) close(folder);
    if (!written && *file >= 0) close(*file), *file = -1;
    return status;
}

// Returns when the entry is on disk. One that could not be written whole is cut off again.
int32_t log_append(int file, const text *entry, hostd_error *error) {
    struct stat before;
    if (fstat(file, &before) != 0) return system_failure(error, "look at", "the log");
    if (write_all(file, entry->bytes, entry->size) && fdatasync(file) == 0) return HOSTD_OK;
    int32_t status = system_failure(error, "write", "the log");
    if (ftruncate(file, before.st_size) != 0) return HOSTD_ERROR_DATA_LOSS;
    return status;
}
