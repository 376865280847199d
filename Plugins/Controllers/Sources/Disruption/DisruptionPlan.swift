import Objects

/// What a PodDisruptionBudget says of its pods: how many there are, how many must stay, and so how many may be evicted. Pure.
/// See https://kubernetes.io/docs/concepts/workloads/pods/disruptions/.
struct DisruptionPlan {
    /// Seconds in which a pod whose eviction was granted must be on its way; after that it counts again.
    static let evictionTime: Int64 = 120
    static let conditionType = "DisruptionAllowed"

    /// How many pods there should be, and how many of them must stay healthy.
    struct Expectation: Equatable {
        var pods: Int64
        var healthy: Int64
    }

    let status: JSON
    /// Seconds after which a granted eviction runs out; nil when none is open.
    let recheckAfter: Int64?
    /// Pods whose eviction was granted and that nobody deleted in time.
    let overdue: [JSON]

    /// - Parameters:
    ///   - pods: those that the budget selects.
    ///   - scale: what the controllers of the pods are to run; asked only where the budget depends on it.
    static func expectation(
        of budget: JSON, pods: [JSON], scale: () throws -> Int64
    ) throws -> Expectation {
        if let maximum = IntOrString(budget["spec"]["maxUnavailable"]) {
            let total = try scale()
            let unavailable = try maximum.scaled(total: total, roundingUp: true)
            return Expectation(pods: total, healthy: max(0, total - unavailable))
        }
        switch IntOrString(budget["spec"]["minAvailable"]) {
        case .integer(let minimum): return Expectation(pods: Int64(pods.count), healthy: minimum)
        case .string(let text):
            let total = try scale()
            return Expectation(
                pods: total, healthy: try IntOrString.string(text).scaled(total: total, roundingUp: true))
        case nil: return Expectation(pods: 0, healthy: 0)
        }
    }

    init(_ budget: JSON, pods: [JSON], expectation: Expectation, now: Timestamp) {
        let granted = budget["status"]["disruptedPods"]
        var open: JSONObject = [:]
        var overdue: [JSON] = []
        var recheckAfter: Int64?
        var healthy: Int64 = 0
        for pod in pods.sorted(by: { $0.name < $1.name }) where pod.deletionTimestamp == nil {
            if let since = granted[pod.name].timestamp {
                let left = since.seconds + Self.evictionTime - now.seconds
                if left > 0 {
                    open[pod.name] = granted[pod.name]
                    recheckAfter = min(recheckAfter ?? left, left)
                    continue
                }
                overdue.append(pod)
            }
            if PodState(pod).isReady { healthy += 1 }
        }
        let allowed = expectation.pods > 0 ? max(0, healthy - expectation.healthy) : 0
        var status: JSON = [
            "conditions": budget["status"]["conditions"], "currentHealthy": .integer(healthy),
            "desiredHealthy": .integer(expectation.healthy), "disruptionsAllowed": .integer(allowed),
            "expectedPods": .integer(expectation.pods), "observedGeneration": .integer(budget.generation),
        ]
        if !open.isEmpty { status["disruptedPods"] = .object(open) }
        status["conditions"].setCondition(
            Self.condition(budget, isAllowed: allowed > 0, allowed > 0 ? "SufficientPods" : "InsufficientPods", "", now)
        )
        self.status = status
        self.recheckAfter = recheckAfter
        self.overdue = overdue
    }

    /// The status of a budget whose pods could not be counted: it allows nothing until they are.
    static func failed(_ budget: JSON, _ reason: String, now: Timestamp) -> JSON {
        var status = budget["status"]
        status["disruptionsAllowed"] = 0
        for count in ["currentHealthy", "desiredHealthy", "expectedPods"] where !status[count].exists {
            status[count] = 0
        }
        status["conditions"].setCondition(condition(budget, isAllowed: false, "SyncFailed", reason, now))
        return status
    }

    private static func condition(
        _ budget: JSON, isAllowed: Bool, _ reason: String, _ message: String, _ now: Timestamp
    ) -> JSON {
        [
            "type": .string(conditionType), "status": isAllowed ? "True" : "False", "reason": .string(reason),
            "message": .string(message), "observedGeneration": .integer(budget.generation),
            "lastTransitionTime": .string(now.formatted(fraction: .none)),
        ]
    }
}
