// @NAME@: a scheduler. It places each pod on the node that has the greatest share of its cores and memory left.
//
// To make it yours, change `score`. `refusal` decides which nodes are asked at all.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugin.h"

const char plugin_description[] =
    "{\"name\":\"@NAME@\",\"version\":\"1.0.0\",\"description\":\"Places pods where most is left.\","
    "\"provides\":[\"hostd.scheduler/1\"]}";
const char plugin_schema[] =
    "{\"type\":\"object\",\"properties\":{\"cpuWeight\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":100,"
    "\"default\":50,\"description\":\"How much cores count against memory, in percent.\"}}}";

typedef struct {
    int64_t milli_cpu, memory, storage, pods;
} amounts;

typedef struct {
    amounts allocatable, used;
    uint32_t flags;
    json *object; // The Node.
} node;

typedef struct {
    char *node; // Its name; the node itself may be gone, or not known yet.
    amounts uses;
} placement;

// The host calls a scheduler's slots one at a time, so there is no lock.
struct plugin {
    plugin_base base;
    hostd_scheduler_1 table;
    double cpu_weight; // 0 to 1
    map nodes;         // name → node
    map placements;    // pod uid → placement
    uint64_t revision; // See hostd_scheduler_1.revision: by it the caller knows that nothing it told was lost.
};

// The greater, the better: 1 for an empty node, 0 for a full one. `after` is what would be in use with the pod there.
static double score(const plugin *self, const node *candidate, const amounts *after) {
    const amounts *all = &candidate->allocatable;
    double cpu = all->milli_cpu > 0 ? 1 - (double)after->milli_cpu / (double)all->milli_cpu : 0;
    double memory = all->memory > 0 ? 1 - (double)after->memory / (double)all->memory : 0;
    return self->cpu_weight * cpu + (1 - self->cpu_weight) * memory;
}

static bool tolerates(const json *pod, const json *taint) {
    const json *tolerations = json_get(json_get(pod, "spec"), "tolerations");
    const char *effect = json_string(json_get(taint, "effect"), "");
    for (size_t i = 0; i < json_count(tolerations); i++) {
        const json *toleration = json_at(tolerations, i);
        const char *key = json_string(json_get(toleration, "key"), ""), *wanted = json_string(json_get(toleration, "effect"), "");
        bool exists = strcmp(json_string(json_get(toleration, "operator"), "Equal"), "Exists") == 0;
        bool same_key = strcmp(key, json_string(json_get(taint, "key"), "")) == 0 || (exists && key[0] == 0);
        bool same_value = strcmp(json_string(json_get(toleration, "value"), ""), json_string(json_get(taint, "value"), "")) == 0;
        if (same_key && (exists || same_value) && (wanted[0] == 0 || strcmp(wanted, effect) == 0)) return true;
    }
    return false;
}

static bool has_untolerated_taint(const node *candidate, const json *pod) {
    const json *taints = json_get(json_get(candidate->object, "spec"), "taints");
    for (size_t i = 0; i < json_count(taints); i++) {
        const char *effect = json_string(json_get(json_at(taints, i), "effect"), "");
        if (strcmp(effect, "PreferNoSchedule") != 0 && !tolerates(pod, json_at(taints, i))) return true;
    }
    return false;
}

static bool matches_selector(const node *candidate, const json *pod) {
    const json *wanted = json_get(json_get(pod, "spec"), "nodeSelector");
    const json *labels = json_get(json_get(candidate->object, "metadata"), "labels");
    for (size_t i = 0; i < json_member_count(wanted); i++) {
        const char *value = json_string(json_get(labels, json_member_key(wanted, i)), NULL);
        if (value == NULL || strcmp(value, json_string(json_member(wanted, i), "")) != 0) return false;
    }
    return true;
}

// Why a node cannot take the pod, in the words that `kubectl describe pod` shows; NULL when it can. A node is counted
// under its first reason.
static const char *refusal(const node *candidate, const amounts *after, const json *pod) {
    const amounts *all = &candidate->allocatable;
    if (candidate->flags & HOSTD_SCHEDULER_NODE_UNSCHEDULABLE) return "node(s) were unschedulable";
    if (!(candidate->flags & HOSTD_SCHEDULER_NODE_READY)) return "node(s) were not ready";
    if (has_untolerated_taint(candidate, pod)) return "node(s) had untolerated taints";
    if (!matches_selector(candidate, pod)) return "node(s) didn't match Pod's node affinity/selector";
    if (after->pods > all->pods) return "Too many pods";
    if (after->milli_cpu > all->milli_cpu) return "Insufficient cpu";
    if (after->memory > all->memory) return "Insufficient memory";
    if (after->storage > all->storage) return "Insufficient ephemeral-storage";
    return NULL;
}

static amounts sum(const amounts *a, const amounts *b, int64_t sign) {
    return (amounts){a->milli_cpu + sign * b->milli_cpu, a->memory + sign * b->memory, a->storage + sign * b->storage,
                     a->pods + sign * b->pods};
}

static bool in_range(int64_t amount) { return amount >= 0 && amount <= INT64_C(1) << 50; } // Sums cannot overflow.

static bool read_pod(const hostd_scheduler_pod *pod, amounts *uses, hostd_error *error, int32_t *status) {
    if (pod == NULL || pod->struct_size < sizeof *pod) {
        *status = fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the pod's struct is shorter than %zu bytes", sizeof *pod);
        return false;
    }
    *uses = (amounts){pod->milli_cpu, pod->memory_bytes, pod->ephemeral_storage_bytes, 1};
    if (in_range(uses->milli_cpu) && in_range(uses->memory) && in_range(uses->storage)) return true;
    *status = fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "an amount of the pod is negative or beyond 2^50");
    return false;
}

static bool is_name(const uint8_t *bytes, uint64_t size) {
    return bytes != NULL && size > 0 && size <= 1024 && memchr(bytes, 0, size) == NULL && is_utf8(bytes, size);
}

static void free_node(void *value) {
    if (value != NULL) json_free(((node *)value)->object);
    free(value);
}

static void free_placement(void *value) {
    if (value != NULL) free(((placement *)value)->node);
    free(value);
}

static int32_t node_set(void *context, const hostd_scheduler_node *description, const uint8_t *name, uint64_t size,
                        const uint8_t *object, uint64_t object_size, hostd_error *error) {
    plugin *self = context;
    if (check_active(self, error) < 0) return HOSTD_ERROR_WRONG_STATE;
    if (description == NULL || description->struct_size < sizeof *description)
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the node's struct is shorter than %zu bytes", sizeof *description);
    if (!is_name(name, size)) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the node's name is empty or not text");
    amounts all = {description->milli_cpu, description->memory_bytes, description->ephemeral_storage_bytes, description->pods};
    if (!in_range(all.milli_cpu) || !in_range(all.memory) || !in_range(all.storage) || !in_range(all.pods))
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "an amount of the node is negative or beyond 2^50");
    node *made = allocate(sizeof *made);
    *made = (node){.allocatable = all, .flags = description->flags, .object = json_parse(object, object_size)};
    for (size_t i = 0; i < self->placements.count; i++) { // Pods may have been told of before their node.
        placement *placed = self->placements.entries[i].value;
        if (strlen(placed->node) == size && memcmp(placed->node, name, size) == 0)
            made->used = sum(&made->used, &placed->uses, 1);
    }
    free_node(map_put(&self->nodes, name, size, made));
    self->revision++;
    return HOSTD_OK;
}

static int32_t node_remove(void *context, const uint8_t *name, uint64_t size, hostd_error *error) {
    plugin *self = context;
    if (check_active(self, error) < 0) return HOSTD_ERROR_WRONG_STATE;
    free_node(map_remove(&self->nodes, name, size));
    self->revision++;
    return HOSTD_OK;
}

static void forget(plugin *self, const uint8_t *uid, uint64_t size) {
    placement *placed = map_remove(&self->placements, uid, size);
    if (placed == NULL) return;
    node *host = map_get(&self->nodes, placed->node, strlen(placed->node));
    if (host != NULL) host->used = sum(&host->used, &placed->uses, -1);
    free_placement(placed);
}

static void place(plugin *self, const uint8_t *uid, uint64_t size, const char *name, size_t name_size, const amounts *uses) {
    forget(self, uid, size);
    placement *placed = allocate(sizeof *placed);
    *placed = (placement){copy_text(name, name_size), *uses};
    map_put(&self->placements, uid, size, placed);
    node *host = map_get(&self->nodes, name, name_size);
    if (host != NULL) host->used = sum(&host->used, uses, 1);
}

static int32_t pod_set(void *context, const hostd_scheduler_pod *pod, const uint8_t *uid, uint64_t uid_size,
                       const uint8_t *name, uint64_t name_size, const uint8_t *object, uint64_t object_size,
                       hostd_error *error) {
    (void)object, (void)object_size;
    plugin *self = context;
    int32_t status = check_active(self, error);
    amounts uses;
    if (status < 0 || !read_pod(pod, &uses, error, &status)) return status;
    if (!is_name(uid, uid_size) || !is_name(name, name_size))
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the pod's uid or its node's name is empty or not text");
    place(self, uid, uid_size, (const char *)name, name_size, &uses);
    self->revision++;
    return HOSTD_OK;
}

static int32_t pod_remove(void *context, const uint8_t *uid, uint64_t size, hostd_error *error) {
    plugin *self = context;
    if (check_active(self, error) < 0) return HOSTD_ERROR_WRONG_STATE;
    forget(self, uid, size);
    self->revision++;
    return HOSTD_OK;
}

// Adds one to a reason's number. Reasons are constants, so their addresses tell them apart; the map keeps their order.
static void count_refusal(map *reasons, const char *reason) {
    int64_t *nodes = map_get(reasons, reason, strlen(reason));
    if (nodes == NULL) {
        nodes = allocate(sizeof *nodes);
        *nodes = 0;
        map_put(reasons, reason, strlen(reason), nodes);
    }
    ++*nodes;
}

static const map_entry *best_node(plugin *self, const amounts *uses, const json *pod, map *reasons) {
    const map_entry *best = NULL;
    double best_score = 0;
    for (size_t i = 0; i < self->nodes.count; i++) {
        const node *candidate = self->nodes.entries[i].value;
        amounts after = sum(&candidate->used, uses, 1);
        const char *reason = refusal(candidate, &after, pod);
        if (reason != NULL) {
            count_refusal(reasons, reason);
            continue;
        }
        double points = score(self, candidate, &after);
        if (best == NULL || points > best_score) best = &self->nodes.entries[i], best_score = points;
    }
    return best;
}

static void write_refusals(text *answer, const plugin *self, const map *reasons) {
    text_add(answer, "{\"nodes\":%i,\"refusals\":[", (int64_t)self->nodes.count);
    for (size_t i = 0; i < reasons->count; i++) {
        const map_entry *entry = &reasons->entries[i];
        text_add(answer, "%s{\"reason\":%q,\"nodes\":%i}", i > 0 ? "," : "", entry->key, *(int64_t *)entry->value);
    }
    text_add(answer, "]}");
}

static int32_t schedule(void *context, uint64_t deadline, const hostd_scheduler_pod *pod, const uint8_t *uid,
                        uint64_t uid_size, const uint8_t *object, uint64_t object_size, hostd_buffer *decision,
                        hostd_error *error) {
    plugin *self = context;
    int32_t status = check_active(self, error);
    amounts uses;
    if (status < 0) return status;
    if (deadline != 0 && monotonic_nanoseconds() > deadline)
        return fail(error, HOSTD_ERROR_DEADLINE_EXCEEDED, "the deadline had passed when the call came in");
    if (!read_pod(pod, &uses, error, &status)) return status;
    if (!is_name(uid, uid_size)) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the pod's uid is empty or not text");
    text answer = {0};
    self->revision++;
    placement *before = map_get(&self->placements, uid, uid_size);
    if (before != NULL) { // Asked again: a pod is placed once.
        text_add(&answer, "{\"node\":%q}", before->node);
        *decision = text_buffer(&answer);
        return HOSTD_OK;
    }
    json *parsed = json_parse(object, object_size);
    map reasons = {0};
    const map_entry *chosen = best_node(self, &uses, parsed, &reasons);
    if (chosen != NULL) {
        place(self, uid, uid_size, chosen->key, chosen->key_size, &uses);
        text_add(&answer, "{\"node\":%q}", chosen->key);
    } else {
        write_refusals(&answer, self, &reasons);
    }
    map_free(&reasons, free);
    json_free(parsed);
    *decision = text_buffer(&answer);
    return HOSTD_OK;
}

static void clear(plugin *self) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    map_free(&self->nodes, free_node);
    map_free(&self->placements, free_placement);
    self->revision = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec; // Unlike any before.
}

static int32_t reset(void *context, hostd_error *error) {
    if (check_active(context, error) < 0) return HOSTD_ERROR_WRONG_STATE;
    clear(context);
    return HOSTD_OK;
}

static int32_t revision(void *context, uint64_t *number, hostd_error *error) {
    if (check_active(context, error) < 0) return HOSTD_ERROR_WRONG_STATE;
    *number = ((plugin *)context)->revision;
    return HOSTD_OK;
}

plugin *plugin_create(void) {
    plugin *self = allocate(sizeof *self);
    *self = (plugin){.cpu_weight = 0.5};
    self->table = (hostd_scheduler_1){
        .interface = {sizeof self->table, 0, self, HOSTD_SCHEDULER_1, HOSTD_SCHEDULER_1_SLOTS},
        .node_set = node_set, .node_remove = node_remove, .pod_set = pod_set,
        .pod_remove = pod_remove, .schedule = schedule, .reset = reset, .revision = revision,
    };
    return self;
}

int32_t plugin_configure(plugin *self, const json *options, const char *directory, hostd_error *error) {
    (void)directory, (void)error;
    self->cpu_weight = (double)json_integer(json_get(options, "cpuWeight"), 50) / 100;
    return HOSTD_OK;
}

int32_t plugin_activate(plugin *self, hostd_error *error) {
    (void)error;
    clear(self);
    write_log(self->base.log, HOSTD_LOG_INFO, "cores count %d of 100 against memory", (int)(self->cpu_weight * 100));
    return HOSTD_OK;
}

// Whoever activates the scheduler again feeds it anew.
int32_t plugin_deactivate(plugin *self, hostd_error *error) {
    (void)error;
    clear(self);
    return HOSTD_OK;
}

void plugin_destroy(plugin *self) {
    clear(self);
    free(self);
}

const hostd_interface *plugin_interface(plugin *self, const char *id) {
    return strcmp(id, HOSTD_SCHEDULER_1) == 0 ? &self->table.interface : NULL;
}
