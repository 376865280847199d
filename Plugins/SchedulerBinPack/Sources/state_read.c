#include <string.h>

#include "state.h"

/// What is left of the state, or of a record in it.
typedef struct source {
    call *call;
    const uint8_t *at, *end;
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

static void read_node(source *source, cluster *cluster) {
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
    if (!cluster_set_node(cluster, &node))
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

static void read_pod(source *source, cluster *cluster) {
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
    if (!cluster_set_pod(cluster, uid, node, &pod))
        call_fail(source->call, HOSTD_ERROR_RESOURCE_EXHAUSTED, "there is no memory for the state");
}

void state_read(call *call, cluster *cluster, const uint8_t *state, uint64_t size) {
    static const char format[] = HOSTD_SCHEDULER_STATE_1 "\n";
    size_t length = sizeof format - 1;
    if (size < length || memcmp(state, format, length) != 0)
        call_fail(call, HOSTD_ERROR_VERSION, "scheduler-binpack takes over state of format %s", HOSTD_SCHEDULER_STATE_1);
    source source = {call, state + length, state + size};
    memcpy(&cluster->revision, take(&source, 8), 8);
    while (source.at < source.end) {
        uint32_t record_size = read_count(&source);
        const uint8_t *start = take(&source, record_size);
        struct source record = {call, start, start + record_size};
        uint8_t kind = read_byte(&record);
        if (kind == HOSTD_SCHEDULER_STATE_NODE) read_node(&record, cluster);
        else if (kind == HOSTD_SCHEDULER_STATE_POD) read_pod(&record, cluster);
    }
}
