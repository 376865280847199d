// scheduler-binpack: a scheduler that fills nodes one after another, in C against hostd's header alone.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "state.h"

enum step { STEP_ENTERED, STEP_CONFIGURED, STEP_ACTIVE };

/// One instance; two of one image live side by side during a swap.
typedef struct scheduler {
    hostd_scheduler_1 role;
    hostd_state_1 handover;
    /// The caller runs one call at a time; the lock is for one that does not keep to that.
    pthread_mutex_t lock;
    enum step step;
    options options;
    cluster cluster;
    trace trace;
    uint64_t marks; ///< That were given out.
} scheduler;

static text borrowed(const uint8_t *data, uint64_t size) {
    return data == NULL || size > UINT32_MAX ? (text){"", 0} : (text){(const char *)data, (uint32_t)size};
}

/// Leaves a call that holds the lock.
static int32_t leave(scheduler *scheduler, call *call) {
    pthread_mutex_unlock(&scheduler->lock);
    call_end(call);
    return HOSTD_OK;
}

static int32_t refuse(scheduler *scheduler, call *call, hostd_error *error) {
    pthread_mutex_unlock(&scheduler->lock);
    return call_failed(call, error);
}

static void require_active(scheduler *scheduler, call *call) {
    if (scheduler->step != STEP_ACTIVE) call_fail(call, HOSTD_ERROR_WRONG_STATE, "scheduler-binpack is not active");
}

static void require_memory(call *call, bool there_was) {
    if (!there_was) call_fail(call, HOSTD_ERROR_RESOURCE_EXHAUSTED, "there is no memory for it");
}

// MARK: hostd.scheduler/1

static int32_t node_set(void *self, const hostd_scheduler_node *node, const uint8_t *name, uint64_t name_size,
                        const uint8_t *object, uint64_t object_size, hostd_error *error) {
    scheduler *scheduler = self;
    call call;
    pthread_mutex_lock(&scheduler->lock);
    if (CALL_BEGIN(&call)) return refuse(scheduler, &call, error);
    require_active(scheduler, &call);
    call.subject = "node";
    call.name = borrowed(name, name_size);
    if (node == NULL || node->struct_size < sizeof *node)
        call_fail(&call, HOSTD_ERROR_INVALID_ARGUMENT, "the struct is too small");
    if (call.name.size == 0) call_fail(&call, HOSTD_ERROR_INVALID_ARGUMENT, "the name is empty");
    node_facts facts = {
        .name = call.name,
        .is_ready = node->flags & HOSTD_SCHEDULER_NODE_READY,
        .is_unschedulable = node->flags & HOSTD_SCHEDULER_NODE_UNSCHEDULABLE,
        .allocatable = {amount_clamp(node->milli_cpu), amount_clamp(node->memory_bytes),
                        amount_clamp(node->ephemeral_storage_bytes), amount_clamp(node->pods)},
    };
    node_facts_read(&call, &facts, json_parse(&call, object, object_size));
    require_memory(&call, cluster_set_node(&scheduler->cluster, &facts));
    trace_note_node(&scheduler->trace, facts.name);
    scheduler->cluster.revision++;
    return leave(scheduler, &call);
}

/// node_remove and pod_remove.
static int32_t forget(scheduler *scheduler, text key, void (*remove)(cluster *cluster, text key),
                      void (*note)(trace *trace, text key), hostd_error *error) {
    call call;
    pthread_mutex_lock(&scheduler->lock);
    if (CALL_BEGIN(&call)) return refuse(scheduler, &call, error);
    require_active(scheduler, &call);
    remove(&scheduler->cluster, key);
    note(&scheduler->trace, key);
    scheduler->cluster.revision++;
    return leave(scheduler, &call);
}

static int32_t node_remove(void *self, const uint8_t *name, uint64_t name_size, hostd_error *error) {
    return forget(self, borrowed(name, name_size), cluster_remove_node, trace_note_node, error);
}

static int32_t pod_remove(void *self, const uint8_t *uid, uint64_t uid_size, hostd_error *error) {
    return forget(self, borrowed(uid, uid_size), cluster_remove_pod, trace_note_pod, error);
}

static pod_facts pod_amounts(call *call, const hostd_scheduler_pod *pod, const uint8_t *uid, uint64_t uid_size) {
    call->subject = "pod";
    call->name = borrowed(uid, uid_size);
    if (pod == NULL || pod->struct_size < sizeof *pod)
        call_fail(call, HOSTD_ERROR_INVALID_ARGUMENT, "the struct is too small");
    if (call->name.size == 0) call_fail(call, HOSTD_ERROR_INVALID_ARGUMENT, "the uid is empty");
    return (pod_facts){.priority = pod->priority,
                       .amounts = {amount_clamp(pod->milli_cpu), amount_clamp(pod->memory_bytes),
                                   amount_clamp(pod->ephemeral_storage_bytes), 1}};
}

static int32_t pod_set(void *self, const hostd_scheduler_pod *pod, const uint8_t *uid, uint64_t uid_size,
                       const uint8_t *node, uint64_t node_size, const uint8_t *object, uint64_t object_size,
                       hostd_error *error) {
    scheduler *scheduler = self;
    call call;
    pthread_mutex_lock(&scheduler->lock);
    if (CALL_BEGIN(&call)) return refuse(scheduler, &call, error);
    require_active(scheduler, &call);
    pod_facts facts = pod_amounts(&call, pod, uid, uid_size);
    text place = borrowed(node, node_size);
    if (place.size == 0) call_fail(&call, HOSTD_ERROR_INVALID_ARGUMENT, "the node's name is empty");
    pod_facts_read(&call, &facts, json_parse(&call, object, object_size), true);
    require_memory(&call, cluster_set_pod(&scheduler->cluster, call.name, place, &facts));
    trace_note_pod(&scheduler->trace, call.name);
    scheduler->cluster.revision++;
    return leave(scheduler, &call);
}

static void write_decision(output *output, const decision *decision) {
    if (decision->place != NULL) {
        output_text(output, "{\"node\":");
        output_string(output, decision->place->name);
    } else {
        output_text(output, "{\"nodes\":");
        output_number(output, decision->nodes);
        output_text(output, ",\"refusals\":[");
        for (uint32_t index = 0; index < decision->reason_count; index++) {
            output_text(output, index == 0 ? "{\"reason\":" : ",{\"reason\":");
            output_string(output, decision->reasons[index].reason);
            output_text(output, ",\"nodes\":");
            output_number(output, decision->reasons[index].nodes);
            output_text(output, "}");
        }
        output_text(output, "]");
    }
    output_text(output, "}");
}

static int32_t schedule(void *self, uint64_t deadline_ns, const hostd_scheduler_pod *pod, const uint8_t *uid,
                        uint64_t uid_size, const uint8_t *object, uint64_t object_size, hostd_buffer *answer,
                        hostd_error *error) {
    (void)deadline_ns; // A decision is shorter than looking at a clock is worth.
    scheduler *scheduler = self;
    call call;
    pthread_mutex_lock(&scheduler->lock);
    if (CALL_BEGIN(&call)) return refuse(scheduler, &call, error);
    require_active(scheduler, &call);
    pod_wishes wishes = {.facts = pod_amounts(&call, pod, uid, uid_size)};
    pod_wishes_read(&call, &wishes, json_parse(&call, object, object_size));
    decision decision = decide(&call, &scheduler->cluster, &scheduler->options, call.name, &wishes);
    output output = {0};
    hostd_buffer written = {0};
    write_decision(&output, &decision);
    require_memory(&call, output_take(&output, &written));
    bool there_was = true;
    if (decision.place == NULL) cluster_remove_pod(&scheduler->cluster, call.name);
    else there_was = cluster_set_pod(&scheduler->cluster, call.name, decision.place->name, &wishes.facts);
    if (!there_was) free(written.context);
    require_memory(&call, there_was);
    trace_note_pod(&scheduler->trace, call.name);
    *answer = written;
    scheduler->cluster.revision++;
    return leave(scheduler, &call);
}

static int32_t reset(void *self, hostd_error *error) {
    scheduler *scheduler = self;
    call call;
    pthread_mutex_lock(&scheduler->lock);
    if (CALL_BEGIN(&call)) return refuse(scheduler, &call, error);
    require_active(scheduler, &call);
    cluster_clear(&scheduler->cluster);
    cluster_begin(&scheduler->cluster);
    trace_note_reset(&scheduler->trace);
    return leave(scheduler, &call);
}

static int32_t revision(void *self, uint64_t *revision, hostd_error *error) {
    (void)error;
    scheduler *scheduler = self;
    pthread_mutex_lock(&scheduler->lock);
    *revision = scheduler->cluster.revision;
    pthread_mutex_unlock(&scheduler->lock);
    return HOSTD_OK;
}

// MARK: hostd.state/1

static int32_t export_state(void *self, hostd_buffer *state, hostd_error *error) {
    scheduler *scheduler = self;
    call call;
    pthread_mutex_lock(&scheduler->lock);
    if (CALL_BEGIN(&call)) return refuse(scheduler, &call, error);
    output output = {0};
    state_write(&output, &scheduler->cluster);
    require_memory(&call, output_take(&output, state));
    return leave(scheduler, &call);
}

static int32_t import_state(void *self, const uint8_t *state, uint64_t size, hostd_error *error) {
    scheduler *scheduler = self;
    call call;
    // Read aside, so that a state which is refused changes nothing.
    cluster *fresh = calloc(1, sizeof *fresh);
    pthread_mutex_lock(&scheduler->lock);
    if (CALL_BEGIN(&call)) {
        if (fresh != NULL) cluster_clear(fresh);
        free(fresh);
        return refuse(scheduler, &call, error);
    }
    require_memory(&call, fresh != NULL);
    if (scheduler->step != STEP_CONFIGURED)
        call_fail(&call, HOSTD_ERROR_WRONG_STATE, "state is taken over between configure and activate");
    state_read(&call, fresh, state, state == NULL ? 0 : size);
    cluster_clear(&scheduler->cluster);
    scheduler->cluster = *fresh;
    free(fresh);
    return leave(scheduler, &call);
}

static int32_t export_base(void *self, uint64_t *mark, hostd_buffer *state, hostd_error *error) {
    scheduler *scheduler = self;
    call call;
    pthread_mutex_lock(&scheduler->lock);
    if (CALL_BEGIN(&call)) return refuse(scheduler, &call, error);
    require_active(scheduler, &call);
    output output = {0};
    state_write(&output, &scheduler->cluster);
    require_memory(&call, output_take(&output, state));
    *mark = ++scheduler->marks;
    trace_begin(&scheduler->trace, *mark);
    return leave(scheduler, &call);
}

static int32_t export_changes(void *self, uint64_t mark, hostd_buffer *changes, hostd_error *error) {
    scheduler *scheduler = self;
    call call;
    pthread_mutex_lock(&scheduler->lock);
    if (CALL_BEGIN(&call)) return refuse(scheduler, &call, error);
    require_active(scheduler, &call);
    if (mark == 0 || mark != scheduler->trace.mark)
        call_fail(&call, HOSTD_ERROR_NOT_FOUND, "no changes are remembered for mark %llu", (unsigned long long)mark);
    output output = {0};
    state_write_changes(&output, &scheduler->cluster, &scheduler->trace);
    require_memory(&call, output_take(&output, changes));
    trace_begin(&scheduler->trace, mark);
    return leave(scheduler, &call);
}

static int32_t export_end(void *self, uint64_t mark, hostd_error *error) {
    (void)error;
    scheduler *scheduler = self;
    pthread_mutex_lock(&scheduler->lock);
    if (mark == scheduler->trace.mark) trace_end(&scheduler->trace);
    pthread_mutex_unlock(&scheduler->lock);
    return HOSTD_OK;
}

static int32_t import_changes(void *self, const uint8_t *changes, uint64_t size, hostd_error *error) {
    scheduler *scheduler = self;
    call call;
    pthread_mutex_lock(&scheduler->lock);
    if (CALL_BEGIN(&call)) return refuse(scheduler, &call, error);
    require_active(scheduler, &call);
    // Whoever follows this one is told everything anew.
    trace_note_reset(&scheduler->trace);
    state_read_changes(&call, &scheduler->cluster, changes, changes == NULL ? 0 : size);
    return leave(scheduler, &call);
}

// MARK: Life cycle

static hostd_buffer constant(const char *text) { // Constant text needs no release.
    return (hostd_buffer){.data = (const uint8_t *)text, .size = strlen(text)};
}

static int32_t describe(void *self, hostd_buffer *description, hostd_error *error) {
    (void)self, (void)error;
    *description = constant("{\"name\":\"scheduler-binpack\",\"version\":\"0.1.0\","
                            "\"description\":\"Chooses the fullest node that a pod fits on\","
                            "\"provides\":[\"" HOSTD_SCHEDULER_1 "\",\"" HOSTD_STATE_1 "\"]}");
    return HOSTD_OK;
}

static int32_t schema(void *self, hostd_buffer *schema, hostd_error *error) {
    (void)self, (void)error;
    *schema = constant(options_schema);
    return HOSTD_OK;
}

static int32_t configure(void *self, const uint8_t *configuration, uint64_t size, hostd_error *error) {
    scheduler *scheduler = self;
    call call;
    pthread_mutex_lock(&scheduler->lock);
    if (CALL_BEGIN(&call)) return refuse(scheduler, &call, error);
    if (scheduler->step == STEP_ACTIVE) call_fail(&call, HOSTD_ERROR_WRONG_STATE, "configure comes before activate");
    options read = options_read(&call, json_member(json_parse(&call, configuration, size), "options"));
    options_free(&scheduler->options);
    scheduler->options = read;
    scheduler->step = STEP_CONFIGURED;
    return leave(scheduler, &call);
}

static int32_t activate(void *self, hostd_error *error) {
    scheduler *scheduler = self;
    call call;
    pthread_mutex_lock(&scheduler->lock);
    if (CALL_BEGIN(&call)) return refuse(scheduler, &call, error);
    if (scheduler->step != STEP_CONFIGURED)
        call_fail(&call, HOSTD_ERROR_WRONG_STATE, "activate comes after configure, and once until deactivate");
    scheduler->step = STEP_ACTIVE;
    return leave(scheduler, &call);
}

static int32_t deactivate(void *self, hostd_error *error) {
    (void)error;
    scheduler *scheduler = self;
    pthread_mutex_lock(&scheduler->lock);
    if (scheduler->step == STEP_ACTIVE) {
        // What is told from now on is told to somebody else.
        cluster_clear(&scheduler->cluster);
        cluster_begin(&scheduler->cluster);
        trace_end(&scheduler->trace);
        scheduler->step = STEP_CONFIGURED;
    }
    pthread_mutex_unlock(&scheduler->lock);
    return HOSTD_OK;
}

static void destroy(void *self) {
    scheduler *scheduler = self;
    cluster_clear(&scheduler->cluster);
    trace_end(&scheduler->trace);
    options_free(&scheduler->options);
    pthread_mutex_destroy(&scheduler->lock);
    free(scheduler);
}

static const hostd_interface *get_interface(void *self, const char *id) {
    scheduler *scheduler = self;
    if (id == NULL) return NULL;
    if (strcmp(id, HOSTD_SCHEDULER_1) == 0) return &scheduler->role.interface;
    return strcmp(id, HOSTD_STATE_1) == 0 ? &scheduler->handover.interface : NULL;
}

static scheduler *create(void) {
    scheduler *scheduler = calloc(1, sizeof *scheduler);
    if (scheduler == NULL) return NULL;
    scheduler->role = (hostd_scheduler_1){
        .interface = {sizeof scheduler->role, 0, scheduler, HOSTD_SCHEDULER_1, HOSTD_SCHEDULER_1_SLOTS},
        .node_set = node_set, .node_remove = node_remove, .pod_set = pod_set, .pod_remove = pod_remove,
        .schedule = schedule, .reset = reset, .revision = revision};
    scheduler->handover = (hostd_state_1){
        .interface = {sizeof scheduler->handover, 0, scheduler, HOSTD_STATE_1, HOSTD_STATE_1_SLOTS},
        .export_state = export_state, .import_state = import_state, .export_base = export_base,
        .export_changes = export_changes, .export_end = export_end, .import_changes = import_changes};
    pthread_mutex_init(&scheduler->lock, NULL);
    cluster_begin(&scheduler->cluster);
    return scheduler;
}

__attribute__((visibility("default"))) int32_t hostd_plugin_entry(const hostd_host *host, hostd_plugin *plugin,
                                                                  hostd_error *error) {
    (void)error;
    if (host->abi_minimum > HOSTD_ABI_VERSION || host->abi_maximum < HOSTD_ABI_VERSION) return HOSTD_ERROR_VERSION;
    if (plugin->struct_size != 0 && plugin->struct_size < sizeof *plugin) return HOSTD_ERROR_INVALID_ARGUMENT;
    scheduler *scheduler = create();
    if (scheduler == NULL) return HOSTD_ERROR_RESOURCE_EXHAUSTED;
    *plugin = (hostd_plugin){sizeof *plugin, HOSTD_ABI_VERSION, scheduler, describe, schema, configure,
                             activate, deactivate, destroy, get_interface};
    return HOSTD_OK;
}
