import Objects

/// The pods that show their node: of which priorities they are, and what is on each node.
struct PlacedPods {
    private struct Placed {
        var pod: JSON
        var node: String
        var priority: Int64
    }

    private var pods: [String: Placed] = [:]
    private var counts: [Int64: Int] = [:]
    private var byNode: [String: Set<String>] = [:]
    /// What pods take of their nodes, for those of which it was asked.
    private var uses: [String: NodeUse] = [:]

    func contains(_ uid: String) -> Bool { pods[uid] != nil }

    mutating func insert(_ pod: JSON, on node: String, priority: Int64) {
        let uid = pod.uid
        if let known = pods[uid], known.node == node, known.priority == priority {
            if uses[uid] != nil, known.pod["spec"] != pod["spec"] { uses[uid] = nil }
            pods[uid]?.pod = pod
            return
        }
        remove(uid)
        pods[uid] = Placed(pod: pod, node: node, priority: priority)
        counts[priority, default: 0] += 1
        byNode[node, default: []].insert(uid)
    }

    /// Whether it was there.
    @discardableResult
    mutating func remove(_ uid: String) -> Bool {
        guard let placed = pods.removeValue(forKey: uid) else { return false }
        counts[placed.priority, default: 0] -= 1
        if counts[placed.priority] == 0 { counts[placed.priority] = nil }
        byNode[placed.node]?.remove(uid)
        if byNode[placed.node]?.isEmpty == true { byNode[placed.node] = nil }
        uses[uid] = nil
        return true
    }

    /// Whether there is one of a lower priority. Complexity: O(priorities in use).
    func hasAny(below priority: Int64) -> Bool { counts.keys.contains { $0 < priority } }

    /// The pods on a node. Complexity: O(pods on it); what a pod takes is computed once.
    /// - Throws: the error of a quantity that does not parse.
    mutating func pods(on node: String) throws -> [PreemptionPlan.Occupant] {
        var occupants: [PreemptionPlan.Occupant] = []
        for uid in byNode[node] ?? [] {
            guard let placed = pods[uid] else { continue }
            let use: NodeUse
            if let known = uses[uid] {
                use = known
            } else {
                use = try NodeUse(placed.pod)
                uses[uid] = use
            }
            occupants.append(PreemptionPlan.Occupant(pod: placed.pod, priority: placed.priority, use: use))
        }
        return occupants
    }
}
