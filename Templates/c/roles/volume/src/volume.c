// @NAME@: volumes in directories of this machine. A volume is a directory under the plugin's own, which `publish` binds
// at the place where a pod looks for it. A capacity is a promise here, not a quota.
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "files.h"

const char plugin_description[] = "{\"name\":\"@NAME@\",\"version\":\"1.0.0\",\"description\":\"Volumes in directories.\","
                                  "\"provides\":[\"hostd.volume/1\"]}";
const char plugin_schema[] = ""; // No options.
static const char book_name[] = "volumes.json";

struct plugin {
    plugin_base base;
    hostd_volume_1 table;
    char directory[3072];
    pthread_mutex_t lock; // Slots are called from any thread.
    map volumes;          // volume id, which is its name → int64_t *, the capacity
};

static int32_t save(plugin *self, hostd_error *error) {
    text content = {0};
    text_add(&content, "{\"format\":1,\"volumes\":[");
    for (size_t i = 0; i < self->volumes.count; i++)
        text_add(&content, "%s{\"volumeID\":%q,\"capacityBytes\":%i}", i > 0 ? "," : "", self->volumes.entries[i].key,
                 *(int64_t *)self->volumes.entries[i].value);
    text_add(&content, "]}");
    int32_t status = write_file(self->directory, book_name, &content, error);
    text_free(&content);
    return status;
}

static void remember(plugin *self, const char *id, int64_t capacity) {
    int64_t *value = allocate(sizeof *value);
    *value = capacity;
    free(map_put(&self->volumes, id, strlen(id), value));
}

// Names become parts of paths, so they are no paths themselves.
static bool is_plain_name(const char *name) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return name[0] != 0 && name[0] != '.' && strlen(name) <= 200 && name[strspn(name, allowed)] == 0;
}

static void volume_path(const plugin *self, const char *id, char *path, size_t size) {
    snprintf(path, size, "%s/volumes/%s", self->directory, id);
}

static int32_t system_failure(hostd_error *error, const char *what, const char *path) {
    int code = errno;
    int32_t status = code == ENOSPC ? HOSTD_ERROR_NO_SPACE : code == EPERM || code == EACCES ? HOSTD_ERROR_FORBIDDEN : HOSTD_ERROR_INTERNAL;
    return fail(error, status, "cannot %s %.300s: %s", what, path, strerror(code));
}

// The text of a member that every request of its kind needs.
static int32_t needed(const json *request, const char *member, const char **value, hostd_error *error) {
    *value = json_string(json_get(request, member), "");
    return **value != 0 ? HOSTD_OK : fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request needs a text \"%s\"", member);
}

static int32_t known_volume(plugin *self, const json *request, const char **id, hostd_error *error) {
    int32_t status = needed(request, "volumeID", id, error);
    if (status < 0 || map_get(&self->volumes, *id, strlen(*id)) != NULL) return status;
    return fail(error, HOSTD_ERROR_NOT_FOUND, "there is no volume %.64s", *id);
}

static int32_t make_volume(plugin *self, const char *name, int64_t capacity, hostd_error *error) {
    char path[4096];
    volume_path(self, name, path, sizeof path);
    if (mkdir(path, 0777) != 0 && errno != EEXIST) return system_failure(error, "make", path);
    chmod(path, 0777); // Pods of any user write into it.
    remember(self, name, capacity);
    int32_t status = save(self, error);
    if (status < 0) free(map_remove(&self->volumes, name, strlen(name)));
    return status;
}

static int32_t create_volume(plugin *self, const json *request, text *answer, hostd_error *error) {
    const char *name;
    int64_t capacity = json_integer(json_get(request, "capacityBytes"), 0);
    int32_t status = needed(request, "name", &name, error);
    if (status < 0) return status;
    if (!is_plain_name(name) || capacity < 0)
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "a name has letters, digits, '-', '_' and '.', and a capacity is not negative");
    if (json_kind_of(json_get(request, "source")) != JSON_NULL)
        return fail(error, HOSTD_ERROR_NOT_SUPPORTED, "volumes cannot be made from a snapshot or from another volume");
    const int64_t *before = map_get(&self->volumes, name, strlen(name));
    if (before == NULL) status = make_volume(self, name, capacity, error);
    else if (*before < capacity)
        return fail(error, HOSTD_ERROR_ALREADY_EXISTS, "volume %.64s exists with %lld bytes", name, (long long)*before);
    else capacity = *before; // The same request again.
    if (status == HOSTD_OK)
        text_add(answer, "{\"volume\":{\"volumeID\":%q,\"capacityBytes\":%i,\"context\":{}}}", name, capacity);
    return status;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind, (void)place;
    return remove(path);
}

static int32_t delete_volume(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)answer;
    const char *id;
    int32_t status = needed(request, "volumeID", &id, error);
    if (status < 0 || map_get(&self->volumes, id, strlen(id)) == NULL) return status; // What is gone is success.
    char path[4096];
    volume_path(self, id, path, sizeof path);
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0 && errno != ENOENT)
        return system_failure(error, "remove", path);
    free(map_remove(&self->volumes, id, strlen(id)));
    return save(self, error);
}

static int32_t validate(plugin *self, const json *request, text *answer, hostd_error *error) {
    const char *id;
    int32_t status = known_volume(self, request, &id, error);
    if (status < 0) return status;
    bool blocks = strcmp(json_string(json_get(request, "volumeMode"), "Filesystem"), "Block") == 0;
    text_add(answer, "{\"confirmed\":%b,\"message\":%q}", !blocks, blocks ? "volumes are directories here" : "");
    return HOSTD_OK;
}

static bool make_directories(const char *path) {
    char part[4096];
    for (size_t i = 1; i < sizeof part && i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        snprintf(part, sizeof part, "%.*s", (int)i, path);
        if (mkdir(part, 0755) != 0 && errno != EEXIST) return false;
    }
    return true;
}

static bool is_same_directory(const char *one, const char *other) {
    struct stat a, b;
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int32_t target_of(const json *request, const char **target, hostd_error *error) {
    int32_t status = needed(request, "targetPath", target, error);
    if (status < 0) return status;
    bool plain = **target == '/' && strlen(*target) < 4000 && strstr(*target, "/../") == NULL;
    return plain ? HOSTD_OK : fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "targetPath must be an absolute path");
}

static int32_t publish(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)answer;
    const char *id, *target;
    char source[4096];
    int32_t status = known_volume(self, request, &id, error);
    if (status == HOSTD_OK) status = target_of(request, &target, error);
    if (status < 0) return status;
    volume_path(self, id, source, sizeof source);
    if (!make_directories(target)) return system_failure(error, "make", target);
    if (!is_same_directory(source, target) && mount(source, target, NULL, MS_BIND, NULL) != 0)
        return system_failure(error, "bind the volume at", target);
    unsigned long access = json_bool(json_get(request, "readOnly"), false) ? MS_RDONLY : 0;
    if (mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | access, NULL) != 0)
        return system_failure(error, "set the access of", target);
    return HOSTD_OK;
}

static int32_t unpublish(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)self, (void)answer;
    const char *target;
    int32_t status = target_of(request, &target, error);
    if (status < 0) return status;
    while (umount2(target, MNT_DETACH) == 0) continue;
    if (errno != EINVAL && errno != ENOENT) return system_failure(error, "unmount", target);
    if (rmdir(target) != 0 && errno != ENOENT) return system_failure(error, "remove", target);
    return HOSTD_OK;
}

static int32_t expand(plugin *self, const json *request, text *answer, hostd_error *error) {
    const char *id;
    int64_t wanted = json_integer(json_get(request, "capacityBytes"), 0);
    int32_t status = known_volume(self, request, &id, error);
    if (status < 0) return status;
    if (wanted < 1) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "capacityBytes must be a positive number");
    int64_t before = *(int64_t *)map_get(&self->volumes, id, strlen(id));
    int64_t capacity = wanted > before ? wanted : before;
    remember(self, id, capacity);
    status = save(self, error);
    if (status < 0) remember(self, id, before);
    else text_add(answer, "{\"capacityBytes\":%i,\"nodeExpansionRequired\":false}", capacity);
    return status;
}

static int32_t capacity(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)request;
    struct statvfs space;
    if (statvfs(self->directory, &space) != 0) return system_failure(error, "look at", self->directory);
    text_add(answer, "{\"availableBytes\":%i}", (int64_t)(space.f_bavail * space.f_frsize));
    return HOSTD_OK;
}

static int32_t status(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)self, (void)request, (void)error;
    text_add(answer, "{\"driver\":\"@NAME@.example.com\",\"version\":\"1.0.0\",\"ready\":true,\"reason\":\"\","
                     "\"capabilities\":[\"create\",\"expand\"]}");
    return HOSTD_OK;
}

// One call at a time: publishing twice at once must not bind twice.
#define LOCKED_SLOT(name)                                                                                              \
    static int32_t name##_locked(plugin *self, const json *request, text *answer, hostd_error *error) {                \
        pthread_mutex_lock(&self->lock);                                                                               \
        int32_t result = name(self, request, answer, error);                                                           \
        pthread_mutex_unlock(&self->lock);                                                                             \
        return result;                                                                                                 \
    }                                                                                                                  \
    JSON_SLOT(name##_locked)

LOCKED_SLOT(create_volume)
LOCKED_SLOT(delete_volume)
LOCKED_SLOT(validate)
LOCKED_SLOT(publish)
LOCKED_SLOT(unpublish)
LOCKED_SLOT(expand)
JSON_SLOT(capacity)
JSON_SLOT(status)

plugin *plugin_create(void) {
    plugin *self = allocate(sizeof *self);
    *self = (plugin){.lock = PTHREAD_MUTEX_INITIALIZER};
    // Slots that stay NULL answer NOT_SUPPORTED: attaching to nodes, staging, statistics, snapshots.
    self->table = (hostd_volume_1){
        .interface = {sizeof self->table, 0, self, HOSTD_VOLUME_1, HOSTD_VOLUME_1_SLOTS},
        .status = status_slot, .create_volume = create_volume_locked_slot, .delete_volume = delete_volume_locked_slot,
        .validate = validate_locked_slot, .publish = publish_locked_slot, .unpublish = unpublish_locked_slot,
        .expand = expand_locked_slot, .capacity = capacity_slot,
    };
    return self;
}

int32_t plugin_configure(plugin *self, const json *options, const char *directory, hostd_error *error) {
    (void)options, (void)error;
    snprintf(self->directory, sizeof self->directory, "%s", directory);
    return HOSTD_OK;
}

int32_t plugin_activate(plugin *self, hostd_error *error) {
    char path[4096];
    volume_path(self, "", path, sizeof path);
    if (mkdir(path, 0755) != 0 && errno != EEXIST) return system_failure(error, "make", path);
    json *book;
    int32_t status = read_json_file(self->directory, book_name, &book, error);
    const json *volumes = json_get(book, "volumes");
    for (size_t i = 0; i < json_count(volumes); i++) {
        const json *volume = json_at(volumes, i);
        remember(self, json_string(json_get(volume, "volumeID"), ""), json_integer(json_get(volume, "capacityBytes"), 0));
    }
    json_free(book);
    return status;
}

int32_t plugin_deactivate(plugin *self, hostd_error *error) {
    (void)error;
    map_free(&self->volumes, free); // All of it is in the file.
    return HOSTD_OK;
}

void plugin_destroy(plugin *self) {
    map_free(&self->volumes, free);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

const hostd_interface *plugin_interface(plugin *self, const char *id) {
    return strcmp(id, HOSTD_VOLUME_1) == 0 ? &self->table.interface : NULL;
}
