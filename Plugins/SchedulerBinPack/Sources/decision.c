#include "decision.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_same(const refusal *one, const refusal *other) {
    return one->kind == other->kind && text_equal(one->first, other->first) && text_equal(one->second, other->second);
}

/// The refusal in Kubernetes' words.
static text words(call *call, const refusal *refusal) {
    static const char *const fixed[] = {
        [UNSCHEDULABLE] = "node(s) were unschedulable",
        [OTHER_NODE_NAME] = "node(s) didn't match the requested node name",
        [OTHER_LABELS] = "node(s) didn't match Pod's node affinity/selector",
        [PORTS_TAKEN] = "node(s) didn't have free ports for the requested pod ports",
        [TOO_MANY_PODS] = "Too many pods",
        [SPREAD_SKEW] = "node(s) didn't match pod topology spread constraints",
        [SPREAD_LABEL_MISSING] = "node(s) didn't match pod topology spread constraints (missing required label)",
        [AFFINITY] = "node(s) didn't match pod affinity rules",
        [ANTI_AFFINITY] = "node(s) didn't match pod anti-affinity rules",
        [EXISTING_ANTI_AFFINITY] = "node(s) didn't satisfy existing pods anti-affinity rules",
    };
    size_t room = 128 + refusal->first.size + refusal->second.size;
    char *words = call_allocate(call, room);
    int first = (int)refusal->first.size, second = (int)refusal->second.size, size;
    if (refusal->kind == UNTOLERATED_TAINT)
        size = snprintf(words, room, "node(s) had untolerated taint {%.*s: %.*s}", first, refusal->first.data, second,
                        refusal->second.data);
    else if (refusal->kind == INSUFFICIENT)
        size = snprintf(words, room, "Insufficient %.*s", first, refusal->first.data);
    else
        size = snprintf(words, room, "%s", fixed[refusal->kind]);
    return (text){words, (uint32_t)size};
}

static int by_words(const void *one, const void *other) {
    return text_compare(((const counted_reason *)one)->reason, ((const counted_reason *)other)->reason);
}

/// Counts the refusals by their words.
static void explain(call *call, decision *decision, const refusal *refusals, uint32_t count) {
    const refusal **different = call_allocate(call, count * sizeof *different);
    decision->reasons = call_allocate(call, count * sizeof *decision->reasons);
    for (uint32_t index = 0; index < count; index++) {
        uint32_t reason = 0;
        while (reason < decision->reason_count && !is_same(different[reason], &refusals[index])) reason++;
        if (reason == decision->reason_count) {
            different[reason] = &refusals[index];
            decision->reasons[decision->reason_count++].reason = words(call, &refusals[index]);
        }
        decision->reasons[reason].nodes++;
    }
    if (decision->reason_count > 1)
        qsort(decision->reasons, decision->reason_count, sizeof *decision->reasons, by_words);
}

decision decide(call *call, const cluster *cluster, const options *options, text uid, const pod_wishes *pod) {
    wish wish = {.cluster = cluster, .pod = pod, .former = table_find(&cluster->pods, uid)};
    relations_gather(call, &wish);
    decision decision = {.nodes = cluster->nodes};
    const place **fitting = call_allocate(call, cluster->nodes * sizeof *fitting);
    refusal *refusals = call_allocate(call, cluster->nodes * sizeof *refusals);
    uint32_t fit = 0, refused = 0, slot = 0;
    for (const place *place; (place = table_next(&cluster->places, &slot)) != NULL;) {
        if (place->node == NULL) continue;
        refusal refusal = node_refuses(&wish, place);
        if (refusal.kind != FITS) {
            refusals[refused++] = refusal;
            continue;
        }
        // A pod that has a place stays there as long as it can.
        if (wish.former != NULL && wish.former->place == place) {
            decision.place = place;
            return decision;
        }
        fitting[fit++] = place;
    }
    if (fit > 0) decision.place = best_place(call, options, &wish, fitting, fit);
    else explain(call, &decision, refusals, refused);
    return decision;
}
