/// What the scheduler takes from Node and Pod objects: values that point into one block of memory, scratch or kept.
#ifndef BINPACK_FACTS_H
#define BINPACK_FACTS_H

#include "json.h"

/// The most that a pod or node can have of anything, so that sums over thousands of them stay numbers (2^50: 1 PiB).
#define AMOUNT_LIMIT ((int64_t)1 << 50)
int64_t amount_clamp(int64_t amount);

typedef struct pair {
    text key, value;
} pair;

/// In the order of keys.
typedef struct pairs {
    const pair *items;
    uint32_t count;
} pairs;

typedef struct texts {
    const text *items;
    uint32_t count;
} texts;

/// An amount of a resource by name.
typedef struct amount {
    text name;
    int64_t value;
} amount;

typedef struct amounts {
    const amount *items;
    uint32_t count;
} amounts;

/// Puts items into the order of keys.
void pairs_sort(pair *items, uint32_t count);
/// The value of a label, NULL when it is absent.
const text *pairs_find(const pairs *pairs, text key);
/// 0 when it is absent.
int64_t amounts_find(const amounts *amounts, text name);

// MARK: Selectors

enum operator { OPERATOR_NEVER, OPERATOR_IN, OPERATOR_NOT_IN, OPERATOR_EXISTS, OPERATOR_ABSENT, OPERATOR_GREATER,
                OPERATOR_LESS };

typedef struct requirement {
    text key;
    uint8_t operator;
    texts values;
} requirement;

typedef struct requirements {
    const requirement *items;
    uint32_t count;
} requirements;

/// A label selector. Without `selects` it selects nothing, as an absent one does.
typedef struct selector {
    bool selects;
    requirements requirements;
} selector;

/// A term of a node selector: all of its requirements must hold, and there must be one.
typedef struct node_term {
    requirements labels, fields;
    int64_t weight; ///< Of a preference.
} node_term;

typedef struct node_terms {
    const node_term *items;
    uint32_t count;
} node_terms;

bool requirement_holds(const requirement *requirement, const text *value);
bool selector_selects(const selector *selector, const pairs *labels);
bool node_term_matches(const node_term *term, text name, const pairs *labels);
/// Fails the call for a selector that means nothing.
selector selector_read(call *call, const json *object);
node_term node_term_read(call *call, const json *object);

// MARK: Nodes

enum effect { EFFECT_NONE, EFFECT_NO_SCHEDULE, EFFECT_PREFER_NO_SCHEDULE, EFFECT_NO_EXECUTE };
uint8_t effect_read(text name);

typedef struct taint {
    text key, value;
    uint8_t effect;
} taint;

typedef struct taints {
    const taint *items;
    uint32_t count;
} taints;

/// Amounts of what every node has.
typedef struct basics {
    int64_t milli_cpu, memory, ephemeral_storage, pods;
} basics;

typedef struct node_facts {
    text name;
    bool is_ready, is_unschedulable;
    basics allocatable;
    pairs labels;
    taints taints;
    amounts extended;
} node_facts;

void node_facts_read(call *call, node_facts *node, const json *object);

// MARK: Pods

typedef struct toleration {
    text key, value;
    bool any_value;
    uint8_t effect; ///< EFFECT_NONE tolerates all.
} toleration;

typedef struct tolerations {
    const toleration *items;
    uint32_t count;
} tolerations;

bool tolerations_tolerate(const tolerations *tolerations, const taint *taint);

typedef struct host_port {
    int64_t port;
    text protocol, address; ///< An empty address is every one.
} host_port;

typedef struct host_ports {
    const host_port *items;
    uint32_t count;
} host_ports;

/// A term of pod (anti-)affinity.
typedef struct pod_term {
    text topology_key;
    selector selector;
    texts namespaces; ///< None: all.
    int64_t weight;   ///< Of a preference, negative for anti-affinity.
} pod_term;

typedef struct pod_terms {
    const pod_term *items;
    uint32_t count;
} pod_terms;

typedef struct spread {
    text topology_key;
    int64_t maximum_skew, minimum_domains;
    bool is_required, honors_affinity, honors_taints;
    selector selector;
} spread;

typedef struct spreads {
    const spread *items;
    uint32_t count;
} spreads;

/// What counts of a pod once it is placed.
typedef struct pod_facts {
    text namespace;
    int32_t priority;
    basics amounts; ///< Of which `pods` is 1.
    int64_t scored_milli_cpu, scored_memory;
    pairs labels;
    amounts extended;
    host_ports host_ports;
    pod_terms anti_affinity;
    /// Whom it would rather have near, or far: its preferences by their weights, and its required affinity as one of 1.
    pod_terms attraction;
    bool is_terminating;
} pod_facts;

/// A pod that wants a place.
typedef struct pod_wishes {
    pod_facts facts;
    text node_name;
    pairs node_selector;
    bool requires_terms;
    node_terms required_terms, preferred_terms;
    tolerations tolerations;
    pod_terms affinity, preferred;
    spreads spreads;
} pod_wishes;

/// Reads what placed pods need. `facts->amounts` is set already. What a pod that is placed already wishes and this scheduler
/// cannot honour is left out: it uses its node all the same.
void pod_facts_read(call *call, pod_facts *facts, const json *object, bool is_placed);
/// Reads everything. `wishes->facts.amounts` is set already.
void pod_wishes_read(call *call, pod_wishes *wishes, const json *object);
bool pod_term_selects(const pod_term *term, const pod_facts *pod);
bool host_ports_conflict(const host_ports *one, const host_ports *other);

// MARK: Quantities

/// A Kubernetes quantity, rounded up and saturating; false for what is none.
bool quantity_parse(text quantity, int64_t *value);
/// As it stands in an object, text or number. Fails the call.
int64_t quantity_read(call *call, const json *value);

#endif
