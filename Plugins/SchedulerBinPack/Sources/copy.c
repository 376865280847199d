#include "copy.h"

#include <stdlib.h>
#include <string.h>

/// Where a copy goes: a block, or nowhere while it is only measured.
typedef struct target {
    char *block;
    size_t used;
} target;

static void *take(target *target, const void *source, size_t size) {
    void *copy = target->block == NULL ? NULL : target->block + target->used;
    target->used += (size + 15) & ~(size_t)15;
    return copy == NULL || size == 0 ? copy : memcpy(copy, source, size);
}

static void copy_text(target *target, text *text) { text->data = take(target, text->data, text->size); }

/// Copies an array in `list.items` and then, with `element` being each of the copies, what it points to. Nothing is
/// written while measuring: the originals are walked instead.
#define COPY_LIST(target, list, type, copy_element)                                                                    \
    do {                                                                                                               \
        type *copies = take(target, (list).items, (list).count * sizeof(type));                                       \
        for (uint32_t index = 0; index < (list).count; index++) {                                                      \
            type measured = (list).items[index], *element = copies == NULL ? &measured : &copies[index];               \
            copy_element;                                                                                              \
        }                                                                                                              \
        (list).items = copies;                                                                                         \
    } while (0)

static void copy_pairs(target *target, pairs *pairs) {
    COPY_LIST(target, *pairs, pair, copy_text(target, &element->key); copy_text(target, &element->value));
}

static void copy_amounts(target *target, amounts *amounts) {
    COPY_LIST(target, *amounts, amount, copy_text(target, &element->name));
}

static void copy_texts(target *target, texts *texts) { COPY_LIST(target, *texts, text, copy_text(target, element)); }

static void copy_taint(target *target, taint *taint) {
    copy_text(target, &taint->key);
    copy_text(target, &taint->value);
}

static void copy_port(target *target, host_port *port) {
    copy_text(target, &port->protocol);
    copy_text(target, &port->address);
}

static void copy_requirement(target *target, requirement *requirement) {
    copy_text(target, &requirement->key);
    copy_texts(target, &requirement->values);
}

static void copy_term(target *target, pod_term *term) {
    copy_text(target, &term->topology_key);
    COPY_LIST(target, term->selector.requirements, requirement, copy_requirement(target, element));
    copy_texts(target, &term->namespaces);
}

static node_facts *copy_node(target *target, node_facts node) {
    node_facts *copy = take(target, &node, sizeof node);
    node_facts *filled = copy == NULL ? &node : copy;
    copy_text(target, &filled->name);
    copy_pairs(target, &filled->labels);
    COPY_LIST(target, filled->taints, taint, copy_taint(target, element));
    copy_amounts(target, &filled->extended);
    return copy;
}

static pod *copy_pod(target *target, pod pod) {
    struct pod *copy = take(target, &pod, sizeof pod), *filled = copy == NULL ? &pod : copy;
    copy_text(target, &filled->uid);
    copy_text(target, &filled->facts.namespace);
    copy_pairs(target, &filled->facts.labels);
    copy_amounts(target, &filled->facts.extended);
    COPY_LIST(target, filled->facts.host_ports, host_port, copy_port(target, element));
    COPY_LIST(target, filled->facts.anti_affinity, pod_term, copy_term(target, element));
    COPY_LIST(target, filled->facts.attraction, pod_term, copy_term(target, element));
    return copy;
}

node_facts *node_copy(const node_facts *node) {
    target measure = {0}, target = {0};
    copy_node(&measure, *node);
    target.block = malloc(measure.used);
    return target.block == NULL ? NULL : copy_node(&target, *node);
}

pod *pod_copy(text uid, const pod_facts *facts) {
    pod pod = {.uid = uid, .facts = *facts};
    target measure = {0}, target = {0};
    copy_pod(&measure, pod);
    target.block = malloc(measure.used);
    return target.block == NULL ? NULL : copy_pod(&target, pod);
}
