import Objects

/// Which nodes run a daemon's pod.
enum DaemonPlan {
    /// Tolerations that daemons have for the troubles that other pods flee from.
    static let tolerations: [(key: String, effect: String)] = [
        ("node.kubernetes.io/not-ready", "NoExecute"), ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"), ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"), ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ]

    /// On the node's own network a daemon may be what sets the network up.
    static func tolerations(_ set: JSON) -> [(key: String, effect: String)] {
        let usesHost = set["spec"]["template"]["spec"]["hostNetwork"].boolValue == true
        return tolerations + (usesHost ? [("node.kubernetes.io/network-unavailable", "NoSchedule")] : [])
    }

    /// The pod for one node: bound to it by affinity, as Kubernetes does, so that the scheduler keeps the books.
    static func pod(_ set: JSON, node: String, label: String) -> JSON {
        let owner = ControllerReference(.daemonSets, set)
        var pod = ReplicaSetPlan.pod(from: set["spec"]["template"], owner: owner, namespace: set.namespace)
        pod["metadata"]["labels"][ControllerHistory.podLabel] = .string(label)
        var tolerations = pod["spec"]["tolerations"].arrayValue
        for (key, effect) in Self.tolerations(set) {
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

    /// What a node is to a daemon.
    enum Fit {
        /// It runs the daemon.
        case runs
        /// A pod that is there stays, and none is made: the node has a taint that keeps new pods away.
        case keeps
        case none
    }

    /// A node fits when it passes selector and affinity, and every taint is tolerated.
    static func fit(_ set: JSON, node: JSON) -> Fit {
        let spec = set["spec"]["template"]["spec"]
        if let name = spec["nodeName"].stringValue, !name.isEmpty, name != node.name { return .none }
        guard NodeSelector.accepts(podSpec: spec, node: node) else { return .none }
        let all =
            spec["tolerations"].arrayValue
            + tolerations(set).map { key, effect in
                ["key": .string(key), "operator": "Exists", "effect": .string(effect)]
            }
        let repelling = node["spec"]["taints"].arrayValue.filter { taint in
            taint["effect"].stringValue != "PreferNoSchedule" && !all.contains { TolerationMatch.covers($0, taint) }
        }
        if repelling.isEmpty { return .runs }
        return repelling.contains { $0["effect"].stringValue == "NoExecute" } ? .none : .keeps
    }

    static func wants(_ set: JSON, node: JSON) -> Bool { fit(set, node: node) == .runs }

    struct Changes {
        var create: [String] = []
        var delete: [JSON] = []
        /// Of those to delete, pods that failed.
        var failed: [JSON] = []
    }

    /// - Parameter labels: what pods of the present template may be labelled with.
    static func changes(_ set: JSON, nodes: [JSON], pods: [JSON], labels: Set<String>, now: Timestamp) -> Changes {
        var changes = Changes()
        var byNode: [String: [JSON]] = [:]
        for pod in pods { byNode[node(of: pod), default: []].append(pod) }
        let fits = nodes.map { ($0.name, fit(set, node: $0)) }
        let wanted = fits.filter { $0.1 == .runs }.map(\.0)
        let kept = Set(fits.filter { $0.1 != .none }.map(\.0))
        for (node, list) in byNode where !kept.contains(node) {
            changes.delete += list.filter { !PodState($0).isTerminating }
        }
        let surges = DaemonRollout.surge(set, nodes: wanted.count) > 0
        for (node, fit) in fits where fit != .none {
            let list = (byNode[node] ?? []).filter { !PodState($0).isTerminating }
            let ended = list.filter { PodState($0).isFinished }
            changes.failed += ended.filter { PodState($0).phase == "Failed" }
            changes.delete += ended
            let running = list.filter { !PodState($0).isFinished }.sorted {
                ($0.creationTimestamp ?? "") < ($1.creationTimestamp ?? "")
            }
            // While a new pod takes over from an old one there are two.
            let groups = [true, false].map { isNew in running.filter { isCurrent($0, labels) == isNew } }
            for group in surges ? groups : [running] { changes.delete += group.dropFirst() }
            if fit == .runs, (byNode[node] ?? []).isEmpty { changes.create.append(node) }
        }
        let rollout = DaemonRollout(set, wanted: wanted, byNode, labels: labels, now: now)
        changes.delete += rollout.delete
        changes.create += rollout.create
        return changes
    }

    static func isCurrent(_ pod: JSON, _ labels: Set<String>) -> Bool {
        labels.contains(pod.labels[ControllerHistory.podLabel].stringValue ?? "")
    }

    static func status(_ set: JSON, nodes: [JSON], pods: [JSON], labels: Set<String>, now: Timestamp) -> JSON {
        let minimum = set["spec"]["minReadySeconds"].integerValue ?? 0
        let wanted = Set(nodes.filter { wants(set, node: $0) }.map(\.name))
        let active = pods.filter { PodState($0).isActive }
        let current = active.filter { wanted.contains(node(of: $0)) }
        func count(where condition: (JSON) -> Bool) -> Int { Set(current.filter(condition).map(node)).count }
        let available = count { PodState($0).isAvailable(minReadySeconds: minimum, now: now) }
        var status: JSON = [
            "currentNumberScheduled": .integer(Int64(count { _ in true })),
            "desiredNumberScheduled": .integer(Int64(wanted.count)),
            "numberMisscheduled": .integer(Int64(Set(active.map(node)).subtracting(wanted).count)),
            "numberReady": .integer(Int64(count { PodState($0).isReady })),
            "observedGeneration": .integer(set.generation),
        ]
        for (member, number) in [
            ("updatedNumberScheduled", count { isCurrent($0, labels) }), ("numberAvailable", available),
            ("numberUnavailable", wanted.count - available),
        ] where number > 0 { status[member] = .integer(Int64(number)) }
        for kept in ["collisionCount", "conditions"] where set["status"][kept].exists {
            status[kept] = set["status"][kept]
        }
        return status
    }
}

extension DaemonPlan {
    /// When a ready pod will have been ready for minReadySeconds, in seconds; nil when none waits.
    static func recheck(_ set: JSON, pods: [JSON], now: Timestamp) -> Int64? {
        let minimum = set["spec"]["minReadySeconds"].integerValue ?? 0
        guard minimum > 0 else { return nil }
        return pods.compactMap { pod -> Int64? in
            guard let since = PodState(pod).readySince else { return nil }
            let left = since.seconds + minimum - now.seconds
            return left > 0 ? left : nil
        }.min()
    }
}
