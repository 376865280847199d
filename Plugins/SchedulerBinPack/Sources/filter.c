#include "decision.h"

static const taint unschedulable = {{"node.kubernetes.io/unschedulable", 32}, {"", 0}, EFFECT_NO_SCHEDULE};
static const taint not_ready = {{"node.kubernetes.io/not-ready", 28}, {"", 0}, EFFECT_NO_SCHEDULE};

bool node_is_selected(const pod_wishes *pod, const node_facts *node) {
    for (uint32_t index = 0; index < pod->node_selector.count; index++) {
        const text *value = pairs_find(&node->labels, pod->node_selector.items[index].key);
        if (value == NULL || !text_equal(*value, pod->node_selector.items[index].value)) return false;
    }
    if (!pod->requires_terms) return true;
    for (uint32_t index = 0; index < pod->required_terms.count; index++)
        if (node_term_matches(&pod->required_terms.items[index], node->name, &node->labels)) return true;
    return false;
}

const taint *untolerated_taint(const pod_wishes *pod, const node_facts *node) {
    for (uint32_t index = 0; index < node->taints.count; index++) {
        const taint *taint = &node->taints.items[index];
        if (taint->effect == EFFECT_PREFER_NO_SCHEDULE) continue;
        // The mark of a node that is unschedulable is told under its own reason.
        if (node->is_unschedulable && text_equal(taint->key, unschedulable.key)) continue;
        if (!tolerations_tolerate(&pod->tolerations, taint)) return taint;
    }
    return node->is_ready || tolerations_tolerate(&pod->tolerations, &not_ready) ? NULL : &not_ready;
}

static bool port_is_taken(const wish *wish, const place *place) {
    if (wish->pod->facts.host_ports.count == 0) return false;
    for (const pod *other = place->pods; other != NULL; other = other->next)
        if (other != wish->former && host_ports_conflict(&wish->pod->facts.host_ports, &other->facts.host_ports))
            return true;
    return false;
}

static int64_t extended_in_use(const wish *wish, const place *place, text name) {
    int64_t used = 0;
    for (const pod *other = place->pods; other != NULL; other = other->next)
        if (other != wish->former) used += amounts_find(&other->facts.extended, name);
    return used;
}

/// What the node is short of; an empty name for nothing, and `too_many` when it is pods.
static text shortage(const wish *wish, const place *place, bool *too_many) {
    const basics *wanted = &wish->pod->facts.amounts, *has = &place->node->allocatable;
    usage used = place->used;
    if (wish->former != NULL && wish->former->place == place) usage_change(&used, &wish->former->facts, -1);
    *too_many = used.amounts.pods + wanted->pods > has->pods;
    if (*too_many) return (text){"", 0};
    if (wanted->milli_cpu > 0 && wanted->milli_cpu > has->milli_cpu - used.amounts.milli_cpu) return TEXT("cpu");
    if (wanted->memory > 0 && wanted->memory > has->memory - used.amounts.memory) return TEXT("memory");
    if (wanted->ephemeral_storage > 0 &&
        wanted->ephemeral_storage > has->ephemeral_storage - used.amounts.ephemeral_storage)
        return TEXT("ephemeral-storage");
    for (uint32_t index = 0; index < wish->pod->facts.extended.count; index++) {
        const amount *amount = &wish->pod->facts.extended.items[index];
        if (amount->value > 0 && amount->value > amounts_find(&place->node->extended, amount->name) -
                                                     extended_in_use(wish, place, amount->name))
            return amount->name;
    }
    return (text){"", 0};
}

// In the order of Kubernetes' filter plugins.
refusal node_refuses(const wish *wish, const place *place) {
    const node_facts *node = place->node;
    const pod_wishes *pod = wish->pod;
    if (node->is_unschedulable && !tolerations_tolerate(&pod->tolerations, &unschedulable))
        return (refusal){.kind = UNSCHEDULABLE};
    if (pod->node_name.size > 0 && !text_equal(pod->node_name, node->name)) return (refusal){.kind = OTHER_NODE_NAME};
    const taint *taint = untolerated_taint(pod, node);
    if (taint != NULL) return (refusal){UNTOLERATED_TAINT, taint->key, taint->value};
    if (!node_is_selected(pod, node)) return (refusal){.kind = OTHER_LABELS};
    if (port_is_taken(wish, place)) return (refusal){.kind = PORTS_TAKEN};
    bool too_many;
    text missing = shortage(wish, place, &too_many);
    if (too_many) return (refusal){.kind = TOO_MANY_PODS};
    if (missing.size > 0) return (refusal){.kind = INSUFFICIENT, .first = missing};
    return (refusal){.kind = relations_refuse(wish, node)};
}
