import Objects

/// NodeMetrics and PodMetrics of metrics.k8s.io, as clients read them.
enum UsageObjects {
    static let group = "metrics.k8s.io"

    static func node(_ node: JSON, _ usage: UsageHistory.Usage, now: Timestamp) -> JSON {
        object("NodeMetrics", of: node, usage, now, [("usage", amounts(usage))])
    }

    /// Nil for a pod of which no container was measured.
    static func pod(
        _ pod: JSON, usage: (_ container: UsageSummary.Container) -> UsageHistory.Usage?, now: Timestamp
    ) -> JSON? {
        let sidecars = pod["spec"]["initContainers"].arrayValue.filter { $0["restartPolicy"].stringValue == "Always" }
        var measured: [UsageHistory.Usage] = []
        let containers = (pod["spec"]["containers"].arrayValue + sidecars).compactMap { container -> JSON? in
            let name = container["name"].stringValue ?? ""
            guard let usage = usage(.init(podUID: pod.uid, name: name)) else { return nil }
            measured.append(usage)
            return ["name": .string(name), "usage": amounts(usage)]
        }
        guard var whole = measured.first else { return nil }
        whole.windowNanoseconds = measured.map(\.windowNanoseconds).max() ?? whole.windowNanoseconds
        return object("PodMetrics", of: pod, whole, now, [("containers", .array(containers))])
    }

    private static func object(
        _ kind: String, of original: JSON, _ usage: UsageHistory.Usage, _ now: Timestamp, _ members: [(String, JSON)]
    ) -> JSON {
        var metadata: JSON = ["name": .string(original.name)]
        if !original.namespace.isEmpty { metadata["namespace"] = .string(original.namespace) }
        metadata["creationTimestamp"] = .string(now.formatted(fraction: .none))
        if original.labels.exists { metadata["labels"] = original.labels }
        var object: JSON = [
            "apiVersion": .string("\(group)/v1beta1"), "kind": .string(kind), "metadata": metadata,
            "timestamp": .string(usage.time.formatted(fraction: .none)),
            // Milliseconds are as exact as it is.
            "window": .string(
                GoDuration(nanoseconds: usage.windowNanoseconds / 1_000_000 * 1_000_000).description),
        ]
        for (name, value) in members { object[name] = value }
        return object
    }

    private static func amounts(_ usage: UsageHistory.Usage) -> JSON {
        [
            "cpu": .string(Quantity(nanoValue: Int128(usage.nanocores)).description),
            "memory": .string(Quantity(usage.memoryBytes, format: .binary).description),
        ]
    }
}
