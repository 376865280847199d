import Objects

/// What Kubernetes' scheduler does with pods that say nothing of it: those of one service or owner are spread over nodes and zones
/// as far as that goes.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/#internal-default-constraints.
enum DefaultSpread {
    static let hostLabel = "kubernetes.io/hostname"
    static let zoneLabel = "topology.kubernetes.io/zone"

    /// The pod with the constraints; as it is when it has some itself, or belongs to nobody.
    /// - Parameters:
    ///   - services: those of the pod's namespace.
    ///   - owner: its controller, if that is one whose pods are alike.
    ///   - keys: the labels that nodes are told apart by, of those above.
    static func applied(to pod: JSON, services: [JSON], owner: JSON?, keys: [String]) -> JSON {
        guard pod["spec"]["topologySpreadConstraints"].isEmpty, !keys.isEmpty,
            let selector = selector(of: pod, services: services, owner: owner)
        else { return pod }
        var pod = pod
        pod["spec"]["topologySpreadConstraints"] = .array(
            keys.map { key in
                [
                    "topologyKey": .string(key), "maxSkew": key == hostLabel ? 3 : 5,
                    "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector,
                ]
            })
        return pod
    }

    /// What all pods of the same services and owner have in common; nil when there is nothing.
    static func selector(of pod: JSON, services: [JSON], owner: JSON?) -> JSON? {
        var labels: JSON = [:]
        var expressions: [JSON] = []
        for service in services {
            guard let wanted = service["spec"]["selector"].objectValue, !wanted.isEmpty,
                wanted.allSatisfy({ pod.labels[$0.key] == $0.value })
            else { continue }
            for (key, value) in wanted { labels[key] = value }
        }
        if let owner {
            let wanted = owner["spec"]["selector"]
            let isPlain = owner.kind == ResourceType.replicationControllers.kind
            for (key, value) in (isPlain ? wanted : wanted["matchLabels"]).objectValue ?? [:] { labels[key] = value }
            if !isPlain { expressions = wanted["matchExpressions"].arrayValue }
        }
        if labels.isEmpty, expressions.isEmpty { return nil }
        var selector: JSON = ["matchLabels": labels]
        if !expressions.isEmpty { selector["matchExpressions"] = .array(expressions) }
        return selector
    }
}
