import Objects

/// What the silence of a node says of it, which conditions follow, and which pods must leave a node for its taints.
enum NodeHealth {
    /// Seconds without a heartbeat after which nothing is known of a node.
    static let gracePeriod: Int64 = 40
    static let notReady = "node.kubernetes.io/not-ready"
    static let unreachable = "node.kubernetes.io/unreachable"

    /// When a node is next due for judgement, or that it is silent.
    enum Verdict: Equatable {
        case alive(secondsLeft: Int64)
        case silent
    }

    /// - Parameters:
    ///   - lastSeen: when this process last saw the node's heartbeat change; nil for a node that never reported: it was
    ///     made by hand, and nobody promised to report for it.
    ///   - now: on the same clock, in seconds.
    static func judge(lastSeen: Int64?, now: Int64) -> Verdict {
        guard let lastSeen else { return .alive(secondsLeft: gracePeriod) }
        let left = lastSeen + gracePeriod - now
        return left > 0 ? .alive(secondsLeft: left) : .silent
    }

    /// What changes with each heartbeat: the Lease's time, or the time in the Ready condition; nil when there is neither.
    static func heartbeat(_ node: JSON, lease: JSON?) -> String? {
        lease?["spec"]["renewTime"].stringValue
            ?? node["status"]["conditions"].condition("Ready")["lastHeartbeatTime"].stringValue
    }

    /// The conditions of a node that fell silent; nil when they say so already.
    static func unknownConditions(_ node: JSON, now: Timestamp) -> JSON? {
        let old = node["status"]["conditions"]
        if old.condition("Ready")["status"].stringValue == "Unknown" { return nil }
        var conditions = old
        for type in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
            let current = old.condition(type)
            if !current.exists && type != "Ready" { continue }
            conditions.setCondition([
                "type": .string(type), "status": "Unknown", "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastHeartbeatTime": current["lastHeartbeatTime"].exists
                    ? current["lastHeartbeatTime"] : .string(now.formatted(fraction: .none)),
                "lastTransitionTime": .string(now.formatted(fraction: .none)),
            ])
        }
        return conditions
    }

    /// The patch of a pod's status that says that it does not serve any more as far as is known.
    static func unready(_ pod: JSON, now: Timestamp) -> JSON {
        let condition: JSON = [
            "type": "Ready", "status": "False", "lastTransitionTime": .string(now.formatted(fraction: .none)),
        ]
        return ["metadata": ["uid": .string(pod.uid)], "status": ["conditions": .array([condition])]]
    }

    /// In how many seconds a pod must leave a node with these taints; nil = it may stay, 0 = now.
    static func eviction(_ pod: JSON, taints: [JSON], now: Timestamp) -> Int64? {
        var soonest: Int64?
        for taint in taints where taint["effect"].stringValue == "NoExecute" {
            guard let left = left(pod, taint, now) else { continue }
            soonest = min(soonest ?? .max, left)
        }
        return soonest
    }

    /// Nil when a toleration without end covers the taint.
    private static func left(_ pod: JSON, _ taint: JSON, _ now: Timestamp) -> Int64? {
        let matching = pod["spec"]["tolerations"].arrayValue.filter { TolerationMatch.covers($0, taint) }
        if matching.isEmpty { return 0 }
        let limits = matching.compactMap { $0["tolerationSeconds"].integerValue }
        guard let limit = limits.min() else { return nil }
        // A pod that came to a node that had the taint already has its full time.
        let arrived = PodState(pod).condition("PodScheduled")["lastTransitionTime"].timestamp
        let since = max(taint["timeAdded"].timestamp ?? now, arrived ?? Timestamp(seconds: 0))
        return max(0, since.seconds + limit - now.seconds)
    }
}
