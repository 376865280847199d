#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_all(int file, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t count = write(file, bytes, size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return false;
        bytes += count, size -= (size_t)count;
    }
    return true;
}

static bool sync_directory(const char *directory) {
    int file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return false;
    bool synced = fsync(file) == 0;
    close(file);
    return synced;
}

int32_t write_file(const char *directory, const char *name, const text *content, hostd_error *error) {
    char path[4096], draft[4096 + 4];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the path of %s is too long", name);
    snprintf(draft, sizeof draft, "%s.new", path);
    int file = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool written = file >= 0 && write_all(file, content->bytes, content->size) && fsync(file) == 0;
    int code = errno;
    if (file >= 0) close(file);
    if (written && rename(draft, path) == 0 && sync_directory(directory)) return HOSTD_OK;
    if (written) code = errno;
    int32_t status = code == ENOSPC || code == EDQUOT ? HOSTD_ERROR_NO_SPACE : HOSTD_ERROR_INTERNAL;
    return fail(error, status, "cannot write %s: %s", path, strerror(code));
}

int32_t read_json_file(const char *directory, const char *name, json **found, hostd_error *error) {
    char path[4096];
    *found = NULL;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno == ENOENT) return HOSTD_OK;
    if (file < 0) return fail(error, HOSTD_ERROR_INTERNAL, "cannot open %s: %s", path, strerror(errno));
    text content = {0};
    char block[4096];
    ssize_t count;
    while ((count = read(file, block, sizeof block)) > 0) text_add_bytes(&content, block, (size_t)count);
    close(file);
    if (count == 0) *found = json_parse((const uint8_t *)content.bytes, content.size);
    text_free(&content);
    if (*found != NULL) return HOSTD_OK;
    return fail(error, HOSTD_ERROR_DATA_LOSS, "%s is damaged: restore it, or remove it to begin anew", path);
}
