/// The scheduler's whole state and decision: nodes, what placed pods use of them, and the choice of a node for one more.
///
/// A value without locks, clocks or input and output; the plugin feeds it. Choice follows Kubernetes: filter nodes from a
/// rotating start until enough fit, score those, take the best, break ties by a seeded generator.
/// Complexity of `schedule`: O(nodes looked at), plus O(placed pods) only for pods that relate to other pods.
public struct Placement: Sendable {
    struct Node: Sendable {
        var description: NodeDescription
        /// The node's labels, interned: a node selector then compares numbers.
        var labels: [Int32] = []
        /// Allocatable and used extended resources by interned position; may be shorter than the table of names.
        var extendedAllocatable: [Int64] = []
        var extendedRequested: [Int64] = []
        var hostPorts: [HostPort] = []
    }

    private struct Label: Hashable, Sendable {
        var key: String
        var value: String
    }

    struct PlacedPod: Sendable {
        var node: String
        var pod: PodDescription
        /// The order in which pods came.
        var sequence: UInt64
    }

    /// Parallel to `nodes`: the flat part that the filter runs over.
    var loads: [NodeLoad] = []
    var nodes: [Node] = []
    var positions: [String: Int] = [:]
    var pods: [String: PlacedPod] = [:]
    private var podsByNode: [String: Set<String>] = [:]
    /// Pods whose required anti-affinity can refuse other pods.
    var antiAffinityPods: Set<String> = []
    /// Pods that would rather have some near, or far.
    var attractors: Set<String> = []
    private var spreadCounts = SpreadCounts()
    private var extendedPositions: [String: Int] = [:]
    /// How many nodes have a label, by its key.
    private var labelUses: [String: Int] = [:]
    private var domains = NodeDomains()
    private var labelNumbers: [Label: Int32] = [:]
    private var podSequence: UInt64 = 0
    private var nextStart = 0
    private var random: UInt64

    /// - Parameter seed: of the tie-breaker; the same calls with the same seed give the same decisions.
    public init(seed: UInt64 = 0x9E37_79B9_7F4A_7C15) { random = seed | 1 }

    public var nodeCount: Int { nodes.count }
    public var podCount: Int { pods.count }

    // MARK: State

    /// Makes room for so many pods at once.
    mutating func reservePods(_ count: Int) { pods.reserveCapacity(count) }

    /// Adds or replaces a node; the pods already placed there stay accounted.
    public mutating func setNode(_ description: NodeDescription) {
        var load = NodeLoad()
        load.allocatable = description.allocatable.clamped
        load.flags = description.flags
        var node = Node(description: description)
        node.labels = description.labels.map { number(of: Label(key: $0.key, value: $0.value)) }
        node.extendedAllocatable = extendedVector(description.extended.map { ($0.key, $0.value) })
        let position: Int
        if let known = positions[description.name] {
            position = known
            let former = nodes[known].description.labels
            if former != description.labels { relabel(description.name, from: former, to: description.labels) }
            nodes[known] = node
            loads[known] = load
        } else {
            position = nodes.count
            positions[description.name] = position
            relabel(description.name, from: [:], to: description.labels)
            nodes.append(node)
            loads.append(load)
        }
        for uid in podsByNode[description.name] ?? [] {
            if let placed = pods[uid] { account(placed.pod, at: position) }
        }
    }

    /// Forgets a node; its pods are remembered, in case the node comes back before they go.
    public mutating func removeNode(_ name: String) {
        guard let position = positions.removeValue(forKey: name) else { return }
        relabel(name, from: nodes[position].description.labels, to: [:])
        nodes.swapAt(position, nodes.count - 1)
        loads.swapAt(position, loads.count - 1)
        nodes.removeLast()
        loads.removeLast()
        if position < nodes.count { positions[nodes[position].description.name] = position }
    }

    private mutating func relabel(_ node: String, from former: [String: String], to labels: [String: String]) {
        for key in former.keys { labelUses[key, default: 0] -= 1 }
        for key in labels.keys { labelUses[key, default: 0] += 1 }
        domains.note(from: former, to: labels)
        if podsByNode[node] != nil { spreadCounts.forgetSums() }
    }

    /// The labels of a node; none of one that is not known.
    private func labels(of node: String) -> [String: String] {
        positions[node].map { nodes[$0].description.labels } ?? [:]
    }

    func everyNode(has key: String) -> Bool { labelUses[key] ?? 0 == nodes.count }

    /// Accounts a pod on a node, moving it when it was accounted elsewhere.
    public mutating func setPod(uid: String, _ pod: PodDescription, node: String) {
        removePod(uid: uid)
        let pod = pod.clamped
        podSequence += 1
        pods[uid] = PlacedPod(node: node, pod: pod, sequence: podSequence)
        podsByNode[node, default: []].insert(uid)
        if !pod.antiAffinity.isEmpty { antiAffinityPods.insert(uid) }
        if pod.attracts { attractors.insert(uid) }
        spreadCounts.note(pod, on: node, labels(of: node), 1)
        if let position = positions[node] { account(pod, at: position) }
    }

    /// Frees what a pod used; an unknown pod is none.
    public mutating func removePod(uid: String) {
        guard let placed = pods.removeValue(forKey: uid) else { return }
        antiAffinityPods.remove(uid)
        attractors.remove(uid)
        spreadCounts.note(placed.pod, on: placed.node, labels(of: placed.node), -1)
        podsByNode[placed.node]?.remove(uid)
        if podsByNode[placed.node]?.isEmpty == true { podsByNode[placed.node] = nil }
        guard let position = positions[placed.node] else { return }
        loads[position].requested -= placed.pod.amounts
        loads[position].scoredMilliCPU &-= placed.pod.scoredMilliCPU
        loads[position].scoredMemory &-= placed.pod.scoredMemory
        for (name, amount) in placed.pod.extended {
            if let index = extendedPositions[name] { nodes[position].extendedRequested[index] &-= amount }
        }
        for port in placed.pod.hostPorts {
            if let index = nodes[position].hostPorts.firstIndex(of: port) {
                nodes[position].hostPorts.remove(at: index)
            }
        }
    }

    private mutating func account(_ pod: PodDescription, at position: Int) {
        loads[position].requested += pod.amounts
        loads[position].scoredMilliCPU &+= pod.scoredMilliCPU
        loads[position].scoredMemory &+= pod.scoredMemory
        for (name, amount) in pod.extended {
            let index = extendedPosition(name)
            while nodes[position].extendedRequested.count <= index { nodes[position].extendedRequested.append(0) }
            nodes[position].extendedRequested[index] &+= amount
        }
        nodes[position].hostPorts += pod.hostPorts
    }

    private mutating func number(of label: Label) -> Int32 {
        if let known = labelNumbers[label] { return known }
        let number = Int32(labelNumbers.count)
        labelNumbers[label] = number
        return number
    }

    private mutating func extendedPosition(_ name: String) -> Int {
        if let known = extendedPositions[name] { return known }
        let position = extendedPositions.count
        extendedPositions[name] = position
        return position
    }

    private mutating func extendedVector(_ amounts: [(String, Int64)]) -> [Int64] {
        var vector: [Int64] = []
        for (name, amount) in amounts {
            let index = extendedPosition(name)
            while vector.count <= index { vector.append(0) }
            vector[index] = min(max(amount, 0), Amounts.limit)
        }
        return vector
    }

    // MARK: Decision

    /// How many fitting nodes end the search: all of them below 100 nodes, then a share that shrinks from 50 % by one
    /// point per 125 nodes down to 5 %, never below 100 nodes (Kubernetes' numFeasibleNodesToFind).
    static func searchGoal(nodes: Int) -> Int {
        if nodes < 100 { return nodes }
        return max(100, nodes * max(5, 50 - nodes / 125) / 100)
    }

    private mutating func follow(_ constraint: SpreadConstraint, of pod: PodDescription) {
        guard let selector = constraint.selector else { return }
        let kind = SpreadCounts.Kind(namespace: pod.namespace, selector: selector)
        if spreadCounts.nodes(with: kind) == nil { spreadCounts.follow(kind, scan(for: kind)) }
        let key = constraint.topologyKey
        guard mayKeepSums(constraint, of: pod) else { return }
        if constraint.isRequired, domains.count(by: key) == nil {
            domains.follow(key, nodes.lazy.compactMap { $0.description.labels[key] })
        }
        guard spreadCounts.sums(of: kind, by: key) == nil else { return }
        var sums: [String: Int64] = [:]
        for (node, pods) in spreadCounts.nodes(with: kind) ?? [:] {
            if let value = labels(of: node)[key] { sums[value, default: 0] += pods }
        }
        spreadCounts.keep(sums, of: kind, by: key)
    }

    /// Whether a constraint counts the same for all pods, because every node takes part that has its label.
    private func mayKeepSums(_ constraint: SpreadConstraint, of pod: PodDescription) -> Bool {
        if constraint.honorsTaints { return false }
        // Of one that only scores each node has a count of its own anyway.
        if !constraint.isRequired && constraint.topologyKey == SpreadConstraint.nodeKey { return false }
        let wantsAnyNode = pod.nodeSelector.isEmpty && pod.requiredNodeTerms == nil
        return (wantsAnyNode || !constraint.honorsNodeAffinity)
            && pod.spread.allSatisfy {
                $0.isRequired != constraint.isRequired || everyNode(has: $0.topologyKey)
                    || (constraint.isRequired && $0.topologyKey == constraint.topologyKey)
            }
    }

    /// How many values a label has on the nodes; nil while that is not kept.
    func domainCount(by key: String) -> Int? { domains.count(by: key) }

    /// How many pods the nodes of each domain have that a constraint counts, where that is kept; nil where it has to be found.
    func sums(countedBy constraint: SpreadConstraint, of pod: PodDescription) -> [String: Int64]? {
        guard let selector = constraint.selector, mayKeepSums(constraint, of: pod) else { return nil }
        return spreadCounts.sums(
            of: SpreadCounts.Kind(namespace: pod.namespace, selector: selector), by: constraint.topologyKey)
    }

    /// How many pods each node has that a spread constraint of a pod counts; nodes without any are left out.
    func nodes(countedBy constraint: SpreadConstraint, of pod: PodDescription) -> [String: Int64] {
        guard let selector = constraint.selector else { return [:] }
        let kind = SpreadCounts.Kind(namespace: pod.namespace, selector: selector)
        return spreadCounts.nodes(with: kind) ?? scan(for: kind)
    }

    private func scan(for kind: SpreadCounts.Kind) -> [String: Int64] {
        var nodes: [String: Int64] = [:]
        for placed in pods.values where kind.selects(placed.pod) { nodes[placed.node, default: 0] += 1 }
        return nodes
    }

    /// Chooses a node for a pod and accounts the pod there. A pod that was placed before stays where it is as long as it can.
    public mutating func schedule(uid: String, _ pod: PodDescription) -> Decision {
        let former = pods[uid]?.node
        removePod(uid: uid)
        let pod = pod.clamped
        for constraint in pod.spread { follow(constraint, of: pod) }
        var relations = PodRelations(pod, in: self)
        // A label that no node has ever had gets a number that none carries.
        let selector = pod.nodeSelector.map { labelNumbers[Label(key: $0.key, value: $0.value)] ?? -1 }
        let extended = pod.extended.map { (index: extendedPosition($0.name), name: $0.name, amount: $0.amount) }
        if let former, let position = positions[former],
            refusal(of: pod, selector, extended, relations, at: position) == nil
        {
            relations = nil
            setPod(uid: uid, pod, node: former)
            return .placed(node: former)
        }
        let goal = Placement.searchGoal(nodes: nodes.count)
        var fitting: [Int] = []
        fitting.reserveCapacity(goal)
        var refusals: [Refusal: Int] = [:]
        var run: (refusal: Refusal?, nodes: Int) = (nil, 0)
        var position = nodes.isEmpty ? 0 : nextStart % nodes.count
        var looked = 0
        while looked < nodes.count && fitting.count < goal {
            if let refusal = refusal(of: pod, selector, extended, relations, at: position) {
                // Runs of equal reasons are the rule: hashing is for their ends alone.
                if refusal == run.refusal {
                    run.nodes += 1
                } else {
                    if let earlier = run.refusal { refusals[earlier, default: 0] += run.nodes }
                    run = (refusal, 1)
                }
            } else {
                fitting.append(position)
            }
            looked += 1
            position = position + 1 == nodes.count ? 0 : position + 1
        }
        nextStart = position
        guard !fitting.isEmpty else {
            if let last = run.refusal { refusals[last, default: 0] += run.nodes }
            let reasons = refusals.map { (reason: $0.key.description, nodes: $0.value) }
            return .refused(nodes: nodes.count, reasons: reasons.sorted { $0.reason < $1.reason })
        }
        let chosen = fitting.count == 1 ? fitting[0] : best(of: fitting, for: pod, relations: relations)
        let name = nodes[chosen].description.name
        // The counts that it shares are about to change, and are not to be copied for that.
        relations = nil
        setPod(uid: uid, pod, node: name)
        return .placed(node: name)
    }

    /// Nil when the node at `position` can take the pod.
    private func refusal(
        of pod: PodDescription, _ selector: [Int32], _ extended: [(index: Int, name: String, amount: Int64)],
        _ relations: PodRelations?, at position: Int
    ) -> Refusal? {
        let flags = loads[position].flags
        if flags.contains(.unschedulable) && !pod.tolerations.tolerate(.unschedulable) { return .unschedulable }
        if !pod.nodeName.isEmpty && pod.nodeName != nodes[position].description.name { return .nodeName }
        if let taint = untoleratedTaint(of: pod, at: position) { return .taint(taint) }
        for label in selector where !nodes[position].labels.contains(label) { return .nodeSelector }
        if let terms = pod.requiredNodeTerms, !terms.contains(where: { $0.matches(nodes[position].description) }) {
            return .nodeSelector
        }
        if !pod.hostPorts.isEmpty {
            let used = nodes[position].hostPorts
            if pod.hostPorts.contains(where: { port in used.contains { $0.conflicts(port) } }) { return .hostPorts }
        }
        if let shortage = shortage(of: pod.amounts, at: position) { return shortage }
        for (index, name, amount) in extended where amount > 0 {
            let node = nodes[position]
            let allocatable = index < node.extendedAllocatable.count ? node.extendedAllocatable[index] : 0
            let requested = index < node.extendedRequested.count ? node.extendedRequested[index] : 0
            if amount > allocatable - requested { return .insufficient(name) }
        }
        return relations?.refusal(of: nodes[position].description)
    }

    func untoleratedTaint(of pod: PodDescription, at position: Int) -> Taint? {
        let flags = loads[position].flags
        if flags.contains(.hardTaints) {
            for taint in nodes[position].description.taints where taint.effect != .preferNoSchedule {
                // The unschedulable mark was tested above under its own reason.
                if taint.key == Taint.unschedulable.key && flags.contains(.unschedulable) { continue }
                if !pod.tolerations.tolerate(taint) { return taint }
            }
        }
        if !flags.contains(.ready) && !pod.tolerations.tolerate(.notReady) { return .notReady }
        return nil
    }

    private func shortage(of amounts: Amounts, at position: Int) -> Refusal? {
        let allocatable = loads[position].allocatable
        let requested = loads[position].requested
        if requested.pods + amounts.pods > allocatable.pods { return .tooManyPods }
        if amounts.milliCPU > 0 && amounts.milliCPU > allocatable.milliCPU - requested.milliCPU {
            return .insufficient("cpu")
        }
        if amounts.memory > 0 && amounts.memory > allocatable.memory - requested.memory {
            return .insufficient("memory")
        }
        if amounts.ephemeralStorage > 0
            && amounts.ephemeralStorage > allocatable.ephemeralStorage - requested.ephemeralStorage
        {
            return .insufficient("ephemeral-storage")
        }
        return nil
    }

    private mutating func best(of fitting: [Int], for pod: PodDescription, relations: PodRelations?) -> Int {
        let scores = scores(of: fitting, for: pod, relations: relations)
        var chosen = 0
        var ties: UInt64 = 1
        for index in 1..<fitting.count {
            if scores[index] > scores[chosen] {
                chosen = index
                ties = 1
            } else if scores[index] == scores[chosen] {
                ties += 1
                if nextRandom() % ties == 0 { chosen = index }
            }
        }
        return fitting[chosen]
    }

    /// The next number of the tie-breaker (xorshift64).
    private mutating func nextRandom() -> UInt64 {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return random
    }
}
