import Objects

/// A pod that nobody is left to end, and why.
/// See https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection.
enum ForsakenPod: Equatable {
    /// It is on a node that does not exist.
    case nodeVanished
    /// It is to end on a node that does not answer and that somebody has declared out of service.
    case nodeOutOfService
    /// It is to end and has never had a node.
    case neverScheduled

    static let outOfService = "node.kubernetes.io/out-of-service"

    /// - Parameter node: the one that the pod names; nil when there is none.
    init?(_ pod: JSON, node: JSON?) {
        let state = PodState(pod)
        if state.nodeName.isEmpty {
            guard state.isTerminating else { return nil }
            self = .neverScheduled
        } else if let node {
            let isReady = node["status"]["conditions"].condition("Ready")["status"].stringValue == "True"
            guard state.isTerminating, !isReady,
                node["spec"]["taints"].arrayValue.contains(where: { $0["key"].stringValue == Self.outOfService })
            else { return nil }
            self = .nodeOutOfService
        } else {
            self = .nodeVanished
        }
    }

    /// What the condition DisruptionTarget of the pod says; nil where the pod was to end anyway.
    private var message: String? {
        switch self {
        case .nodeVanished: "PodGC: node no longer exists"
        case .nodeOutOfService: "PodGC: node is out-of-service"
        case .neverScheduled: nil
        }
    }

    /// The strategic merge patch of the pod's status that ends it; nil when it has ended.
    func patch(of pod: JSON, now: Timestamp) -> JSON? {
        if PodState(pod).isFinished { return nil }
        var status: JSON = ["phase": "Failed"]
        if let message {
            status["conditions"] = [
                [
                    "type": .string(StaleDisruption.conditionType), "status": "True", "reason": "DeletionByPodGC",
                    "message": .string(message), "lastTransitionTime": .string(now.formatted(fraction: .none)),
                ]
            ]
        }
        return ["metadata": ["uid": .string(pod.uid)], "status": status]
    }
}
