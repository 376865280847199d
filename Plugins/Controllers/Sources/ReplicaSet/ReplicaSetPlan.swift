import Objects

/// What one look at a ReplicaSet and its pods asks for.
struct ReplicaSetPlan {
    /// How many pods to create; at most `burst` in one go.
    var create = 0
    var delete: [JSON] = []
    /// When a ready pod will have been ready for minReadySeconds, in seconds from now; nil when none waits.
    var recheckAfter: Int64?

    static let burst = 500

    /// - Parameters:
    ///   - pods: the pods that the ReplicaSet owns, in any state.
    ///   - related: pods of sibling ReplicaSets, for ranking deletions.
    init(_ replicaSet: JSON, pods: [JSON], related: [JSON], now: Timestamp) {
        let wanted = Int(replicaSet["spec"]["replicas"].integerValue ?? 1)
        let active = pods.filter { PodState($0).isActive }
        if !replicaSet["metadata"]["deletionTimestamp"].exists {
            if active.count < wanted {
                create = min(wanted - active.count, Self.burst)
            } else if active.count > wanted {
                let surplus = min(active.count - wanted, Self.burst)
                delete = PodDeletionOrder.choose(surplus, of: active, related: related, now: now)
            }
        }
        recheckAfter = Self.recheck(replicaSet, active, now)
    }

    private static func recheck(_ replicaSet: JSON, _ active: [JSON], _ now: Timestamp) -> Int64? {
        let minimum = replicaSet["spec"]["minReadySeconds"].integerValue ?? 0
        guard minimum > 0 else { return nil }
        return active.compactMap { pod -> Int64? in
            guard let since = PodState(pod).readySince else { return nil }
            let left = since.seconds + minimum - now.seconds
            return left > 0 ? left : nil
        }.min()
    }

    /// The status that the pods amount to; `failure` tells of a create or delete that failed just now.
    /// - Parameter countsTerminating: whether pods that are on their way out are shown, which ReplicationControllers do not.
    static func status(
        _ replicaSet: JSON, pods: [JSON], failure: (reason: String, message: String)?, countsTerminating: Bool = true,
        now: Timestamp
    ) -> JSON {
        let active = pods.filter { PodState($0).isActive }
        let minimum = replicaSet["spec"]["minReadySeconds"].integerValue ?? 0
        let template = replicaSet["spec"]["template"]["metadata"]["labels"].objectValue ?? [:]
        let labelled = active.count { pod in
            template.allSatisfy { pod["metadata"]["labels"][$0.key] == $0.value }
        }
        let ready = active.count { PodState($0).isReady }
        let available = active.count { PodState($0).isAvailable(minReadySeconds: minimum, now: now) }
        var status: JSON = ["replicas": .integer(Int64(active.count))]
        if labelled > 0 { status["fullyLabeledReplicas"] = .integer(Int64(labelled)) }
        if ready > 0 { status["readyReplicas"] = .integer(Int64(ready)) }
        if available > 0 { status["availableReplicas"] = .integer(Int64(available)) }
        if countsTerminating {
            let terminating = pods.count { PodState($0).isTerminating && !PodState($0).isFinished }
            status["terminatingReplicas"] = .integer(Int64(terminating))
        }
        if let generation = replicaSet["metadata"]["generation"].integerValue {
            status["observedGeneration"] = .integer(generation)
        }
        var conditions = replicaSet["status"]["conditions"]
        if let failure {
            if conditions.condition("ReplicaFailure")["reason"].stringValue != failure.reason {
                conditions.setCondition([
                    "type": "ReplicaFailure", "status": "True", "reason": .string(failure.reason),
                    "message": .string(failure.message), "lastTransitionTime": .string(now.formatted(fraction: .none)),
                ])
            }
        } else {
            conditions.removeCondition("ReplicaFailure")
        }
        if !conditions.arrayValue.isEmpty { status["conditions"] = conditions }
        return status
    }

    /// Sizes of the batches in which `count` pods are created: 1, 2, 4, …, so that a create that always fails is not
    /// tried for all of them.
    static func batches(of count: Int) -> [Int] {
        var sizes: [Int] = []
        var left = count
        var size = 1
        while left > 0 {
            sizes.append(min(size, left))
            left -= size
            size *= 2
        }
        return sizes
    }

    /// The pod that a controller makes from its template.
    static func pod(from template: JSON, owner: ControllerReference, namespace: String) -> JSON {
        var metadata: JSON = ["generateName": .string(owner.name + "-"), "namespace": .string(namespace)]
        for member in ["labels", "annotations", "finalizers"] where template["metadata"][member].exists {
            metadata[member] = template["metadata"][member]
        }
        metadata["ownerReferences"] = .array([owner.json])
        return ["apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]]
    }
}
