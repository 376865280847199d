#include "decision.h"

/// Scores go from 0 to this.
#define FULL 10000

/// How full a node would be of one resource, 0…FULL; -1 when it has none of it.
static int64_t fullness(const wish *wish, const place *place, const usage *used, text resource) {
    const pod_facts *pod = &wish->pod->facts;
    int64_t has, needs;
    if (text_equal(resource, TEXT("cpu"))) {
        has = place->node->allocatable.milli_cpu;
        needs = used->scored_milli_cpu + pod->scored_milli_cpu;
    } else if (text_equal(resource, TEXT("memory"))) {
        has = place->node->allocatable.memory;
        needs = used->scored_memory + pod->scored_memory;
    } else if (text_equal(resource, TEXT("ephemeral-storage"))) {
        has = place->node->allocatable.ephemeral_storage;
        needs = used->amounts.ephemeral_storage + pod->amounts.ephemeral_storage;
    } else if (text_equal(resource, TEXT("pods"))) {
        has = place->node->allocatable.pods;
        needs = used->amounts.pods + 1;
    } else {
        has = amounts_find(&place->node->extended, resource);
        needs = amounts_find(&pod->extended, resource);
        for (const struct pod *other = place->pods; other != NULL; other = other->next)
            if (other != wish->former) needs += amounts_find(&other->facts.extended, resource);
    }
    if (has <= 0) return -1;
    return needs >= has ? FULL : (int64_t)((__int128)needs * FULL / has);
}

static int64_t packing(const options *options, const wish *wish, const place *place) {
    usage used = place->used;
    if (wish->former != NULL && wish->former->place == place) usage_change(&used, &wish->former->facts, -1);
    int64_t sum = 0, weights = 0;
    for (uint32_t index = 0; index < options->resource_count; index++) {
        int64_t share = fullness(wish, place, &used, options->resources[index].name);
        if (share < 0) continue;
        sum += share * options->resources[index].weight;
        weights += options->resources[index].weight;
    }
    return weights == 0 ? 0 : sum / weights;
}

static int64_t node_preference(const wish *wish, const place *place) {
    int64_t sum = 0;
    for (uint32_t index = 0; index < wish->pod->preferred_terms.count; index++) {
        const node_term *term = &wish->pod->preferred_terms.items[index];
        if (node_term_matches(term, place->name, &place->node->labels)) sum += term->weight;
    }
    return sum;
}

static int64_t soft_taints(const wish *wish, const place *place) {
    int64_t count = 0;
    for (uint32_t index = 0; index < place->node->taints.count; index++) {
        const taint *taint = &place->node->taints.items[index];
        if (taint->effect == EFFECT_PREFER_NO_SCHEDULE && !tolerations_tolerate(&wish->pod->tolerations, taint)) count++;
    }
    return count;
}

static int64_t pod_preference(const wish *wish, const place *place) {
    return domains_sum(&wish->relations.preferred, &place->node->labels);
}

static int64_t spread_cost(const wish *wish, const place *place) { return relations_spread_cost(wish, place->node); }

typedef int64_t (*measure)(const wish *wish, const place *place);

/// Adds a measure, stretched so that its range over the places becomes 0…FULL. One that starts at zero keeps its
/// proportion, as in Kubernetes.
static void add(int64_t *scores, int64_t *raw, const wish *wish, const place **places, uint32_t count, int64_t weight,
                bool lowest_is_best, measure measure) {
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (uint32_t index = 0; index < count; index++) {
        raw[index] = measure(wish, places[index]);
        if (raw[index] < least) least = raw[index];
        if (raw[index] > most) most = raw[index];
    }
    if (most <= least) return;
    int64_t floor = least < 0 ? least : 0;
    for (uint32_t index = 0; index < count; index++) {
        int64_t share = FULL * (raw[index] - floor) / (most - floor);
        scores[index] += weight * (lowest_is_best ? FULL - share : share);
    }
}

const place *best_place(call *call, const options *options, const wish *wish, const place **places, uint32_t count) {
    if (count == 1) return places[0];
    int64_t *scores = call_allocate(call, count * sizeof *scores), *raw = call_allocate(call, count * sizeof *raw);
    for (uint32_t index = 0; index < count; index++) scores[index] = options->packing * packing(options, wish, places[index]);
    add(scores, raw, wish, places, count, options->taints, true, soft_taints);
    if (wish->pod->preferred_terms.count > 0)
        add(scores, raw, wish, places, count, options->node_affinity, false, node_preference);
    if (wish->relations.preferred.count > 0)
        add(scores, raw, wish, places, count, options->pod_affinity, false, pod_preference);
    if (relations_spread_scores(wish)) add(scores, raw, wish, places, count, options->spread, true, spread_cost);
    uint32_t best = 0;
    for (uint32_t index = 1; index < count; index++)
        if (scores[index] > scores[best] ||
            (scores[index] == scores[best] && text_compare(places[index]->name, places[best]->name) < 0))
            best = index;
    return places[best];
}
