import Objects

/// What becomes of an eviction, by the pod and the disruption budgets that cover it. Pure.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/.
enum Eviction {
    enum Decision: Equatable {
        /// No budget counts. `isPinned`: only as long as the pod is what it was; else it is decided anew.
        case delete(isPinned: Bool)
        /// The pod is not ready and does not count for this budget: it goes, as long as it stays so.
        case deleteUnready(budget: String)
        /// One disruption of this budget is to be taken first.
        case take(budget: String)
    }

    /// Entries of `status.disruptedPods` that have not been confirmed, at most.
    static let disruptedPodLimit = 2000

    /// - Throws: 500 when several budgets cover the pod: evictions do not support that.
    static func decide(_ pod: JSON, budgets: [JSON]) throws(APIStatus) -> Decision {
        let isOver = isOver(pod)
        if isOver || pod["status"]["phase"].stringValue == "Pending" { return .delete(isPinned: !isOver) }
        let covering = budgets.filter { budget in
            // As in Kubernetes, a selector that says nothing valid covers no pod; validation lets none be stored.
            guard let selector = try? LabelSelector(object: budget["spec"]["selector"]) else { return false }
            return selector.matches(labels: pod.labels)
        }
        guard covering.count <= 1 else {
            throw APIStatus(
                code: 500, reason: "",
                message:
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            )
        }
        guard let budget = covering.first else { return .delete(isPinned: false) }
        if !isReady(pod) {
            let healthy = budget["status"]["currentHealthy"].integerValue ?? 0
            let desired = budget["status"]["desiredHealthy"].integerValue ?? 0
            let isAlwaysAllowed = budget["spec"]["unhealthyPodEvictionPolicy"].stringValue == "AlwaysAllow"
            if isAlwaysAllowed || (healthy >= desired && desired > 0) { return .deleteUnready(budget: budget.name) }
        }
        return .take(budget: budget.name)
    }

    /// Whether the pod has ended or goes already.
    static func isOver(_ pod: JSON) -> Bool {
        let phase = pod["status"]["phase"].stringValue ?? ""
        return phase == "Succeeded" || phase == "Failed" || pod.deletionTimestamp != nil
    }

    /// The pod with the condition that says that it is being evicted.
    /// - Throws: 409 when it is not the one that the options mean.
    static func mark(
        _ pod: JSON, _ options: DeleteOptions, _ resource: Resource, now: Timestamp
    ) throws(APIStatus) -> JSON {
        guard options.resourceVersion.map({ $0 == pod.resourceVersion }) ?? true,
            options.uid.map({ $0 == pod.uid }) ?? true
        else { throw .conflict(resource, pod.name) }
        var marked = pod
        var conditions = pod["status"]["conditions"].arrayValue
        let present = conditions.firstIndex { $0["type"].stringValue == "DisruptionTarget" }
        var condition: JSON = [
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastTransitionTime": .string(now.formatted(fraction: .none)),
            "observedGeneration": .integer(pod.generation),
        ]
        if let present {
            if conditions[present]["status"].stringValue == "True" {
                condition["lastTransitionTime"] = conditions[present]["lastTransitionTime"]
            }
            conditions[present] = condition
        } else {
            conditions.append(condition)
        }
        marked["status"]["conditions"] = .array(conditions)
        return marked
    }

    private static func isReady(_ pod: JSON) -> Bool {
        pod["status"]["conditions"].arrayValue.contains {
            $0["type"].stringValue == "Ready" && $0["status"].stringValue == "True"
        }
    }

    /// The budget with one disruption less, for that pod.
    /// - Throws: 429 when it allows none, or none yet; 403 when its status cannot be true.
    static func take(from budget: JSON, for pod: String, now: Timestamp) throws(APIStatus) -> JSON {
        let status = budget["status"]
        guard status["observedGeneration"].integerValue ?? 0 >= budget.generation else {
            throw unsettled(budget.name)
        }
        let allowed = status["disruptionsAllowed"].integerValue ?? 0
        guard allowed >= 0 else { throw forbidden(budget, "pdb disruptions allowed is negative") }
        guard status["disruptedPods"].objectValue?.count ?? 0 <= disruptedPodLimit else {
            throw forbidden(
                budget, "DisruptedPods map too big - too many evictions not confirmed by PDB controller")
        }
        guard allowed > 0 else {
            throw refusal(
                "The disruption budget \(budget.name) needs \(status["desiredHealthy"].integerValue ?? 0) healthy pods "
                    + "and has \(status["currentHealthy"].integerValue ?? 0) currently")
        }
        var object = budget
        object["status"]["disruptionsAllowed"] = .integer(allowed - 1)
        object["status"]["disruptedPods"][pod] = .string(now.formatted())
        if allowed == 1 { markExhausted(&object, now) }
        return object
    }

    private static func markExhausted(_ budget: inout JSON, _ now: Timestamp) {
        var conditions = budget["status"]["conditions"].arrayValue
        let present = conditions.firstIndex { $0["type"].stringValue == "DisruptionAllowed" }
        guard present.map({ conditions[$0]["status"].stringValue != "False" }) ?? true else { return }
        let condition: JSON = [
            "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
            "observedGeneration": .integer(budget.generation), "lastTransitionTime": .string(now.formatted()),
        ]
        if let present { conditions[present] = condition } else { conditions.append(condition) }
        budget["status"]["conditions"] = .array(conditions)
    }

    private static func forbidden(_ budget: JSON, _ why: String) -> APIStatus {
        var status = APIStatus(
            code: 403, reason: "Forbidden",
            message: "poddisruptionbudget.policy \"\(budget.name)\" is forbidden: \(why)")
        status.name = budget.name
        status.group = "policy"
        status.kind = "poddisruptionbudget"
        return status
    }

    /// The budget's controller has not seen what there is now.
    static func unsettled(_ budget: String) -> APIStatus {
        refusal("The disruption budget \(budget) is still being processed by the server.", retryAfterSeconds: 10)
    }

    private static func refusal(_ cause: String, retryAfterSeconds: Int = 0) -> APIStatus {
        var status = APIStatus.tooManyRequests(
            "Cannot evict pod as it would violate the pod's disruption budget.", retryAfterSeconds: retryAfterSeconds)
        status.causes = [.init(reason: "DisruptionBudget", message: cause, field: "")]
        return status
    }
}
