import Objects

/// The size that an autoscaler wants its target to have, with the conditions that say why. Pure.
/// See https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/.
struct AutoscalerPlan {
    /// What one metric of the autoscaler came to.
    enum Outcome {
        /// - Parameter status: the member of `status.currentMetrics`.
        case proposal(replicas: Int64, name: String, status: JSON)
        case failure(reason: String, message: String)
    }

    private(set) var desired: Int64
    /// Why the size changes, for the event.
    private(set) var reason = ""
    private(set) var conditions: JSON
    private(set) var metrics: [JSON] = []
    /// Why no size could be found; nil when one was.
    private(set) var failure: String?

    private let autoscaler: JSON
    private let current: Int64
    private let now: Timestamp

    /// Whether the size is not decided by its bounds alone, so that metrics have to be asked for.
    static func needsMetrics(_ autoscaler: JSON, current: Int64) -> Bool {
        let (minimum, maximum) = bounds(autoscaler)
        return !(current == 0 && minimum != 0) && current >= minimum && current <= maximum
    }

    private static func bounds(_ autoscaler: JSON) -> (minimum: Int64, maximum: Int64) {
        (
            autoscaler["spec"]["minReplicas"].integerValue ?? 1,
            autoscaler["spec"]["maxReplicas"].integerValue ?? 1
        )
    }

    /// - Parameters:
    ///   - current: the size that the target is to have now.
    ///   - outcomes: of the autoscaler's metrics, in their order; looked at where `needsMetrics` says so.
    init(
        _ autoscaler: JSON, current: Int64, outcomes: [Outcome], memory: inout AutoscalerMemory, now: Timestamp
    ) {
        self.autoscaler = autoscaler
        self.current = current
        self.now = now
        desired = current
        conditions = autoscaler["status"]["conditions"]
        memory.begin(current, now: now)
        let (minimum, maximum) = Self.bounds(autoscaler)
        if current == 0 && minimum != 0 {
            set(
                "ScalingActive", "False", "ScalingDisabled",
                "scaling is disabled since the replica count of the target is zero")
        } else if current > maximum {
            desired = maximum
            reason = "Current number of replicas above Spec.MaxReplicas"
        } else if current < minimum {
            desired = minimum
            reason = "Current number of replicas below Spec.MinReplicas"
        } else {
            follow(outcomes, &memory)
        }
    }

    private mutating func follow(_ outcomes: [Outcome], _ memory: inout AutoscalerMemory) {
        var best: (replicas: Int64, name: String)?
        var failures: [(reason: String, message: String)] = []
        for outcome in outcomes {
            switch outcome {
            case .proposal(let replicas, let name, let status):
                metrics.append(status)
                if replicas > best?.replicas ?? -1 { best = (replicas, name) }
            case .failure(let reason, let message): failures.append((reason, message))
            }
        }
        // Less than now is not followed as long as a metric that might ask for more is not known.
        guard let best, failures.isEmpty || best.replicas >= current else {
            let first = failures.first ?? ("InvalidMetricSourceType", "the autoscaler names no metric")
            set("ScalingActive", "False", first.reason, first.message)
            failure =
                "invalid metrics (\(failures.count) invalid out of \(outcomes.count)), first error is: \(first.message)"
            return
        }
        set(
            "ScalingActive", "True", "ValidMetricFound",
            "the HPA was able to successfully calculate a replica count from \(best.name)")
        desired =
            autoscaler["spec"]["behavior"].exists
            ? bounded(best.replicas, by: &memory) : bounded(best.replicas, &memory)
        if desired > current { reason = "\(best.name) above target" }
        if desired < current { reason = "All metrics below target" }
    }

    // MARK: Bounds

    /// Where the autoscaler says nothing of its behavior: down slowly, up to twice the size.
    private mutating func bounded(_ proposed: Int64, _ memory: inout AutoscalerMemory) -> Int64 {
        let steady = max(proposed, memory.proposals(within: 300, now: now).max() ?? proposed)
        memory.propose(proposed, now: now)
        noteStability(steady == proposed, isUp: false)
        let (minimum, maximum) = Self.bounds(autoscaler)
        let limit = max(2 * current, 4)
        if steady < minimum { return limited(to: minimum, .tooFew) }
        if steady > min(maximum, limit) {
            return limited(to: min(maximum, limit), maximum > limit ? .increase : .tooMany)
        }
        return limited(to: steady, nil)
    }

    private mutating func bounded(_ proposed: Int64, by memory: inout AutoscalerMemory) -> Int64 {
        let (up, down) = (ScalingRules.up(autoscaler), ScalingRules.down(autoscaler))
        let lowest = min(proposed, memory.proposals(within: up.window, now: now).min() ?? proposed)
        let highest = max(proposed, memory.proposals(within: down.window, now: now).max() ?? proposed)
        memory.propose(proposed, now: now)
        let steady = min(max(current, lowest), highest)
        noteStability(steady == proposed, isUp: proposed >= current)
        let (minimum, maximum) = Self.bounds(autoscaler)
        if steady > current {
            let limit = up.limit(current: current, memory, now: now)
            if steady > min(maximum, limit) {
                return limited(to: min(maximum, limit), maximum > limit ? .increase : .tooMany)
            }
        } else if steady < current {
            let limit = down.limit(current: current, memory, now: now)
            if steady < max(minimum, limit) {
                return limited(to: max(minimum, limit), minimum < limit ? .decrease : .tooFew)
            }
        }
        return limited(to: steady, nil)
    }

    private mutating func noteStability(_ isSteady: Bool, isUp: Bool) {
        if isSteady {
            set("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size")
        } else if isUp {
            set(
                "AbleToScale", "True", "ScaleUpStabilized",
                "recent recommendations were lower than current one, applying the lowest recent recommendation")
        } else {
            set(
                "AbleToScale", "True", "ScaleDownStabilized",
                "recent recommendations were higher than current one, applying the highest recent recommendation")
        }
    }

    private enum Limit {
        case tooFew, tooMany, increase, decrease

        var words: (reason: String, message: String) {
            switch self {
            case .tooFew: ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
            case .tooMany: ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
            case .increase:
                ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
            case .decrease:
                ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
            }
        }
    }

    private mutating func limited(to size: Int64, _ limit: Limit?) -> Int64 {
        if let (reason, message) = limit?.words {
            set("ScalingLimited", "True", reason, message)
        } else {
            set(
                "ScalingLimited", "False", "DesiredWithinRange",
                "the desired count is within the acceptable range")
        }
        return size
    }

    // MARK: Status

    mutating func set(_ type: String, _ status: String, _ reason: String, _ message: String) {
        conditions.setCondition([
            "type": .string(type), "status": .string(status), "reason": .string(reason), "message": .string(message),
            "lastTransitionTime": .string(now.formatted(fraction: .none)),
        ])
    }

    /// - Parameter isRescaled: the target was given its new size just now.
    func status(isRescaled: Bool) -> JSON {
        let old = autoscaler["status"]
        var status: JSON = [
            "currentReplicas": .integer(current), "desiredReplicas": .integer(desired), "conditions": conditions,
        ]
        let shown = metrics.isEmpty && failure == nil ? old["currentMetrics"] : .array(metrics)
        if shown.exists { status["currentMetrics"] = shown }
        if isRescaled {
            status["lastScaleTime"] = .string(now.formatted(fraction: .none))
        } else if old["lastScaleTime"].exists {
            status["lastScaleTime"] = old["lastScaleTime"]
        }
        if old["observedGeneration"].exists || autoscaler.generation > 0 {
            status["observedGeneration"] = .integer(autoscaler.generation)
        }
        return status
    }
}
