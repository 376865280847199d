// A network that gives out addresses and makes no links: by the rules, and with -DFAULT=NAME against one of them.
#include <pthread.h>

#include "faults.h"
#include "hostd/plugin.h"
#include "../json.h"

#define ADDRESSES 200

typedef struct state {
    hostd_network_1 table;
    pthread_mutex_t lock;
    char sandboxes[ADDRESSES][64]; // "" = free; the address is the index plus 2.
    int last;
} state;

static hostd_buffer copy_of(const char *bytes);
static int32_t fail(hostd_error *error, int32_t code, const char *message);

#define ARGUMENTS                                                                                                       \
    void *self, uint64_t deadline, const uint8_t *request, uint64_t size, hostd_buffer *response, hostd_error *error
#define REFUSE_OTHERS                                                                                                   \
    (void)self, (void)deadline;                                                                                         \
    if (!is_object(request, size)) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request is no object")
#define NEED_SANDBOX                                                                                                    \
    char sandbox[512];                                                                                                  \
    if (!get_text(request, size, "sandboxID", sandbox) || strlen(sandbox) > 60) {                                       \
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "sandboxID is needed");                                        \
    }

static int32_t status(ARGUMENTS) {
    REFUSE_OTHERS;
    *response = copy_of("{\"name\":\"toy\",\"version\":\"1\",\"ready\":true,\"reason\":\"\",\"podRange\":\"10.9.8.0/24\"}");
    return HOSTD_OK;
}

/// Index of a sandbox, -1 when it is not attached. Under the lock.
static int find(state *state, const char *sandbox) {
    for (int i = 0; i < ADDRESSES; i++) {
        if (strcmp(state->sandboxes[i], sandbox) == 0) return i;
    }
    return -1;
}

static int32_t attach(ARGUMENTS) {
    state *state = self;
    REFUSE_OTHERS;
    NEED_SANDBOX;
    char json[256];
    pthread_mutex_lock(&state->lock);
    int index = find(state, sandbox);
    if (FAULT == ANOTHER_ADDRESS && index >= 0) state->sandboxes[index][0] = 0, state->last = index + 1, index = -1;
    for (int i = 0; i < ADDRESSES && index < 0; i++) {
        int place = (state->last + i) % ADDRESSES;
        if (state->sandboxes[place][0] == 0) index = place;
    }
    if (index >= 0) strcpy(state->sandboxes[index], sandbox);
    pthread_mutex_unlock(&state->lock);
    if (index < 0) return fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "no address is free");
    snprintf(json, sizeof json, "{\"interfaces\":[],\"ips\":[{\"address\":\"10.9.%d.%d/24\",\"gateway\":\"10.9.8.1\"}],\"routes\":[],\"dns\":{}}",
             FAULT == OUTSIDE ? 9 : 8, FAULT == ONE_ADDRESS ? 2 : index + 2);
    *response = copy_of(json);
    return HOSTD_OK;
}

static int32_t check(ARGUMENTS) {
    state *state = self;
    REFUSE_OTHERS;
    NEED_SANDBOX;
    pthread_mutex_lock(&state->lock);
    int index = find(state, sandbox);
    pthread_mutex_unlock(&state->lock);
    if (index < 0 && FAULT != CHECKS_NOTHING) return fail(error, HOSTD_ERROR_NOT_FOUND, "it is not attached");
    *response = copy_of("{}");
    return HOSTD_OK;
}

static int32_t detach(ARGUMENTS) {
    state *state = self;
    REFUSE_OTHERS;
    NEED_SANDBOX;
    pthread_mutex_lock(&state->lock);
    int index = find(state, sandbox);
    if (index >= 0) state->sandboxes[index][0] = 0;
    pthread_mutex_unlock(&state->lock);
    if (index < 0 && FAULT == DETACHES_ONCE) return fail(error, HOSTD_ERROR_NOT_FOUND, "it is not attached");
    *response = copy_of("{}");
    return HOSTD_OK;
}

static int32_t collect_garbage(ARGUMENTS) {
    state *state = self;
    REFUSE_OTHERS;
    char *valid = strndup((const char *)request, size), json[16384] = "{\"removed\":[", quoted[80], part[80];
    const char *comma = "";
    pthread_mutex_lock(&state->lock);
    for (int i = 0; i < ADDRESSES; i++) {
        snprintf(quoted, sizeof quoted, "\"%s\"", state->sandboxes[i]);
        if (state->sandboxes[i][0] == 0 || (strstr(valid, quoted) != NULL && FAULT != COLLECTS_ALL)) continue;
        snprintf(part, sizeof part, "%s%s", comma, quoted);
        strcat(json, part);
        comma = ",";
        state->sandboxes[i][0] = 0;
    }
    pthread_mutex_unlock(&state->lock);
    free(valid);
    strcat(json, "]}");
    *response = copy_of(json);
    return HOSTD_OK;
}

static void make_table(state *state) {
    pthread_mutex_init(&state->lock, NULL);
    state->table = (hostd_network_1){
        .interface = {sizeof state->table, 0, state, HOSTD_NETWORK_1, HOSTD_NETWORK_1_SLOTS},
        .status = status, .attach = attach, .check = check, .detach = detach, .collect_garbage = collect_garbage,
    };
}

#define NAME "toy-network"
#define ROLE HOSTD_NETWORK_1
#include "../shell.h"
