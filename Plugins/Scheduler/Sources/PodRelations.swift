/// What one decision needs to know of other pods, gathered once before the nodes are looked at: inter-pod affinity,
/// anti-affinity in both directions, and topology spread.
struct PodRelations: Sendable {
    /// A node label and its value: "the same place" for pods.
    struct Place: Hashable, Sendable {
        var key: String
        var value: String
    }

    private struct Spread: Sendable {
        var constraint: SpreadConstraint
        /// The labels that a node has to have to take part.
        var keys: [String] = []
        /// By domain; where not all are walked, those with pods.
        var counts: [String: Int64] = [:]
        /// Instead of that where each node is a domain of its own: by the nodes' names.
        var nodes: [String: Int64]?
        /// Whether some node lacks one of the labels.
        var hasOutside = true
        var selfCount: Int64 = 0
        var least: Int64 = 0
        var most: Int64 = 0
    }

    /// Required affinity: topology keys, and the places where a pod that matches all terms runs.
    private var affinityKeys: [String] = []
    private var affinityPlaces: Set<Place> = []
    /// No pod matches anywhere and the pod matches itself: it may be the first one.
    private var affinityStartsHere = false
    private var antiAffinityPlaces: Set<Place> = []
    private var existingAntiAffinityPlaces: Set<Place> = []
    private var preferred: [Place: Int64] = [:]
    private var spreads: [Spread] = []

    var scoresAffinity: Bool { !preferred.isEmpty }
    var scoresSpread: Bool { spreads.contains { !$0.constraint.isRequired } }

    /// Nil when neither the pod nor any placed pod relates to others: the common case costs nothing.
    init?(_ pod: PodDescription, in placement: Placement) {
        let relates =
            !pod.affinity.isEmpty || !pod.antiAffinity.isEmpty || !pod.preferredAffinity.isEmpty
            || !pod.spread.isEmpty
        guard relates || !placement.antiAffinityPods.isEmpty || !placement.attractors.isEmpty else { return nil }
        gatherExistingAntiAffinity(pod, placement)
        gatherAttraction(pod, placement)
        guard relates else { return }
        affinityKeys = pod.affinity.map(\.topologyKey)
        gatherAffinity(pod, placement)
        if !pod.affinity.isEmpty && affinityPlaces.isEmpty {
            affinityStartsHere = pod.affinity.allSatisfy { $0.selects(pod) }
        }
        for constraint in pod.spread { spreads.append(count(constraint, pod, placement)) }
    }

    private mutating func gatherExistingAntiAffinity(_ pod: PodDescription, _ placement: Placement) {
        for uid in placement.antiAffinityPods {
            guard let placed = placement.pods[uid], let position = placement.positions[placed.node] else { continue }
            let labels = placement.nodes[position].description.labels
            for term in placed.pod.antiAffinity where term.selects(pod) {
                if let value = labels[term.topologyKey] {
                    existingAntiAffinityPlaces.insert(Place(key: term.topologyKey, value: value))
                }
            }
        }
    }

    /// What the pods that are there already would rather have near them, or far.
    private mutating func gatherAttraction(_ pod: PodDescription, _ placement: Placement) {
        for uid in placement.attractors {
            guard let placed = placement.pods[uid], let position = placement.positions[placed.node] else { continue }
            let labels = placement.nodes[position].description.labels
            for (weight, term) in placed.pod.attraction where term.selects(pod) {
                if let value = labels[term.topologyKey] {
                    preferred[Place(key: term.topologyKey, value: value), default: 0] += weight
                }
            }
        }
    }

    private mutating func gatherAffinity(_ pod: PodDescription, _ placement: Placement) {
        guard !pod.affinity.isEmpty || !pod.antiAffinity.isEmpty || !pod.preferredAffinity.isEmpty else { return }
        for placed in placement.pods.values {
            guard let position = placement.positions[placed.node] else { continue }
            let labels = placement.nodes[position].description.labels
            func place(_ key: String) -> Place? { labels[key].map { Place(key: key, value: $0) } }
            if !pod.affinity.isEmpty && pod.affinity.allSatisfy({ $0.selects(placed.pod) }) {
                affinityPlaces.formUnion(affinityKeys.compactMap(place))
            }
            for term in pod.antiAffinity where term.selects(placed.pod) {
                if let place = place(term.topologyKey) { antiAffinityPlaces.insert(place) }
            }
            for (weight, term) in pod.preferredAffinity where term.selects(placed.pod) {
                if let place = place(term.topologyKey) { preferred[place, default: 0] += weight }
            }
        }
    }

    private func count(_ constraint: SpreadConstraint, _ pod: PodDescription, _ placement: Placement) -> Spread {
        var spread = Spread(constraint: constraint)
        // A node takes part when it has the labels of all constraints of its sort.
        let keys = pod.spread.filter { $0.isRequired == constraint.isRequired }.map(\.topologyKey)
        spread.keys = keys
        spread.selfCount = constraint.selects(pod) ? 1 : 0
        spread.hasOutside = !keys.allSatisfy { placement.everyNode(has: $0) }
        if !constraint.isRequired {
            // Only nodes that fit are asked for: which others take part does not matter where each counts for itself.
            if constraint.topologyKey == SpreadConstraint.nodeKey {
                spread.nodes = placement.nodes(countedBy: constraint, of: pod)
                spread.most = spread.hasOutside ? spread.nodes?.values.max() ?? 0 : 0
                return spread
            }
            if let sums = placement.sums(countedBy: constraint, of: pod) {
                spread.counts = sums
                return spread
            }
        }
        if constraint.isRequired, let sums = placement.sums(countedBy: constraint, of: pod),
            let domains = placement.domainCount(by: constraint.topologyKey)
        {
            spread.counts = sums
            let someAreEmpty = sums.count < domains || domains < constraint.minimumDomains
            spread.least = someAreEmpty ? 0 : sums.values.min() ?? 0
            return spread
        }
        func domain(_ position: Int) -> String? {
            let node = placement.nodes[position].description
            if constraint.honorsNodeAffinity && !pod.selects(node) { return nil }
            if constraint.honorsTaints && placement.untoleratedTaint(of: pod, at: position) != nil { return nil }
            if keys.contains(where: { node.labels[$0] == nil }) { return nil }
            return node.labels[constraint.topologyKey]
        }
        if constraint.isRequired {
            for position in placement.nodes.indices {
                if let value = domain(position) { spread.counts[value] = 0 }
            }
        }
        for (node, pods) in placement.nodes(countedBy: constraint, of: pod) {
            guard let position = placement.positions[node], let value = domain(position) else { continue }
            spread.counts[value, default: 0] += pods
        }
        let hasEnoughDomains = spread.counts.count >= constraint.minimumDomains
        spread.least = hasEnoughDomains ? spread.counts.values.min() ?? 0 : 0
        spread.most = spread.counts.values.max() ?? 0
        return spread
    }

    /// Nil when the node suits the pod's relations and those of the pods already there.
    func refusal(of node: NodeDescription) -> Refusal? {
        for spread in spreads where spread.constraint.isRequired {
            guard let value = node.labels[spread.constraint.topologyKey] else { return .spreadLabelMissing }
            let skew = (spread.counts[value] ?? 0) + spread.selfCount - spread.least
            if skew > spread.constraint.maximumSkew { return .spread }
        }
        for key in affinityKeys {
            guard let value = node.labels[key] else { return .podAffinity }
            if !affinityStartsHere && !affinityPlaces.contains(Place(key: key, value: value)) { return .podAffinity }
        }
        if holds(antiAffinityPlaces, node) { return .podAntiAffinity }
        if holds(existingAntiAffinityPlaces, node) { return .existingAntiAffinity }
        return nil
    }

    private func holds(_ places: Set<Place>, _ node: NodeDescription) -> Bool {
        places.contains { node.labels[$0.key] == $0.value }
    }

    func affinityScore(of node: NodeDescription) -> Int64 {
        preferred.reduce(0) { node.labels[$1.key.key] == $1.key.value ? $0 + $1.value : $0 }
    }

    /// Pods already in the node's domains; a node outside a domain costs as much as the fullest one and one more.
    func spreadCost(of node: NodeDescription) -> Int64 {
        spreads.reduce(0) { sum, spread in
            if spread.constraint.isRequired { return sum }
            if spread.hasOutside && spread.keys.contains(where: { node.labels[$0] == nil }) {
                return sum + spread.most + 1
            }
            if let nodes = spread.nodes { return sum + (nodes[node.name] ?? 0) }
            return sum + (node.labels[spread.constraint.topologyKey].flatMap { spread.counts[$0] } ?? 0)
        }
    }
}
