import Objects

/// The condition DisruptionTarget, which says that a pod is about to go: what has not come true in time is taken back.
enum StaleDisruption {
    static let conditionType = "DisruptionTarget"
    /// Seconds after which a pod that is still not being deleted is no longer about to go.
    static let limit: Int64 = 120

    enum Verdict: Equatable {
        case none
        case pending(secondsLeft: Int64)
        case stale
    }

    static func judge(_ pod: JSON, now: Timestamp) -> Verdict {
        let condition = PodState(pod).condition(conditionType)
        guard condition["status"].stringValue == "True", PodState(pod).isActive else { return .none }
        guard let since = condition["lastTransitionTime"].timestamp else { return .stale }
        let left = since.seconds + limit - now.seconds
        return left > 0 ? .pending(secondsLeft: left) : .stale
    }

    /// The pod's status without the claim that it is about to go.
    static func cleared(_ pod: JSON, now: Timestamp) -> JSON {
        var status = pod["status"]
        status["conditions"].setCondition([
            "type": .string(conditionType), "status": "False", "observedGeneration": .integer(pod.generation),
            "lastTransitionTime": .string(now.formatted(fraction: .none)),
        ])
        return status
    }
}
