import Objects
import PluginAPI
import PluginKit

struct Amounts {
    var milliCPU: Int64 = 0
    var memory: Int64 = 0
    var storage: Int64 = 0
    var pods: Int64 = 0

    init() {}

    /// - Throws: for amounts that are negative, or so great that sums could overflow.
    init(milliCPU: Int64, memory: Int64, storage: Int64, pods: Int64) throws {
        (self.milliCPU, self.memory, self.storage, self.pods) = (milliCPU, memory, storage, pods)
        guard [milliCPU, memory, storage, pods].allSatisfy({ (0...(1 << 50)).contains($0) }) else {
            throw PluginError.invalid("an amount is negative or beyond 2^50")
        }
    }

    static func += (sum: inout Amounts, other: Amounts) {
        sum.milliCPU += other.milliCPU
        sum.memory += other.memory
        sum.storage += other.storage
        sum.pods += other.pods
    }

    static func -= (sum: inout Amounts, other: Amounts) {
        sum.milliCPU -= other.milliCPU
        sum.memory -= other.memory
        sum.storage -= other.storage
        sum.pods -= other.pods
    }
}

/// What the scheduler knows: nodes, and which pods are where. A value, so that it can be tested without a host.
struct Cluster {
    struct Node {
        let allocatable: Amounts
        let flags: UInt32
        let object: JSON
        var used = Amounts()
    }

    private struct Placement {
        /// The node itself may be gone, or not known yet.
        let node: String
        let uses: Amounts
    }

    /// How much cores count against memory, 0 to 1.
    let cpuWeight: Double
    private var nodes: [String: Node] = [:]
    private var placements: [String: Placement] = [:]
    /// See hostd_scheduler_1.revision: by it the caller knows that nothing it told was lost. Begins unlike any before.
    private(set) var revision = UInt64(
        bitPattern: Timestamp.now().seconds &* 1_000_000_000 &+ Int64(Timestamp.now().nanoseconds))

    init(cpuWeight: Double = 0.5) { self.cpuWeight = cpuWeight }

    /// The greater, the better: 1 for an empty node, 0 for a full one. `after` is what would be in use with the pod there.
    private func score(_ node: Node, _ after: Amounts) -> Double {
        func left(_ used: Int64, of all: Int64) -> Double { all > 0 ? 1 - Double(used) / Double(all) : 0 }
        return cpuWeight * left(after.milliCPU, of: node.allocatable.milliCPU)
            + (1 - cpuWeight) * left(after.memory, of: node.allocatable.memory)
    }

    /// Why a node cannot take the pod, in the words that `kubectl describe pod` shows. A node counts under its first reason.
    private func refusal(_ node: Node, _ after: Amounts, _ pod: JSON) -> String? {
        let all = node.allocatable
        if node.flags & HOSTD_SCHEDULER_NODE_UNSCHEDULABLE != 0 { return "node(s) were unschedulable" }
        if node.flags & HOSTD_SCHEDULER_NODE_READY == 0 { return "node(s) were not ready" }
        if Self.hasUntoleratedTaint(node, pod) { return "node(s) had untolerated taints" }
        if !Self.matchesSelector(node, pod) { return "node(s) didn't match Pod's node affinity/selector" }
        if after.pods > all.pods { return "Too many pods" }
        if after.milliCPU > all.milliCPU { return "Insufficient cpu" }
        if after.memory > all.memory { return "Insufficient memory" }
        if after.storage > all.storage { return "Insufficient ephemeral-storage" }
        return nil
    }

    private static func hasUntoleratedTaint(_ node: Node, _ pod: JSON) -> Bool {
        node.object["spec"]["taints"].arrayValue.contains { taint in
            taint["effect"].stringValue != "PreferNoSchedule"
                && !pod["spec"]["tolerations"].arrayValue.contains { tolerates($0, taint) }
        }
    }

    private static func tolerates(_ toleration: JSON, _ taint: JSON) -> Bool {
        let text = { (object: JSON, member: String) in object[member].stringValue ?? "" }
        let exists = text(toleration, "operator") == "Exists"
        let (key, effect) = (text(toleration, "key"), text(toleration, "effect"))
        return (key == text(taint, "key") || (exists && key.isEmpty))
            && (exists || text(toleration, "value") == text(taint, "value"))
            && (effect.isEmpty || effect == text(taint, "effect"))
    }

    private static func matchesSelector(_ node: Node, _ pod: JSON) -> Bool {
        let labels = node.object["metadata"]["labels"]
        return (pod["spec"]["nodeSelector"].objectValue ?? [:]).allSatisfy { key, value in
            labels[key].stringValue == value.stringValue
        }
    }
}

extension Cluster {
    mutating func setNode(_ name: String, _ node: Node) {
        revision += 1
        var node = node
        for placement in placements.values where placement.node == name { node.used += placement.uses }
        nodes[name] = node
    }

    mutating func removeNode(_ name: String) {
        revision += 1
        nodes[name] = nil
    }

    mutating func confirm(_ uid: String, on node: String, _ uses: Amounts) {
        revision += 1
        place(uid, on: node, uses)
    }

    mutating func removePod(_ uid: String) {
        revision += 1
        forget(uid)
    }

    mutating func schedule(_ uid: String, _ uses: Amounts, _ pod: JSON) -> SchedulingDecision {
        revision += 1
        if let before = placements[uid] { return .place(node: before.node) }  // Asked again: a pod is placed once.
        var reasons: [String: Int] = [:]
        var best: (name: String, score: Double)?
        for (name, node) in nodes {
            var after = node.used
            after += uses
            if let reason = refusal(node, after, pod) {
                reasons[reason, default: 0] += 1
                continue
            }
            let points = score(node, after)
            // Of nodes that are equally good the first by name, so that the same question gets the same answer.
            if best == nil || (points, best!.name) > (best!.score, name) { best = (name, points) }
        }
        guard let best else {
            let refusals = reasons.sorted { $0.key < $1.key }.map { SchedulingRefusal(reason: $0.key, nodes: $0.value) }
            return .refuse(nodes: nodes.count, refusals: refusals)
        }
        place(uid, on: best.name, uses)
        return .place(node: best.name)
    }

    private mutating func place(_ uid: String, on node: String, _ uses: Amounts) {
        forget(uid)
        placements[uid] = Placement(node: node, uses: uses)
        nodes[node]?.used += uses
    }

    private mutating func forget(_ uid: String) {
        guard let placement = placements.removeValue(forKey: uid) else { return }
        nodes[placement.node]?.used -= placement.uses
    }
}
