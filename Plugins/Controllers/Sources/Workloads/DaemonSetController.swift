import Objects
import PluginKit

/// Which nodes run a daemon's pod.
enum DaemonPlan {
    /// Tolerations that daemons have for the troubles that other pods flee from.
    static let tolerations: [(key: String, effect: String)] = [
        ("node.kubernetes.io/not-ready", "NoExecute"), ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"), ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"), ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ]

    /// The pod for one node: bound to it by affinity, as Kubernetes does, so that the scheduler keeps the books.
    static func pod(_ set: JSON, node: String, hash: String) -> JSON {
        let owner = ControllerReference(.daemonSets, set)
        var pod = ReplicaSetPlan.pod(from: set["spec"]["template"], owner: owner, namespace: set.namespace)
        pod["metadata"]["labels"][ControllerHistory.hashLabel] = .string(hash)
        var tolerations = pod["spec"]["tolerations"].arrayValue
        for (key, effect) in Self.tolerations {
            tolerations.append(["key": .string(key), "operator": "Exists", "effect": .string(effect)])
        }
        pod["spec"]["tolerations"] = .array(tolerations)
        let field: JSON = ["key": "metadata.name", "operator": "In", "values": .array([.string(node)])]
        let required = "requiredDuringSchedulingIgnoredDuringExecution"
        pod["spec"]["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"] = [["matchFields": .array([field])]]
        return pod
    }

    /// The node that a daemon's pod is for, also before it is bound.
    static func node(of pod: JSON) -> String {
        let name = PodState(pod).nodeName
        if !name.isEmpty { return name }
        let required = "requiredDuringSchedulingIgnoredDuringExecution"
        let terms = pod["spec"]["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"].arrayValue
        for term in terms {
            for field in term["matchFields"].arrayValue where field["key"].stringValue == "metadata.name" {
                return field["values"][0].stringValue ?? ""
            }
        }
        return ""
    }

    /// Whether a node should run the daemon: it passes selector and affinity, and every taint is tolerated.
    static func wants(_ set: JSON, node: JSON) -> Bool {
        let spec = set["spec"]["template"]["spec"]
        if let name = spec["nodeName"].stringValue, !name.isEmpty, name != node.name { return false }
        if let selector = spec["nodeSelector"].objectValue, !selector.allSatisfy({ node.labels[$0.key] == $0.value }) {
            return false
        }
        let required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        let affinity: JSON = ["spec": ["nodeAffinity": ["required": required]]]
        if required.exists && !VolumeMatch.allows(affinity, node: node) { return false }
        let all =
            spec["tolerations"].arrayValue
            + tolerations.map { key, effect in
                ["key": .string(key), "operator": "Exists", "effect": .string(effect)]
            }
        return node["spec"]["taints"].arrayValue.allSatisfy { taint in
            taint["effect"].stringValue == "PreferNoSchedule" || isOwnTrouble(taint)
                || all.contains { NodeHealth.tolerates($0, taint) }
        }
    }

    /// A node that is not ready keeps its daemons; new ones wait until it is.
    private static func isOwnTrouble(_ taint: JSON) -> Bool {
        [NodeHealth.notReady, NodeHealth.unreachable].contains(taint["key"].stringValue ?? "")
    }

    struct Changes {
        var create: [String] = []
        var delete: [JSON] = []
    }

    /// - Parameter hash: of the present template.
    static func changes(_ set: JSON, nodes: [JSON], pods: [JSON], hash: String, now: Timestamp) -> Changes {
        var changes = Changes()
        var byNode: [String: [JSON]] = [:]
        for pod in pods { byNode[node(of: pod), default: []].append(pod) }
        let wanted = nodes.filter { wants(set, node: $0) }.map(\.name)
        for (node, list) in byNode where !wanted.contains(node) {
            changes.delete += list.filter { !PodState($0).isTerminating }
        }
        for node in wanted {
            let list = (byNode[node] ?? []).filter { !PodState($0).isTerminating }
            changes.delete += list.filter { PodState($0).isFinished }
            let running = list.filter { !PodState($0).isFinished }.sorted {
                ($0.creationTimestamp ?? "") < ($1.creationTimestamp ?? "")
            }
            changes.delete += running.dropFirst()
            if running.isEmpty && (byNode[node] ?? []).isEmpty { changes.create.append(node) }
        }
        changes.delete += outdated(set, wanted: wanted, byNode, hash: hash, now: now)
        return changes
    }

    /// Pods of an old template, as many as may be unavailable at once.
    private static func outdated(
        _ set: JSON, wanted: [String], _ byNode: [String: [JSON]], hash: String, now: Timestamp
    ) -> [JSON] {
        let strategy = set["spec"]["updateStrategy"]
        guard strategy["type"].stringValue != "OnDelete" else { return [] }
        let limit = strategy["rollingUpdate"]["maxUnavailable"]
        var room = max(
            1, DeploymentSpec.amount(limit.exists ? limit : 1, of: Int64(wanted.count), roundUp: true))
        let minimum = set["spec"]["minReadySeconds"].integerValue ?? 0
        var old: [(pod: JSON, isAvailable: Bool)] = []
        for node in wanted {
            let running = (byNode[node] ?? []).filter { PodState($0).isActive }
            guard let pod = running.first else {
                room -= 1
                continue
            }
            let isAvailable = PodState(pod).isAvailable(minReadySeconds: minimum, now: now)
            let isNew = pod.labels[ControllerHistory.hashLabel].stringValue == hash
            if !isNew { old.append((pod, isAvailable)) } else if !isAvailable { room -= 1 }
        }
        // Those that do not serve anyway cost nothing.
        let unavailable = old.filter { !$0.isAvailable }.map(\.pod)
        room -= Int64(unavailable.count)
        return unavailable + old.filter(\.isAvailable).map(\.pod).prefix(Int(max(0, room)))
    }

    static func status(_ set: JSON, nodes: [JSON], pods: [JSON], hash: String, now: Timestamp) -> JSON {
        let minimum = set["spec"]["minReadySeconds"].integerValue ?? 0
        let wanted = Set(nodes.filter { wants(set, node: $0) }.map(\.name))
        let active = pods.filter { PodState($0).isActive }
        let current = active.filter { wanted.contains(node(of: $0)) }
        let available = current.count { PodState($0).isAvailable(minReadySeconds: minimum, now: now) }
        var status: JSON = [
            "currentNumberScheduled": .integer(Int64(Set(current.map(node)).count)),
            "desiredNumberScheduled": .integer(Int64(wanted.count)),
            "numberMisscheduled": .integer(Int64(active.count - current.count)),
            "numberReady": .integer(Int64(current.count { PodState($0).isReady })),
            "observedGeneration": .integer(set.generation),
        ]
        let updated = current.count { $0.labels[ControllerHistory.hashLabel].stringValue == hash }
        for (member, count) in [
            ("updatedNumberScheduled", updated), ("numberAvailable", available),
            ("numberUnavailable", wanted.count - available),
        ] where count > 0 { status[member] = .integer(Int64(count)) }
        for kept in ["collisionCount", "conditions"] where set["status"][kept].exists {
            status[kept] = set["status"][kept]
        }
        return status
    }
}

/// Runs one pod of each DaemonSet on every node that fits.
final class DaemonSetController: Controller {
    private let cluster: Cluster
    private let pods: PodManager
    private let history: ControllerHistory
    private let queue: ControllerQueue

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        pods = PodManager(cluster, component: "daemonset-controller", owner: .daemonSets)
        history = ControllerHistory(cluster, owner: .daemonSets)
        let box = Unowned<DaemonSetController>()
        queue = try cluster.queue("daemonset") { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.daemonSets.onObject { [queue] in queue.add(objectKey($0)) }
        cluster.pods.onObject { [queue] pod in
            if let owner = ControllerReference(controlling: pod), owner.kind == "DaemonSet" {
                queue.add("\(pod.namespace)/\(owner.name)")
            }
        }
        cluster.nodes.onEvent { [queue] event in
            if case .updated(let old, let new) = event, old.labels == new.labels, old["spec"] == new["spec"] { return }
            for set in cluster.daemonSets.list() { queue.add(objectKey(set), priority: .background) }
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func sync(_ key: String) throws -> Requeue {
        guard let set = cluster.daemonSets.get(key: key) else {
            pods.forget(key)
            return .done
        }
        if set.deletionTimestamp != nil { return .done }
        guard pods.isSettled(key) else { return .after(nanoseconds: 1_000_000_000) }
        let hash = try history.sync(set).hash
        let now = Timestamp.now()
        let owned = pods.owned(by: set)
        let nodes = cluster.nodes.list().sorted { $0.name < $1.name }
        let changes = DaemonPlan.changes(set, nodes: nodes, pods: owned, hash: hash, now: now)
        try pods.delete(changes.delete, of: set, key)
        let failure = pods.create(
            changes.create.map { DaemonPlan.pod(set, node: $0, hash: hash) }, for: set, key)
        let status = DaemonPlan.status(set, nodes: nodes, pods: owned, hash: hash, now: now)
        try cluster.writer.updateStatus(.daemonSets, set, status: status)
        if let failure { throw failure }
        return .done
    }
}
