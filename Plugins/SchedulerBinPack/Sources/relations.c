#include "decision.h"

/// Pods that keep others away with required anti-affinity of their own.
static void gather_antagonists(call *call, wish *wish) {
    if (wish->cluster->antagonists == 0) return;
    uint32_t slot = 0;
    for (const pod *other; (other = table_next(&wish->cluster->pods, &slot)) != NULL;) {
        if (other == wish->former || other->place->node == NULL) continue;
        for (uint32_t index = 0; index < other->facts.anti_affinity.count; index++) {
            const pod_term *term = &other->facts.anti_affinity.items[index];
            const text *value = pairs_find(&other->place->node->labels, term->topology_key);
            if (value != NULL && pod_term_selects(term, &wish->pod->facts))
                domains_add(call, &wish->relations.kept_away, term->topology_key, *value, 1);
        }
    }
}

static void add(call *call, domains *domains, const pod_term *term, const pod *other, int64_t amount) {
    const text *value = pairs_find(&other->place->node->labels, term->topology_key);
    if (value != NULL) domains_add(call, domains, term->topology_key, *value, amount);
}

static bool selects_all(const pod_terms *terms, const pod_facts *pod) {
    for (uint32_t index = 0; index < terms->count; index++)
        if (!pod_term_selects(&terms->items[index], pod)) return false;
    return true;
}

static void relate(call *call, wish *wish, const pod *other) {
    const pod_wishes *pod = wish->pod;
    if (pod->affinity.count > 0 && selects_all(&pod->affinity, &other->facts))
        for (uint32_t index = 0; index < pod->affinity.count; index++)
            add(call, &wish->relations.together, &pod->affinity.items[index], other, 1);
    for (uint32_t index = 0; index < pod->facts.anti_affinity.count; index++)
        if (pod_term_selects(&pod->facts.anti_affinity.items[index], &other->facts))
            add(call, &wish->relations.apart, &pod->facts.anti_affinity.items[index], other, 1);
    for (uint32_t index = 0; index < pod->preferred.count; index++)
        if (pod_term_selects(&pod->preferred.items[index], &other->facts))
            add(call, &wish->relations.preferred, &pod->preferred.items[index], other, pod->preferred.items[index].weight);
}

/// Pods that are there already and would rather have this one near, or far.
static void gather_attractors(call *call, wish *wish) {
    if (wish->cluster->attractors == 0) return;
    uint32_t slot = 0;
    for (const pod *other; (other = table_next(&wish->cluster->pods, &slot)) != NULL;) {
        if (other == wish->former || other->place->node == NULL) continue;
        for (uint32_t index = 0; index < other->facts.attraction.count; index++) {
            const pod_term *term = &other->facts.attraction.items[index];
            if (pod_term_selects(term, &wish->pod->facts))
                add(call, &wish->relations.preferred, term, other, term->weight);
        }
    }
}

/// The domain that a node is in for a constraint; NULL when it takes no part.
static const text *domain_of(const wish *wish, const spread *spread, const node_facts *node) {
    if (spread->honors_affinity && !node_is_selected(wish->pod, node)) return NULL;
    if (spread->honors_taints && untolerated_taint(wish->pod, node) != NULL) return NULL;
    // A node takes part when it has the labels of all constraints of its sort.
    for (uint32_t index = 0; index < wish->pod->spreads.count; index++) {
        const struct spread *other = &wish->pod->spreads.items[index];
        if (other->is_required == spread->is_required && pairs_find(&node->labels, other->topology_key) == NULL)
            return NULL;
    }
    return pairs_find(&node->labels, spread->topology_key);
}

static void count_spread(call *call, const wish *wish, spread_counts *counts) {
    const spread *spread = counts->spread;
    counts->self = selector_selects(&spread->selector, &wish->pod->facts.labels) ? 1 : 0;
    uint32_t slot = 0;
    for (const place *place; (place = table_next(&wish->cluster->places, &slot)) != NULL;) {
        const text *value = place->node == NULL ? NULL : domain_of(wish, spread, place->node);
        if (value == NULL) continue;
        int64_t pods = 0;
        for (const pod *other = place->pods; other != NULL; other = other->next)
            if (other != wish->former && !other->facts.is_terminating &&
                text_equal(other->facts.namespace, wish->pod->facts.namespace) &&
                selector_selects(&spread->selector, &other->facts.labels))
                pods++;
        domains_add(call, &counts->counts, spread->topology_key, *value, pods);
    }
    counts->least = counts->counts.count >= spread->minimum_domains ? domains_least(&counts->counts) : 0;
    counts->most = domains_most(&counts->counts);
}

void relations_gather(call *call, wish *wish) {
    const pod_wishes *pod = wish->pod;
    relations *relations = &wish->relations;
    gather_antagonists(call, wish);
    gather_attractors(call, wish);
    if (pod->affinity.count + pod->facts.anti_affinity.count + pod->preferred.count > 0) {
        uint32_t slot = 0;
        for (const struct pod *other; (other = table_next(&wish->cluster->pods, &slot)) != NULL;)
            if (other != wish->former && other->place->node != NULL) relate(call, wish, other);
    }
    relations->starts_here =
        pod->affinity.count > 0 && relations->together.count == 0 && selects_all(&pod->affinity, &pod->facts);
    relations->spreads = call_allocate(call, pod->spreads.count * sizeof *relations->spreads);
    for (uint32_t index = 0; index < pod->spreads.count; index++) {
        relations->spreads[index].spread = &pod->spreads.items[index];
        count_spread(call, wish, &relations->spreads[index]);
    }
}

static uint8_t spread_refuses(const spread_counts *counts, const node_facts *node) {
    if (!counts->spread->is_required) return FITS;
    const text *value = pairs_find(&node->labels, counts->spread->topology_key);
    if (value == NULL) return SPREAD_LABEL_MISSING;
    const domain *domain = domains_find(&counts->counts, counts->spread->topology_key, *value);
    int64_t skew = (domain == NULL ? 0 : domain->count) + counts->self - counts->least;
    return skew > counts->spread->maximum_skew ? SPREAD_SKEW : FITS;
}

uint8_t relations_refuse(const wish *wish, const node_facts *node) {
    const relations *relations = &wish->relations;
    for (uint32_t index = 0; index < wish->pod->spreads.count; index++) {
        uint8_t refusal = spread_refuses(&relations->spreads[index], node);
        if (refusal != FITS) return refusal;
    }
    for (uint32_t index = 0; index < wish->pod->affinity.count; index++) {
        text key = wish->pod->affinity.items[index].topology_key;
        const text *value = pairs_find(&node->labels, key);
        if (value == NULL) return AFFINITY;
        if (!relations->starts_here && domains_find(&relations->together, key, *value) == NULL) return AFFINITY;
    }
    if (domains_hold(&relations->apart, &node->labels)) return ANTI_AFFINITY;
    return domains_hold(&relations->kept_away, &node->labels) ? EXISTING_ANTI_AFFINITY : FITS;
}

bool relations_spread_scores(const wish *wish) {
    for (uint32_t index = 0; index < wish->pod->spreads.count; index++)
        if (!wish->pod->spreads.items[index].is_required) return true;
    return false;
}

int64_t relations_spread_cost(const wish *wish, const node_facts *node) {
    int64_t cost = 0;
    for (uint32_t index = 0; index < wish->pod->spreads.count; index++) {
        const spread_counts *counts = &wish->relations.spreads[index];
        if (counts->spread->is_required) continue;
        const text *value = pairs_find(&node->labels, counts->spread->topology_key);
        const domain *domain =
            value == NULL ? NULL : domains_find(&counts->counts, counts->spread->topology_key, *value);
        cost += domain == NULL ? counts->most + 1 : domain->count;
    }
    return cost;
}
