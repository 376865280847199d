#include "facts.h"

static pairs pairs_read(call *call, const json *object) {
    pair *items = call_allocate(call, json_count(object) * sizeof *items);
    pairs read = {items, 0};
    for (const json *member = json_members(object); member != NULL; member = member->next)
        if (member->kind == JSON_STRING) items[read.count++] = (pair){member->key, member->string};
    pairs_sort(items, read.count);
    return read;
}

uint8_t effect_read(text name) {
    if (text_equal(name, TEXT("NoSchedule"))) return EFFECT_NO_SCHEDULE;
    if (text_equal(name, TEXT("PreferNoSchedule"))) return EFFECT_PREFER_NO_SCHEDULE;
    return text_equal(name, TEXT("NoExecute")) ? EFFECT_NO_EXECUTE : EFFECT_NONE;
}

/// Whether a resource is among the basics, or is none that pods use up.
static bool is_basic(text resource) {
    return text_equal(resource, TEXT("cpu")) || text_equal(resource, TEXT("memory")) ||
           text_equal(resource, TEXT("ephemeral-storage")) || text_equal(resource, TEXT("pods"));
}

// MARK: Nodes

void node_facts_read(call *call, node_facts *node, const json *object) {
    node->labels = pairs_read(call, json_path(object, "metadata", "labels", NULL));
    const json *array = json_path(object, "spec", "taints", NULL);
    taint *taints = call_allocate(call, json_count(array) * sizeof *taints);
    node->taints.items = taints;
    for (const json *element = json_elements(array); element != NULL; element = element->next) {
        uint8_t effect = effect_read(json_text(json_member(element, "effect")));
        const json *key = json_member(element, "key");
        // A taint with an effect that this version does not know repels nothing.
        if (effect == EFFECT_NONE || key->kind != JSON_STRING) continue;
        taints[node->taints.count++] = (taint){key->string, json_text(json_member(element, "value")), effect};
    }
    const json *allocatable = json_path(object, "status", "allocatable", NULL);
    amount *extended = call_allocate(call, json_count(allocatable) * sizeof *extended);
    node->extended.items = extended;
    for (const json *member = json_members(allocatable); member != NULL; member = member->next)
        if (!is_basic(member->key))
            extended[node->extended.count++] = (amount){member->key, amount_clamp(quantity_read(call, member))};
}

// MARK: What a pod asks for

/// Extended resources while they are added up, with room for every name that occurs.
typedef struct sum {
    amount *items;
    uint32_t count;
} sum;

static amount *entry(sum *sum, text name) {
    for (uint32_t index = 0; index < sum->count; index++)
        if (text_equal(sum->items[index].name, name)) return &sum->items[index];
    sum->items[sum->count] = (amount){name, 0};
    return &sum->items[sum->count++];
}

static void sum_add(sum *into, const sum *other) {
    for (uint32_t index = 0; index < other->count; index++) {
        amount *amount = entry(into, other->items[index].name);
        if (__builtin_add_overflow(amount->value, other->items[index].value, &amount->value)) amount->value = INT64_MAX;
    }
}

static void sum_raise(sum *into, const sum *other) {
    for (uint32_t index = 0; index < other->count; index++) {
        amount *amount = entry(into, other->items[index].name);
        if (other->items[index].value > amount->value) amount->value = other->items[index].value;
    }
}

static void sum_set(call *call, sum *sum, const json *resources, bool only_missing) {
    for (const json *member = json_members(resources); member != NULL; member = member->next) {
        int64_t value = quantity_read(call, member);
        if (is_basic(member->key)) continue;
        uint32_t known = sum->count;
        amount *amount = entry(sum, member->key);
        if (!only_missing || sum->count > known) amount->value = value;
    }
}

/// What one container asks for: its requests, and its limits of what it does not request.
static void sum_container(call *call, sum *sum, const json *container) {
    const json *resources = json_member(container, "resources");
    sum->count = 0;
    sum_set(call, sum, json_member(resources, "requests"), false);
    sum_set(call, sum, json_member(resources, "limits"), true);
}

static uint32_t names_in(const json *spec, const char *list) {
    uint32_t count = 0;
    for (const json *container = json_elements(json_member(spec, list)); container != NULL; container = container->next)
        count += json_count(json_path(container, "resources", "requests", NULL)) +
                 json_count(json_path(container, "resources", "limits", NULL));
    return count;
}

static bool is_sidecar(const json *container) { return json_is(json_member(container, "restartPolicy"), "Always"); }

/// The greater of the sum over containers and the greatest step of initialisation, sidecars running on, plus overhead.
static amounts extended_read(call *call, const json *spec) {
    const json *overhead = json_member(spec, "overhead");
    uint32_t room = names_in(spec, "containers") + names_in(spec, "initContainers") + json_count(overhead);
    sum sums[5];
    for (int index = 0; index < 5; index++) sums[index] = (sum){call_allocate(call, room * sizeof(amount)), 0};
    sum *total = &sums[0], *sidecars = &sums[1], *greatest = &sums[2], *step = &sums[3], *extra = &sums[4];
    for (const json *one = json_elements(json_member(spec, "containers")); one != NULL; one = one->next) {
        sum_container(call, step, one);
        sum_add(total, step);
    }
    for (const json *one = json_elements(json_member(spec, "initContainers")); one != NULL; one = one->next) {
        sum_container(call, step, one);
        if (is_sidecar(one)) {
            sum_add(total, step);
            sum_add(sidecars, step);
            sum_raise(greatest, sidecars);
        } else {
            sum_add(step, sidecars);
            sum_raise(greatest, step);
        }
    }
    sum_raise(total, greatest);
    sum_set(call, extra, overhead, false);
    sum_add(total, extra);
    // In the order of names, in which shortages are told.
    for (uint32_t index = 1; index < total->count; index++)
        for (uint32_t at = index; at > 0 && text_compare(total->items[at].name, total->items[at - 1].name) < 0; at--) {
            amount swapped = total->items[at];
            total->items[at] = total->items[at - 1];
            total->items[at - 1] = swapped;
        }
    for (uint32_t index = 0; index < total->count; index++)
        total->items[index].value = amount_clamp(total->items[index].value);
    return (amounts){total->items, total->count};
}

/// In scores a container that asks for nothing counts as a small one: 100m, 200Mi.
static void scored_read(pod_facts *facts, const json *spec) {
    facts->scored_milli_cpu = facts->amounts.milli_cpu;
    facts->scored_memory = facts->amounts.memory;
    for (const json *one = json_elements(json_member(spec, "containers")); one != NULL; one = one->next) {
        const json *requests = json_path(one, "resources", "requests", NULL);
        const json *limits = json_path(one, "resources", "limits", NULL);
        if (!json_exists(json_member(requests, "cpu")) && !json_exists(json_member(limits, "cpu")))
            facts->scored_milli_cpu += 100;
        if (!json_exists(json_member(requests, "memory")) && !json_exists(json_member(limits, "memory")))
            facts->scored_memory += 200 << 20;
    }
    facts->scored_milli_cpu = amount_clamp(facts->scored_milli_cpu);
    facts->scored_memory = amount_clamp(facts->scored_memory);
}

// MARK: Host ports

static uint32_t ports_in(const json *containers) {
    uint32_t count = 0;
    for (const json *one = json_elements(containers); one != NULL; one = one->next)
        count += json_count(json_member(one, "ports"));
    return count;
}

static void ports_add(host_port *ports, uint32_t *count, const json *container) {
    for (const json *one = json_elements(json_member(container, "ports")); one != NULL; one = one->next) {
        int64_t number;
        if (!json_integer(json_member(one, "hostPort"), &number) || number <= 0 || number > 65535) continue;
        const json *protocol = json_member(one, "protocol");
        text address = json_text(json_member(one, "hostIP"));
        bool is_any = text_equal(address, TEXT("0.0.0.0")) || text_equal(address, TEXT("::"));
        ports[(*count)++] = (host_port){number, protocol->kind == JSON_STRING ? protocol->string : TEXT("TCP"),
                                        is_any ? (text){"", 0} : address};
    }
}

static host_ports ports_read(call *call, const json *spec) {
    const json *containers = json_member(spec, "containers"), *first = json_member(spec, "initContainers");
    host_port *ports = call_allocate(call, (ports_in(containers) + ports_in(first)) * sizeof *ports);
    uint32_t count = 0;
    for (const json *one = json_elements(containers); one != NULL; one = one->next) ports_add(ports, &count, one);
    for (const json *one = json_elements(first); one != NULL; one = one->next)
        if (is_sidecar(one)) ports_add(ports, &count, one);
    return (host_ports){ports, count};
}

bool host_ports_conflict(const host_ports *one, const host_ports *other) {
    for (uint32_t left = 0; left < one->count; left++)
        for (uint32_t right = 0; right < other->count; right++) {
            const host_port *port = &one->items[left], *used = &other->items[right];
            if (port->port == used->port && text_equal(port->protocol, used->protocol) &&
                (port->address.size == 0 || used->address.size == 0 || text_equal(port->address, used->address)))
                return true;
        }
    return false;
}

// MARK: Relations to other pods

/// Whether a term asks for namespaces by their labels, which nobody tells.
static bool is_unsupported(const json *object) {
    const json *filter = json_member(object, "namespaceSelector");
    return json_count(json_member(filter, "matchLabels")) + json_count(json_member(filter, "matchExpressions")) > 0;
}

static pod_term pod_term_read(call *call, const json *object, text namespace) {
    pod_term term = {.topology_key = json_text(json_member(object, "topologyKey")),
                     .selector = selector_read(call, json_member(object, "labelSelector"))};
    const json *filter = json_member(object, "namespaceSelector");
    if (json_exists(filter)) {
        if (is_unsupported(object))
            call_fail(call, HOSTD_ERROR_INVALID_ARGUMENT,
                      "a pod affinity term uses a namespaceSelector with requirements, which this scheduler does not "
                      "support; list the namespaces instead");
        return term;
    }
    const json *names = json_member(object, "namespaces");
    text *items = call_allocate(call, (json_count(names) + 1) * sizeof *items);
    for (const json *name = json_elements(names); name != NULL; name = name->next)
        if (name->kind == JSON_STRING) items[term.namespaces.count++] = name->string;
    if (term.namespaces.count == 0) items[term.namespaces.count++] = namespace;
    term.namespaces.items = items;
    return term;
}

static pod_terms required_read(call *call, const json *part, text namespace, bool is_placed) {
    const json *array = json_member(part, "requiredDuringSchedulingIgnoredDuringExecution");
    pod_term *items = call_allocate(call, json_count(array) * sizeof *items);
    pod_terms terms = {items, 0};
    for (const json *one = json_elements(array); one != NULL; one = one->next)
        if (!is_placed || !is_unsupported(one)) items[terms.count++] = pod_term_read(call, one, namespace);
    return terms;
}

static pod_terms preferred_read(call *call, const json *affinity, text namespace, bool is_placed) {
    static const char *const kinds[] = {"podAffinity", "podAntiAffinity"};
    const char *member = "preferredDuringSchedulingIgnoredDuringExecution";
    uint32_t room = json_count(json_path(affinity, kinds[0], member, NULL)) +
                    json_count(json_path(affinity, kinds[1], member, NULL));
    pod_term *items = call_allocate(call, room * sizeof *items);
    pod_terms terms = {items, 0};
    for (int kind = 0; kind < 2; kind++)
        for (const json *one = json_elements(json_path(affinity, kinds[kind], member, NULL)); one != NULL; one = one->next) {
            if (is_placed && is_unsupported(json_member(one, "podAffinityTerm"))) continue;
            int64_t weight = 0;
            json_integer(json_member(one, "weight"), &weight);
            weight = weight < 0 ? 0 : weight > 100 ? 100 : weight;
            items[terms.count] = pod_term_read(call, json_member(one, "podAffinityTerm"), namespace);
            items[terms.count++].weight = kind == 0 ? weight : -weight;
        }
    return terms;
}

static pod_terms attraction_read(call *call, const json *affinity, text namespace, bool is_placed) {
    pod_terms required = required_read(call, json_member(affinity, "podAffinity"), namespace, is_placed);
    pod_terms preferred = preferred_read(call, affinity, namespace, is_placed);
    pod_term *items = call_allocate(call, (required.count + preferred.count) * sizeof *items);
    pod_terms terms = {items, 0};
    for (uint32_t index = 0; index < required.count; index++) {
        items[terms.count] = required.items[index];
        items[terms.count++].weight = 1;
    }
    for (uint32_t index = 0; index < preferred.count; index++) items[terms.count++] = preferred.items[index];
    return terms;
}

bool pod_term_selects(const pod_term *term, const pod_facts *pod) {
    bool is_meant = term->namespaces.count == 0;
    for (uint32_t index = 0; index < term->namespaces.count && !is_meant; index++)
        is_meant = text_equal(term->namespaces.items[index], pod->namespace);
    return is_meant && selector_selects(&term->selector, &pod->labels);
}

void pod_facts_read(call *call, pod_facts *facts, const json *object, bool is_placed) {
    const json *spec = json_member(object, "spec");
    facts->namespace = json_text(json_path(object, "metadata", "namespace", NULL));
    facts->labels = pairs_read(call, json_path(object, "metadata", "labels", NULL));
    facts->extended = extended_read(call, spec);
    scored_read(facts, spec);
    facts->host_ports = ports_read(call, spec);
    facts->anti_affinity =
        required_read(call, json_path(spec, "affinity", "podAntiAffinity", NULL), facts->namespace, is_placed);
    facts->attraction = attraction_read(call, json_member(spec, "affinity"), facts->namespace, is_placed);
    facts->is_terminating = json_exists(json_path(object, "metadata", "deletionTimestamp", NULL));
}

// MARK: Wishes

bool tolerations_tolerate(const tolerations *tolerations, const taint *taint) {
    for (uint32_t index = 0; index < tolerations->count; index++) {
        const toleration *one = &tolerations->items[index];
        if (one->effect != EFFECT_NONE && one->effect != taint->effect) continue;
        if (one->key.size == 0 ? one->any_value
                               : text_equal(one->key, taint->key) && (one->any_value || text_equal(one->value, taint->value)))
            return true;
    }
    return false;
}

static tolerations tolerations_read(call *call, const json *array) {
    toleration *items = call_allocate(call, json_count(array) * sizeof *items);
    tolerations read = {items, 0};
    for (const json *one = json_elements(array); one != NULL; one = one->next) {
        text name = json_text(json_member(one, "effect"));
        uint8_t effect = effect_read(name);
        // A toleration of an effect that this version does not know tolerates nothing.
        if (name.size > 0 && effect == EFFECT_NONE) continue;
        items[read.count++] = (toleration){json_text(json_member(one, "key")), json_text(json_member(one, "value")),
                                           json_is(json_member(one, "operator"), "Exists"), effect};
    }
    return read;
}

static node_terms node_terms_read(call *call, const json *array, const char *wrapped) {
    node_term *items = call_allocate(call, json_count(array) * sizeof *items);
    node_terms terms = {items, 0};
    for (const json *one = json_elements(array); one != NULL; one = one->next) {
        int64_t weight = 0;
        json_integer(json_member(one, "weight"), &weight);
        items[terms.count] = node_term_read(call, wrapped == NULL ? one : json_member(one, wrapped));
        items[terms.count++].weight = weight < 0 ? 0 : weight > 100 ? 100 : weight;
    }
    return terms;
}

/// The constraint's selector, narrowed to pods that share the values of the labels in matchLabelKeys.
static selector spread_selector(call *call, const json *object, const pairs *labels) {
    selector selector = selector_read(call, json_member(object, "labelSelector"));
    const json *keys = json_member(object, "matchLabelKeys");
    if (!selector.selects || json_count(keys) == 0) return selector;
    requirement *items = call_allocate(call, (selector.requirements.count + json_count(keys)) * sizeof *items);
    for (uint32_t index = 0; index < selector.requirements.count; index++) items[index] = selector.requirements.items[index];
    for (const json *key = json_elements(keys); key != NULL; key = key->next) {
        const text *value = pairs_find(labels, json_text(key));
        if (value != NULL)
            items[selector.requirements.count++] = (requirement){json_text(key), OPERATOR_IN, {value, 1}};
    }
    selector.requirements.items = items;
    return selector;
}

static spreads spreads_read(call *call, const json *array, const pairs *labels) {
    spread *items = call_allocate(call, json_count(array) * sizeof *items);
    spreads read = {items, 0};
    for (const json *one = json_elements(array); one != NULL; one = one->next) {
        spread *spread = &items[read.count++];
        spread->topology_key = json_text(json_member(one, "topologyKey"));
        spread->maximum_skew = spread->minimum_domains = 1;
        json_integer(json_member(one, "maxSkew"), &spread->maximum_skew);
        json_integer(json_member(one, "minDomains"), &spread->minimum_domains);
        spread->is_required = !json_is(json_member(one, "whenUnsatisfiable"), "ScheduleAnyway");
        spread->honors_affinity = !json_is(json_member(one, "nodeAffinityPolicy"), "Ignore");
        spread->honors_taints = json_is(json_member(one, "nodeTaintsPolicy"), "Honor");
        spread->selector = spread_selector(call, one, labels);
    }
    return read;
}

void pod_wishes_read(call *call, pod_wishes *wishes, const json *object) {
    pod_facts_read(call, &wishes->facts, object, false);
    const json *spec = json_member(object, "spec"), *affinity = json_member(spec, "affinity");
    const json *nodes = json_member(affinity, "nodeAffinity");
    const json *required = json_member(nodes, "requiredDuringSchedulingIgnoredDuringExecution");
    text namespace = wishes->facts.namespace;
    wishes->node_name = json_text(json_member(spec, "nodeName"));
    wishes->node_selector = pairs_read(call, json_member(spec, "nodeSelector"));
    wishes->requires_terms = json_exists(required);
    wishes->required_terms = node_terms_read(call, json_member(required, "nodeSelectorTerms"), NULL);
    wishes->preferred_terms = node_terms_read(
        call, json_member(nodes, "preferredDuringSchedulingIgnoredDuringExecution"), "preference");
    wishes->tolerations = tolerations_read(call, json_member(spec, "tolerations"));
    wishes->affinity = required_read(call, json_member(affinity, "podAffinity"), namespace, false);
    wishes->preferred = preferred_read(call, affinity, namespace, false);
    wishes->spreads = spreads_read(call, json_member(spec, "topologySpreadConstraints"), &wishes->facts.labels);
}
