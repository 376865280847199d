/// What the scheduler knows: nodes, the pods placed on them, and what they use.
///
///     places ──► place (a name) ── node: its facts, NULL while it is not there
///                                └ pods: a list; used: their sums
///     pods   ──► pod (a uid) ──► its place
///
/// Every function either does all that it says or, without memory, nothing.
#ifndef BINPACK_CLUSTER_H
#define BINPACK_CLUSTER_H

#include "facts.h"
#include "table.h"

typedef struct pod {
    text uid; ///< Its key.
    struct place *place;
    struct pod *next, *previous; ///< On its place.
    pod_facts facts;
} pod;

/// Sums over the pods of a place.
typedef struct usage {
    basics amounts;
    int64_t scored_milli_cpu, scored_memory;
} usage;

/// A node's name, with the node, pods or both.
typedef struct place {
    text name; ///< Its key.
    node_facts *node;
    pod *pods;
    usage used;
} place;

typedef struct cluster {
    table places, pods;
    uint32_t nodes;       ///< Places with a node.
    uint32_t antagonists; ///< Pods with required anti-affinity.
    uint32_t attractors;  ///< Pods that would rather have some near, or far.
    uint64_t revision;
} cluster;

/// An empty cluster with a revision that no other has had.
void cluster_begin(cluster *cluster);
void cluster_clear(cluster *cluster);

/// Adds or replaces a node. The facts are copied. False without memory.
bool cluster_set_node(cluster *cluster, const node_facts *facts);
void cluster_remove_node(cluster *cluster, text name);
/// Places a pod, moving it when it was placed elsewhere. False without memory.
bool cluster_set_pod(cluster *cluster, text uid, text node, const pod_facts *facts);
void cluster_remove_pod(cluster *cluster, text uid);

/// Adds (1) or takes (-1) what a pod uses.
void usage_change(usage *usage, const pod_facts *pod, int sign);

#endif
