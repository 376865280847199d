#include <stdlib.h>
#include <string.h>

#include "state.h"

// The format is little-endian, and so is every machine that hostd runs on.
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied as they are");

static void write_byte(output *output, uint8_t value) { output_bytes(output, &value, 1); }
static void write_count(output *output, uint32_t value) { output_bytes(output, &value, 4); }
static void write_number(output *output, int64_t value) { output_bytes(output, &value, 8); }

static void write_string(output *output, text text) {
    write_count(output, text.size);
    output_bytes(output, text.data, text.size);
}

static void write_pairs(output *output, const pairs *pairs) {
    write_count(output, pairs->count);
    for (uint32_t index = 0; index < pairs->count; index++) {
        write_string(output, pairs->items[index].key);
        write_string(output, pairs->items[index].value);
    }
}

static void write_amounts(output *output, const amounts *amounts) {
    write_count(output, amounts->count);
    for (uint32_t index = 0; index < amounts->count; index++) {
        write_string(output, amounts->items[index].name);
        write_number(output, amounts->items[index].value);
    }
}

static void write_node(output *output, const node_facts *node) {
    write_string(output, node->name);
    write_count(output, (node->is_unschedulable ? HOSTD_SCHEDULER_NODE_UNSCHEDULABLE : 0) |
                            (node->is_ready ? HOSTD_SCHEDULER_NODE_READY : 0));
    write_number(output, node->allocatable.milli_cpu);
    write_number(output, node->allocatable.memory);
    write_number(output, node->allocatable.ephemeral_storage);
    write_number(output, node->allocatable.pods);
    write_pairs(output, &node->labels);
    write_count(output, node->taints.count);
    for (uint32_t index = 0; index < node->taints.count; index++) {
        write_string(output, node->taints.items[index].key);
        write_string(output, node->taints.items[index].value);
        write_byte(output, node->taints.items[index].effect);
    }
    write_amounts(output, &node->extended);
}

static void write_term(output *output, const pod_term *term) {
    write_string(output, term->topology_key);
    write_byte(output, term->selector.selects ? 1 : 0);
    write_count(output, term->namespaces.count);
    for (uint32_t index = 0; index < term->namespaces.count; index++)
        write_string(output, term->namespaces.items[index]);
    write_count(output, term->selector.requirements.count);
    for (uint32_t index = 0; index < term->selector.requirements.count; index++) {
        const requirement *requirement = &term->selector.requirements.items[index];
        write_string(output, requirement->key);
        write_byte(output, requirement->operator);
        write_count(output, requirement->values.count);
        for (uint32_t value = 0; value < requirement->values.count; value++)
            write_string(output, requirement->values.items[value]);
    }
}

static void write_pod(output *output, const pod *pod) {
    const pod_facts *facts = &pod->facts;
    write_string(output, pod->uid);
    write_string(output, pod->place->name);
    write_string(output, facts->namespace);
    write_count(output, (uint32_t)facts->priority);
    write_number(output, facts->amounts.milli_cpu);
    write_number(output, facts->amounts.memory);
    write_number(output, facts->amounts.ephemeral_storage);
    write_number(output, facts->scored_milli_cpu);
    write_number(output, facts->scored_memory);
    write_pairs(output, &facts->labels);
    write_amounts(output, &facts->extended);
    write_count(output, facts->host_ports.count);
    for (uint32_t index = 0; index < facts->host_ports.count; index++) {
        write_count(output, (uint32_t)facts->host_ports.items[index].port);
        write_string(output, facts->host_ports.items[index].protocol);
        write_string(output, facts->host_ports.items[index].address);
    }
    write_count(output, facts->anti_affinity.count);
    for (uint32_t index = 0; index < facts->anti_affinity.count; index++)
        write_term(output, &facts->anti_affinity.items[index]);
    write_count(output, facts->attraction.count);
    for (uint32_t index = 0; index < facts->attraction.count; index++) {
        write_term(output, &facts->attraction.items[index]);
        write_count(output, (uint32_t)facts->attraction.items[index].weight);
    }
    write_byte(output, facts->is_terminating ? 1 : 0);
}

/// Begins a record; its size is filled in by `end_record`.
static size_t begin_record(output *output, uint8_t kind) {
    size_t start = output->size;
    write_count(output, 0);
    write_byte(output, kind);
    return start;
}

static void end_record(output *output, size_t start) {
    uint32_t size = (uint32_t)(output->size - start - 4);
    if (!output->failed) memcpy(output->data + start, &size, 4);
}

static int by_text(const void *one, const void *other) {
    return text_compare((*(const keyed *const *)one)->key, (*(const keyed *const *)other)->key);
}

/// What is in a table in the order of keys; NULL without memory.
static keyed **sorted(const table *table) {
    keyed **things = malloc((table->count + 1) * sizeof *things);
    uint32_t slot = 0, count = 0;
    if (things == NULL) return NULL;
    for (keyed *thing; (thing = table_next(table, &slot)) != NULL;) things[count++] = thing;
    qsort(things, count, sizeof *things, by_text);
    return things;
}

static void write_head(output *output, const cluster *cluster) {
    output_text(output, HOSTD_SCHEDULER_STATE_1 "\n");
    output_bytes(output, &cluster->revision, 8);
}

static void write_node_record(output *output, const node_facts *node) {
    size_t start = begin_record(output, HOSTD_SCHEDULER_STATE_NODE);
    write_node(output, node);
    end_record(output, start);
}

static void write_pod_record(output *output, const pod *pod) {
    size_t start = begin_record(output, HOSTD_SCHEDULER_STATE_POD);
    write_pod(output, pod);
    end_record(output, start);
}

static void write_gone_record(output *output, uint8_t kind, text name) {
    size_t start = begin_record(output, kind);
    write_string(output, name);
    end_record(output, start);
}

// In the order of names and uids: what is the same is written the same.
static void write_all(output *output, const cluster *cluster) {
    keyed **places = sorted(&cluster->places), **pods = sorted(&cluster->pods);
    output->failed |= places == NULL || pods == NULL;
    for (uint32_t index = 0; !output->failed && index < cluster->places.count; index++) {
        const place *place = (const struct place *)places[index];
        if (place->node != NULL) write_node_record(output, place->node);
    }
    for (uint32_t index = 0; !output->failed && index < cluster->pods.count; index++)
        write_pod_record(output, (const pod *)pods[index]);
    free(places);
    free(pods);
}

void state_write(output *output, const cluster *cluster) {
    write_head(output, cluster);
    write_all(output, cluster);
}

/// Writes what is gone, or what is there, of the things that a trace names.
static void write_traced(output *output, const cluster *cluster, const trace *trace, bool gone) {
    keyed **names = sorted(&trace->nodes), **uids = sorted(&trace->pods);
    output->failed |= names == NULL || uids == NULL;
    for (uint32_t index = 0; !output->failed && index < trace->nodes.count; index++) {
        const place *place = table_find(&cluster->places, names[index]->key);
        bool is_there = place != NULL && place->node != NULL;
        if (is_there && !gone) write_node_record(output, place->node);
        if (!is_there && gone) write_gone_record(output, HOSTD_SCHEDULER_STATE_NODE_GONE, names[index]->key);
    }
    for (uint32_t index = 0; !output->failed && index < trace->pods.count; index++) {
        const pod *pod = table_find(&cluster->pods, uids[index]->key);
        if (pod != NULL && !gone) write_pod_record(output, pod);
        if (pod == NULL && gone) write_gone_record(output, HOSTD_SCHEDULER_STATE_POD_GONE, uids[index]->key);
    }
    free(names);
    free(uids);
}

void state_write_changes(output *output, const cluster *cluster, const trace *trace) {
    write_head(output, cluster);
    if (trace->is_reset) {
        end_record(output, begin_record(output, HOSTD_SCHEDULER_STATE_RESET));
        return write_all(output, cluster);
    }
    write_traced(output, cluster, trace, true);
    write_traced(output, cluster, trace, false);
}
