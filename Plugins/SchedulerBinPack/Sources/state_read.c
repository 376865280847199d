#include <string.h>

#include "state.h"

/// What is left of the state, or of a record in it.
typedef struct source {
    call *call;
    const uint8_t *at, *end;
    cluster *cluster; ///< That takes what is read; NULL: it is only read.
} source;

static const uint8_t *take(source *source, size_t size) {
    if ((size_t)(source->end - source->at) < size)
        call_fail(source->call, HOSTD_ERROR_INVALID_ARGUMENT, "the state ends in the middle of a field");
    source->at += size;
    return source->at - size;
}

static uint8_t read_byte(source *source) { return *take(source, 1); }

static uint32_t read_count(source *source) {
    uint32_t value;
    memcpy(&value, take(source, 4), 4);
    return value;
}

static int64_t read_number(source *source) {
    int64_t value;
    memcpy(&value, take(source, 8), 8);
    return value;
}

static int64_t read_amount(source *source) { return amount_clamp(read_number(source)); }

static text read_string(source *source) {
    uint32_t size = read_count(source);
    return (text){(const char *)take(source, size), size};
}

/// Zeroed room for a list's elements. Each takes a byte at least: a count beyond that is a lie and takes no memory.
static void *read_list(source *source, uint32_t *count, size_t element) {
    *count = read_count(source);
    if (*count > (size_t)(source->end - source->at)) take(source, *count);
    return call_allocate(source->call, *count * element);
}

static pairs read_pairs(source *source) {
    pairs pairs = {0};
    pair *items = read_list(source, &pairs.count, sizeof *items);
    for (uint32_t index = 0; index < pairs.count; index++) {
        items[index].key = read_string(source);
        items[index].value = read_string(source);
    }
    pairs_sort(items, pairs.count);
    pairs.items = items;
    return pairs;
}

static amounts read_amounts(source *source) {
    amounts amounts = {0};
    amount *items = read_list(source, &amounts.count, sizeof *items);
    for (uint32_t index = 0; index < amounts.count; index++) {
        items[index].name = read_string(source);
        items[index].value = read_amount(source);
    }
    amounts.items = items;
    return amounts;
}

static texts read_texts(source *source) {
    texts texts = {0};
    text *items = read_list(source, &texts.count, sizeof *items);
    for (uint32_t index = 0; index < texts.count; index++) items[index] = read_string(source);
    texts.items = items;
    return texts;
}

/// A number of a small set, from 1.
static uint8_t read_choice(source *source, uint8_t last, const char *what) {
    uint8_t value = read_byte(source);
    if (value == 0 || value > last)
        call_fail(source->call, HOSTD_ERROR_INVALID_ARGUMENT, "the state has an unknown %s, %u", what, value);
    return value;
}

static void read_node(source *source) {
    node_facts node = {.name = read_string(source)};
    uint32_t flags = read_count(source);
    node.is_ready = flags & HOSTD_SCHEDULER_NODE_READY;
    node.is_unschedulable = flags & HOSTD_SCHEDULER_NODE_UNSCHEDULABLE;
    node.allocatable.milli_cpu = read_amount(source);
    node.allocatable.memory = read_amount(source);
    node.allocatable.ephemeral_storage = read_amount(source);
    node.allocatable.pods = read_amount(source);
    node.labels = read_pairs(source);
    taint *taints = read_list(source, &node.taints.count, sizeof *taints);
    for (uint32_t index = 0; index < node.taints.count; index++) {
        taints[index].key = read_string(source);
        taints[index].value = read_string(source);
        taints[index].effect = read_choice(source, EFFECT_NO_EXECUTE, "taint effect");
    }
    node.taints.items = taints;
    node.extended = read_amounts(source);
    if (source->cluster != NULL && !cluster_set_node(source->cluster, &node))
        call_fail(source->call, HOSTD_ERROR_RESOURCE_EXHAUSTED, "there is no memory for the state");
}

static pod_term read_term(source *source) {
    pod_term term = {.topology_key = read_string(source)};
    term.selector.selects = read_byte(source) != 0;
    term.namespaces = read_texts(source);
    requirement *items = read_list(source, &term.selector.requirements.count, sizeof *items);
    for (uint32_t index = 0; index < term.selector.requirements.count; index++) {
        items[index].key = read_string(source);
        items[index].operator= read_choice(source, OPERATOR_LESS, "selector operator");
        items[index].values = read_texts(source);
    }
    term.selector.requirements.items = items;
    return term;
}

static void read_attraction(source *source, pod_facts *pod) {
    pod_term *terms = read_list(source, &pod->attraction.count, sizeof *terms);
    for (uint32_t index = 0; index < pod->attraction.count; index++) {
        terms[index] = read_term(source);
        terms[index].weight = (int32_t)read_count(source);
    }
    pod->attraction.items = terms;
    pod->is_terminating = read_byte(source) != 0;
}

static void read_pod(source *source) {
    text uid = read_string(source), node = read_string(source);
    pod_facts pod = {.namespace = read_string(source), .amounts.pods = 1};
    pod.priority = (int32_t)read_count(source);
    pod.amounts.milli_cpu = read_amount(source);
    pod.amounts.memory = read_amount(source);
    pod.amounts.ephemeral_storage = read_amount(source);
    pod.scored_milli_cpu = read_amount(source);
    pod.scored_memory = read_amount(source);
    pod.labels = read_pairs(source);
    pod.extended = read_amounts(source);
    host_port *ports = read_list(source, &pod.host_ports.count, sizeof *ports);
    for (uint32_t index = 0; index < pod.host_ports.count; index++) {
        ports[index].port = (int32_t)read_count(source);
        ports[index].protocol = read_string(source);
        ports[index].address = read_string(source);
    }
    pod.host_ports.items = ports;
    pod_term *terms = read_list(source, &pod.anti_affinity.count, sizeof *terms);
    for (uint32_t index = 0; index < pod.anti_affinity.count; index++) terms[index] = read_term(source);
    pod.anti_affinity.items = terms;
    // A writer that does not know what follows leaves it out.
    if (source->at < source->end) read_attraction(source, &pod);
    if (source->cluster != NULL && !cluster_set_pod(source->cluster, uid, node, &pod))
        call_fail(source->call, HOSTD_ERROR_RESOURCE_EXHAUSTED, "there is no memory for the state");
}

static void read_gone(source *source, void (*remove)(cluster *cluster, text key)) {
    text name = read_string(source);
    if (source->cluster != NULL) remove(source->cluster, name);
}

static void read_record(source *source, bool is_change) {
    uint32_t size = read_count(source);
    const uint8_t *start = take(source, size);
    struct source record = {source->call, start, start + size, source->cluster};
    uint8_t kind = read_byte(&record);
    if (kind == HOSTD_SCHEDULER_STATE_NODE) read_node(&record);
    else if (kind == HOSTD_SCHEDULER_STATE_POD) read_pod(&record);
    else if (!is_change) return; // The other kinds are unknown to a state.
    else if (kind == HOSTD_SCHEDULER_STATE_NODE_GONE) read_gone(&record, cluster_remove_node);
    else if (kind == HOSTD_SCHEDULER_STATE_POD_GONE) read_gone(&record, cluster_remove_pod);
    else if (kind == HOSTD_SCHEDULER_STATE_RESET && source->cluster != NULL) cluster_clear(source->cluster);
}

/// The records behind the first line, and the revision.
static source begin(call *call, const uint8_t *state, uint64_t size, uint64_t *revision) {
    static const char format[] = HOSTD_SCHEDULER_STATE_1 "\n";
    size_t length = sizeof format - 1;
    if (size < length || memcmp(state, format, length) != 0)
        call_fail(call, HOSTD_ERROR_VERSION, "scheduler-binpack takes over state of format %s", HOSTD_SCHEDULER_STATE_1);
    source source = {call, state + length, state + size, NULL};
    memcpy(revision, take(&source, 8), 8);
    return source;
}

void state_read(call *call, cluster *cluster, const uint8_t *state, uint64_t size) {
    source source = begin(call, state, size, &cluster->revision);
    source.cluster = cluster;
    while (source.at < source.end) read_record(&source, false);
}

void state_read_changes(call *call, cluster *cluster, const uint8_t *changes, uint64_t size) {
    uint64_t revision;
    const source records = begin(call, changes, size, &revision);
    for (source source = records; source.at < source.end;) read_record(&source, true);
    source source = records;
    source.cluster = cluster;
    while (source.at < source.end) read_record(&source, true);
    cluster->revision = revision;
}
