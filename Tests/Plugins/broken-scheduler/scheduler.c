// A scheduler of the simplest kind that keeps the rules, and with -DFAULT=NAME breaks one of its role.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "hostd/plugin.h"

#define NODES 64
#define PODS 4096
#define NAME_SIZE 64

typedef struct node {
    char name[NAME_SIZE];
    hostd_scheduler_node has;
    int is_there, pods;
    int64_t cpu, memory;
} node;

typedef struct pod {
    char uid[NAME_SIZE], node[NAME_SIZE];
    int64_t cpu, memory;
    int is_there;
} pod;

typedef struct state {
    hostd_scheduler_1 table;
    node nodes[NODES];
    pod pods[PODS];
} state;

static hostd_buffer copy_of(const char *bytes);
static int32_t fail(hostd_error *error, int32_t code, const char *message);

/// A name as a C string; 0 when it is none that is kept here.
static int read_name(char *name, const uint8_t *bytes, uint64_t size) {
    if (bytes == NULL || size == 0 || size >= NAME_SIZE) return 0;
    memcpy(name, bytes, size);
    name[size] = 0;
    return strlen(name) == size;
}

static node *find_node(state *state, const char *name) {
    for (int i = 0; i < NODES; i++) {
        if (state->nodes[i].is_there && strcmp(state->nodes[i].name, name) == 0) return &state->nodes[i];
    }
    return NULL;
}

static pod *find_pod(state *state, const char *uid) {
    for (int i = 0; i < PODS; i++) {
        if (state->pods[i].is_there && strcmp(state->pods[i].uid, uid) == 0) return &state->pods[i];
    }
    return NULL;
}

static void free_pod(state *state, pod *pod) {
    node *node = find_node(state, pod->node);
    if (node != NULL) node->cpu -= pod->cpu, node->memory -= pod->memory, node->pods--;
    pod->is_there = 0;
}

static int place(state *state, const char *uid, const char *name, const hostd_scheduler_pod *amounts) {
    for (int i = 0; i < PODS; i++) {
        pod *pod = &state->pods[i];
        if (pod->is_there) continue;
        snprintf(pod->uid, NAME_SIZE, "%s", uid);
        snprintf(pod->node, NAME_SIZE, "%s", name);
        pod->cpu = amounts->milli_cpu, pod->memory = amounts->memory_bytes, pod->is_there = 1;
        node *node = find_node(state, name);
        if (node != NULL) node->cpu += pod->cpu, node->memory += pod->memory, node->pods++;
        return 1;
    }
    return 0;
}

static int is_sane(int64_t cpu, int64_t memory) { return cpu >= 0 && memory >= 0 && cpu < INT64_MAX / 8192 && memory < INT64_MAX / 8192; }

static int32_t node_set(void *self, const hostd_scheduler_node *given, const uint8_t *name, uint64_t name_size,
                        const uint8_t *object, uint64_t object_size, hostd_error *error) {
    state *state = self;
    char key[NAME_SIZE];
    (void)object, (void)object_size;
    if (given->struct_size < sizeof *given || !read_name(key, name, name_size) || !is_sane(given->milli_cpu, given->memory_bytes)) {
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the node cannot be used");
    }
    node *node = find_node(state, key);
    for (int i = 0; i < NODES && node == NULL; i++) {
        if (!state->nodes[i].is_there) node = &state->nodes[i], *node = (struct node){.is_there = 1};
    }
    if (node == NULL) return fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "too many nodes");
    snprintf(node->name, NAME_SIZE, "%s", key);
    node->has = *given;
    return HOSTD_OK;
}

static int32_t node_remove(void *self, const uint8_t *name, uint64_t size, hostd_error *error) {
    state *state = self;
    char key[NAME_SIZE];
    node *node = read_name(key, name, size) ? find_node(state, key) : NULL;
    if (node != NULL && FAULT != PLACES_ON_REMOVED) node->is_there = 0;
    if (node == NULL && FAULT == UNKNOWN_IS_ERROR) return fail(error, HOSTD_ERROR_NOT_FOUND, "there is no such node");
    return HOSTD_OK;
}

static int32_t pod_set(void *self, const hostd_scheduler_pod *amounts, const uint8_t *uid, uint64_t uid_size,
                       const uint8_t *name, uint64_t name_size, const uint8_t *object, uint64_t object_size,
                       hostd_error *error) {
    state *state = self;
    char key[NAME_SIZE], place_name[NAME_SIZE];
    (void)object, (void)object_size;
    if (amounts->struct_size < sizeof *amounts || !read_name(key, uid, uid_size) || !read_name(place_name, name, name_size) ||
        !is_sane(amounts->milli_cpu, amounts->memory_bytes)) {
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the pod cannot be used");
    }
    pod *known = find_pod(state, key);
    if (known != NULL && FAULT != COUNTS_CONFIRMED) free_pod(state, known);
    return place(state, key, place_name, amounts) ? HOSTD_OK : fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "too many pods");
}

static int32_t pod_remove(void *self, const uint8_t *uid, uint64_t size, hostd_error *error) {
    state *state = self;
    char key[NAME_SIZE];
    pod *pod = read_name(key, uid, size) ? find_pod(state, key) : NULL;
    (void)error;
    if (pod != NULL && FAULT != KEEPS_REMOVED) free_pod(state, pod);
    return HOSTD_OK;
}

static int fits(const node *node, const hostd_scheduler_pod *pod) {
    if (FAULT != TAKES_CORDONED && (node->has.flags & HOSTD_SCHEDULER_NODE_UNSCHEDULABLE)) return 0;
    if (FAULT != TAKES_UNREADY && !(node->has.flags & HOSTD_SCHEDULER_NODE_READY)) return 0;
    return (FAULT == FORGETS_CPU || node->cpu + pod->milli_cpu <= node->has.milli_cpu) &&
           (FAULT == FORGETS_MEMORY || node->memory + pod->memory_bytes <= node->has.memory_bytes) &&
           (FAULT == FORGETS_PODS || node->pods < node->has.pods);
}

static int32_t refuse(int nodes, hostd_buffer *decision) {
    char json[256];
    const char *reason = FAULT == NO_REASON ? "" : "It does not fit";
    int told = FAULT == WRONG_NODES ? nodes + 1 : nodes;
    if (nodes == 0) {
        snprintf(json, sizeof json, "{\"nodes\":%d,\"refusals\":[]}", told);
    } else {
        snprintf(json, sizeof json, "{\"nodes\":%d,\"refusals\":[{\"reason\":\"%s\",\"nodes\":%d}]}", told, reason,
                 FAULT == WRONG_SUM ? nodes + 1 : told);
    }
    *decision = copy_of(json);
    return HOSTD_OK;
}

static int32_t schedule(void *self, uint64_t deadline, const hostd_scheduler_pod *amounts, const uint8_t *uid,
                        uint64_t uid_size, const uint8_t *object, uint64_t object_size, hostd_buffer *decision,
                        hostd_error *error) {
    state *state = self;
    char key[NAME_SIZE], json[128];
    (void)deadline, (void)object, (void)object_size;
    if (amounts->struct_size < sizeof *amounts || !read_name(key, uid, uid_size) ||
        !is_sane(amounts->milli_cpu, amounts->memory_bytes)) {
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the pod cannot be used");
    }
    pod *known = find_pod(state, key);
    if (known != NULL && FAULT != COUNTS_TWICE) free_pod(state, known);
    int nodes = 0;
    for (int i = 0; i < NODES; i++) {
        if (!state->nodes[i].is_there) continue;
        nodes++;
        if (!fits(&state->nodes[i], amounts)) continue;
        if (!place(state, key, state->nodes[i].name, amounts)) break;
        snprintf(json, sizeof json, "{\"node\":\"%s\"}", state->nodes[i].name);
        *decision = copy_of(json);
        return HOSTD_OK;
    }
    return refuse(nodes, decision);
}

static int32_t reset(void *self, hostd_error *error) {
    state *state = self;
    (void)error;
    static int calls;
    if (FAULT == RESET_KEEPS && calls++ > 0) return HOSTD_OK;
    memset(state->nodes, 0, sizeof state->nodes);
    memset(state->pods, 0, sizeof state->pods);
    return HOSTD_OK;
}

static void make_table(state *state) {
    state->table = (hostd_scheduler_1){
        .interface = {sizeof state->table, 0, state, HOSTD_SCHEDULER_1, HOSTD_SCHEDULER_1_SLOTS},
        .node_set = node_set, .node_remove = node_remove, .pod_set = pod_set, .pod_remove = pod_remove,
        .schedule = schedule, .reset = reset,
    };
}

#define NAME "simple"
#define ROLE HOSTD_SCHEDULER_1
#include "../shell.h"
