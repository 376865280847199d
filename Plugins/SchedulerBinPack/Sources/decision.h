/// The choice of a node for a pod: filters, scores, and the words for nodes that cannot take it.
#ifndef BINPACK_DECISION_H
#define BINPACK_DECISION_H

#include "cluster.h"
#include "domains.h"

/// A resource that counts when nodes are compared by how full they are.
typedef struct resource_weight {
    text name;
    int64_t weight;
} resource_weight;

typedef struct options {
    resource_weight *resources; ///< Their names live in the same block.
    uint32_t resource_count;
    /// How much each score, 0…10,000, counts.
    int64_t packing, node_affinity, pod_affinity, spread, taints;
} options;

enum refusal_kind { FITS, UNSCHEDULABLE, OTHER_NODE_NAME, UNTOLERATED_TAINT, OTHER_LABELS, PORTS_TAKEN, TOO_MANY_PODS,
                    INSUFFICIENT, SPREAD_SKEW, SPREAD_LABEL_MISSING, AFFINITY, ANTI_AFFINITY, EXISTING_ANTI_AFFINITY };

/// Why one node cannot take the pod.
typedef struct refusal {
    uint8_t kind;
    text first, second; ///< A taint's key and value, or a resource's name.
} refusal;

typedef struct counted_reason {
    text reason;
    uint32_t nodes;
} counted_reason;

typedef struct decision {
    /// NULL when no node fits. Otherwise lives as long as the node.
    const place *place;
    uint32_t nodes;
    counted_reason *reasons; ///< In the order of their text, each node under its first reason.
    uint32_t reason_count;
} decision;

/// What a pod's relations to other pods mean for nodes; see relations.c.
typedef struct spread_counts {
    const spread *spread;
    domains counts;
    int64_t self, least, most;
} spread_counts;

typedef struct relations {
    domains together, apart, kept_away, preferred;
    bool starts_here; ///< No pod matches the required affinity anywhere, and the pod itself does.
    spread_counts *spreads;
} relations;

/// A pod that wants a place, and what is needed to compare nodes for it.
typedef struct wish {
    const cluster *cluster;
    const pod_wishes *pod;
    const pod *former; ///< Where it is placed already; what it uses there is its own. Or NULL.
    relations relations;
} wish;

decision decide(call *call, const cluster *cluster, const options *options, text uid, const pod_wishes *pod);

void relations_gather(call *call, wish *wish);
uint8_t relations_refuse(const wish *wish, const node_facts *node);
/// How many pods are in the node's domains of soft spread constraints; outside of them as many as in the fullest and one.
int64_t relations_spread_cost(const wish *wish, const node_facts *node);
bool relations_spread_scores(const wish *wish);

refusal node_refuses(const wish *wish, const place *place);
/// Whether nodeSelector and required node affinity accept a node.
bool node_is_selected(const pod_wishes *pod, const node_facts *node);
/// A hard taint that the pod does not tolerate, NULL for none.
const taint *untolerated_taint(const pod_wishes *pod, const node_facts *node);

/// The best of the places that fit.
const place *best_place(call *call, const options *options, const wish *wish, const place **places, uint32_t count);

#endif
