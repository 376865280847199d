import Objects
import Synchronization

/// The taints that tell of a node's troubles, so that pods keep away from it or leave it.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-nodes-by-condition.
enum NodeTaints {
    private struct Rule {
        var condition: String
        var status: String
        var key: String
        var effects = ["NoSchedule"]
    }

    private static let rules = [
        Rule(
            condition: "Ready", status: "False", key: NodeHealth.notReady, effects: ["NoSchedule", "NoExecute"]),
        Rule(
            condition: "Ready", status: "Unknown", key: NodeHealth.unreachable, effects: ["NoSchedule", "NoExecute"]),
        Rule(condition: "MemoryPressure", status: "True", key: "node.kubernetes.io/memory-pressure"),
        Rule(condition: "DiskPressure", status: "True", key: "node.kubernetes.io/disk-pressure"),
        Rule(condition: "PIDPressure", status: "True", key: "node.kubernetes.io/pid-pressure"),
        Rule(condition: "NetworkUnavailable", status: "True", key: "node.kubernetes.io/network-unavailable"),
    ]
    private static let unschedulable = "node.kubernetes.io/unschedulable"
    private static let keys = Set(rules.map(\.key) + [unschedulable])

    /// A taint without its time.
    private struct Mark: Hashable {
        var key: String
        var effect: String
    }

    /// The taints of a node with those that its conditions ask for and no others of these kinds; nil when it has them.
    static func taints(_ node: JSON, now: Timestamp) -> [JSON]? {
        let conditions = node["status"]["conditions"]
        var wanted: [Mark] = []
        for rule in rules where conditions.condition(rule.condition)["status"].stringValue == rule.status {
            wanted += rule.effects.map { Mark(key: rule.key, effect: $0) }
        }
        if node["spec"]["unschedulable"].boolValue == true {
            wanted.append(Mark(key: unschedulable, effect: "NoSchedule"))
        }
        let present = node["spec"]["taints"].arrayValue
        var kept: [JSON] = []
        var found: Set<Mark> = []
        for taint in present {
            let mark = Mark(key: taint["key"].stringValue ?? "", effect: taint["effect"].stringValue ?? "")
            if keys.contains(mark.key) && !(wanted.contains(mark) && found.insert(mark).inserted) { continue }
            kept.append(taint)
        }
        let missing = wanted.filter { !found.contains($0) }
        if missing.isEmpty && kept.count == present.count { return nil }
        return kept
            + missing.map {
                [
                    "key": .string($0.key), "effect": .string($0.effect),
                    "timeAdded": .string(now.formatted(fraction: .none)),
                ]
            }
    }

    /// What taints follow of a node: a change of it is looked at.
    static func facts(_ node: JSON) -> [JSON] {
        let conditions = node["status"]["conditions"]
        return rules.map { conditions.condition($0.condition)["status"] } + [node["spec"]["unschedulable"]]
    }
}

/// When taints that evict were first seen, for those that do not say since when they are there.
final class TaintTimes: Sendable {
    private let times = Mutex<[String: [String: Timestamp]]>([:])

    /// The taints, each with a time; what was known of the node's former ones is forgotten.
    func dated(_ taints: [JSON], node: String, now: Timestamp) -> [JSON] {
        func identity(_ taint: JSON) -> String {
            ["key", "value", "effect"].map { taint[$0].stringValue ?? "" }.joined(separator: "/")
        }
        return times.withLock { times in
            let known = times[node] ?? [:]
            var seen: [String: Timestamp] = [:]
            for taint in taints where taint["timeAdded"].timestamp == nil {
                let identity = identity(taint)
                seen[identity] = known[identity] ?? now
            }
            times[node] = seen.isEmpty ? nil : seen
            return taints.map { taint in
                guard let time = seen[identity(taint)] else { return taint }
                return taint.with("timeAdded", .string(time.formatted(fraction: .none)))
            }
        }
    }

    func forget(node: String) { times.withLock { $0[node] = nil } }
}
