// Volumes that are directories, bound to the target path: by the rules, and with -DFAULT=NAME against one of them.
#include <errno.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"
#include "hostd/plugin.h"
#include "../json.h"

typedef struct state {
    hostd_volume_1 table;
    int made;
} state;

static hostd_buffer copy_of(const char *bytes);
static int32_t fail(hostd_error *error, int32_t code, const char *message);

#define ARGUMENTS                                                                                                       \
    void *self, uint64_t deadline, const uint8_t *request, uint64_t size, hostd_buffer *response, hostd_error *error
#define REFUSE_OTHERS                                                                                                   \
    (void)self, (void)deadline;                                                                                         \
    if (!is_object(request, size)) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request is no object")

/// Volumes lie in the working directory of the check, under their names.
static int volume_path(char *path, const char *id) {
    if (strchr(id, '/') != NULL || id[0] == '.' || strlen(id) > 200) return 0;
    snprintf(path, 1024, "volume-%s", id);
    return 1;
}

static int32_t done(hostd_buffer *response) {
    *response = copy_of("{}");
    return HOSTD_OK;
}

static int32_t status(ARGUMENTS) {
    REFUSE_OTHERS;
    *response = copy_of("{\"driver\":\"toy.example.com\",\"version\":\"1\",\"ready\":true,\"reason\":\"\",\"capabilities\":[\"create\"]}");
    return HOSTD_OK;
}

static int32_t create_volume(ARGUMENTS) {
    state *state = self;
    REFUSE_OTHERS;
    char name[512], id[600], path[1024], json[1400];
    if (!get_text(request, size, "name", name)) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "name is needed");
    snprintf(id, sizeof id, FAULT == MAKES_ANOTHER ? "%.150s-%d" : "%.150s%.0d", name, FAULT == MAKES_ANOTHER ? state->made++ : 0);
    if (!volume_path(path, id)) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the name cannot be used");
    if (mkdir(path, 0755) != 0 && errno != EEXIST) return fail(error, HOSTD_ERROR_INTERNAL, "no directory can be made");
    snprintf(json, sizeof json, "{\"volume\":{\"volumeID\":\"%s\",\"capacityBytes\":1048576,\"context\":{}}}", id);
    *response = copy_of(json);
    return HOSTD_OK;
}

static int32_t delete_volume(ARGUMENTS) {
    REFUSE_OTHERS;
    char id[512], path[1024], file[1100];
    if (!get_text(request, size, "volumeID", id) || !volume_path(path, id)) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "volumeID is needed");
    snprintf(file, sizeof file, "%s/data", path);
    unlink(file);
    if (rmdir(path) != 0 && FAULT == DELETES_ONCE) return fail(error, HOSTD_ERROR_NOT_FOUND, "there is no such volume");
    return done(response);
}

static int32_t publish(ARGUMENTS) {
    REFUSE_OTHERS;
    char id[512], path[1024], target[512], file[1100];
    if (!get_text(request, size, "volumeID", id) || !volume_path(path, id) || !get_text(request, size, "targetPath", target) || access(path, F_OK) != 0) {
        return fail(error, HOSTD_ERROR_NOT_FOUND, "there is no such volume");
    }
    snprintf(file, sizeof file, "%s/data", path);
    if (FAULT == LOSES_DATA) unlink(file);
    mkdir(target, 0755);
    umount2(target, MNT_DETACH);
    return mount(path, target, NULL, MS_BIND, NULL) == 0 ? done(response) : fail(error, HOSTD_ERROR_INTERNAL, "it cannot be mounted");
}

static int32_t unpublish(ARGUMENTS) {
    REFUSE_OTHERS;
    char target[512];
    if (!get_text(request, size, "targetPath", target)) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "targetPath is needed");
    if (FAULT == LEAVES_DATA) return done(response);
    if (umount2(target, MNT_DETACH) != 0 && FAULT == UNPUBLISHES_ONCE) return fail(error, HOSTD_ERROR_NOT_FOUND, "it is not mounted");
    rmdir(target);
    return done(response);
}

static void make_table(state *state) {
    state->table = (hostd_volume_1){
        .interface = {sizeof state->table, 0, state, HOSTD_VOLUME_1, HOSTD_VOLUME_1_SLOTS},
        .status = status, .create_volume = create_volume, .delete_volume = delete_volume, .publish = publish,
        .unpublish = unpublish,
    };
}

#define NAME "toy-volumes"
#define ROLE HOSTD_VOLUME_1
#include "../shell.h"
