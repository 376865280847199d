// Four devices, kept by the rules, and with -DFAULT=NAME against one of them.
#include <pthread.h>

#include "faults.h"
#include "hostd/plugin.h"
#include "../json.h"

#define DEVICES 4

typedef struct state {
    hostd_device_1 table;
    pthread_mutex_t lock;
    char owners[DEVICES][64]; // "" = free.
} state;

static hostd_buffer copy_of(const char *bytes);
static int32_t fail(hostd_error *error, int32_t code, const char *message);

#define ARGUMENTS                                                                                                       \
    void *self, uint64_t deadline, const uint8_t *request, uint64_t size, hostd_buffer *response, hostd_error *error
#define REFUSE_OTHERS                                                                                                   \
    (void)self, (void)deadline;                                                                                         \
    if (!is_object(request, size)) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request is no object")

static int32_t status(ARGUMENTS) {
    REFUSE_OTHERS;
    *response = copy_of("{\"vendor\":\"example.com\",\"version\":\"1\",\"ready\":true,\"reason\":\"\"}");
    return HOSTD_OK;
}

static int32_t list_devices(ARGUMENTS) {
    REFUSE_OTHERS;
    *response = copy_of("{\"resources\":[{\"name\":\"example.com/toy\",\"devices\":[{\"id\":\"0\",\"healthy\":true},"
                        "{\"id\":\"1\",\"healthy\":true},{\"id\":\"2\",\"healthy\":true},{\"id\":\"3\",\"healthy\":true}]}]}");
    return HOSTD_OK;
}

/// The device numbers of a pod as JSON.
static int32_t answer(const int *devices, int count, hostd_buffer *response) {
    char json[256] = "{\"deviceIDs\":[", part[16];
    for (int i = 0; i < count; i++) snprintf(part, sizeof part, "%s\"%d\"", i ? "," : "", devices[i]), strcat(json, part);
    strcat(json, "],\"edits\":{}}");
    *response = copy_of(json);
    return HOSTD_OK;
}

static int32_t allocate(ARGUMENTS) {
    state *state = self;
    REFUSE_OTHERS;
    char pod[512], resource[512];
    long count = get_number(request, size, "count");
    if (!get_text(request, size, "podUID", pod) || strlen(pod) > 60 || !get_text(request, size, "resource", resource) || count < 1) {
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "podUID, resource and count are needed");
    }
    if (strcmp(resource, "example.com/toy") != 0 && FAULT != KNOWS_EVERYTHING) return fail(error, HOSTD_ERROR_NOT_FOUND, "no such resource");
    pthread_mutex_lock(&state->lock);
    int devices[DEVICES], found = 0;
    for (int i = 0; i < DEVICES && FAULT != FORGETS_REQUEST; i++) {
        if (strcmp(state->owners[i], pod) == 0) devices[found++] = i;
    }
    int is_known = found > 0;
    for (int i = 0; i < DEVICES && !is_known && found < count; i++) {
        if (state->owners[i][0] == 0 || FAULT == GIVES_TWICE) devices[found++] = i;
    }
    int is_enough = found >= count || is_known;
    for (int i = 0; i < found && (is_enough || FAULT == TAKES_ON_REFUSAL); i++) strcpy(state->owners[devices[i]], pod);
    pthread_mutex_unlock(&state->lock);
    return is_enough ? answer(devices, found, response) : fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "too few are free");
}

static int32_t release_pod(ARGUMENTS) {
    state *state = self;
    REFUSE_OTHERS;
    char pod[512];
    int devices[DEVICES], found = 0;
    if (!get_text(request, size, "podUID", pod)) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "podUID is needed");
    pthread_mutex_lock(&state->lock);
    for (int i = 0; i < DEVICES; i++) {
        if (strcmp(state->owners[i], pod) != 0) continue;
        devices[found++] = i;
        if (FAULT != KEEPS_RELEASED) state->owners[i][0] = 0;
    }
    pthread_mutex_unlock(&state->lock);
    if (found == 0 && FAULT == UNKNOWN_IS_ERROR) return fail(error, HOSTD_ERROR_NOT_FOUND, "no such pod");
    return answer(devices, found, response);
}

static int32_t list_allocations(ARGUMENTS) {
    state *state = self;
    REFUSE_OTHERS;
    char json[1024] = "{\"allocations\":[", part[200];
    const char *comma = "";
    pthread_mutex_lock(&state->lock);
    for (int i = 0; i < DEVICES; i++) {
        if (state->owners[i][0] == 0) continue;
        snprintf(part, sizeof part, "%s{\"podUID\":\"%s\",\"resource\":\"example.com/toy\",\"deviceIDs\":[\"%d\"]}", comma, state->owners[i], i);
        strcat(json, part);
        comma = ",";
    }
    pthread_mutex_unlock(&state->lock);
    strcat(json, "]}");
    *response = copy_of(json);
    return HOSTD_OK;
}

static void make_table(state *state) {
    pthread_mutex_init(&state->lock, NULL);
    state->table = (hostd_device_1){
        .interface = {sizeof state->table, 0, state, HOSTD_DEVICE_1, HOSTD_DEVICE_1_SLOTS},
        .status = status, .list_devices = list_devices, .allocate = allocate, .release = release_pod,
        .list_allocations = list_allocations,
    };
}

#define NAME "toys"
#define ROLE HOSTD_DEVICE_1
#include "../shell.h"
