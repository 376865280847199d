import Objects

/// How fast one direction of an autoscaler may go: `spec.behavior.scaleUp` or `scaleDown`, with what holds where they say
/// nothing.
struct ScalingRules {
    private struct Policy {
        var isPercent: Bool
        var value: Int64
        var period: Int64
    }

    /// Seconds in which proposals hold the newest one back.
    let window: Int64
    let tolerance: Double
    private let isUp: Bool
    private let select: String
    private let policies: [Policy]

    static func up(_ autoscaler: JSON) -> ScalingRules {
        ScalingRules(
            autoscaler["spec"]["behavior"]["scaleUp"], isUp: true, window: 0,
            policies: [
                Policy(isPercent: false, value: 4, period: 15), Policy(isPercent: true, value: 100, period: 15),
            ])
    }

    static func down(_ autoscaler: JSON) -> ScalingRules {
        ScalingRules(
            autoscaler["spec"]["behavior"]["scaleDown"], isUp: false, window: 300,
            policies: [Policy(isPercent: true, value: 100, period: 15)])
    }

    private init(_ rules: JSON, isUp: Bool, window: Int64, policies: [Policy]) {
        self.isUp = isUp
        self.window = rules["stabilizationWindowSeconds"].integerValue ?? window
        select = rules["selectPolicy"].stringValue ?? "Max"
        let own = rules["policies"].arrayValue.map {
            Policy(
                isPercent: $0["type"].stringValue == "Percent", value: $0["value"].integerValue ?? 0,
                period: $0["periodSeconds"].integerValue ?? 0)
        }
        self.policies = own.isEmpty ? policies : own
        // The API has checked that it is a quantity.
        let given = try? Quantity(rules["tolerance"])
        tolerance = given.map { Double($0.nanoValue) / 1e9 } ?? 0.1
    }

    /// The farthest size that may be gone to now.
    func limit(current: Int64, _ memory: AutoscalerMemory, now: Timestamp) -> Int64 {
        if select == "Disabled" { return current }
        let sizes = policies.map { policy -> Int64 in
            let start = memory.size(before: policy.period, current: current, now: now)
            if !policy.isPercent { return isUp ? start + policy.value : start - policy.value }
            let factor = 1 + Double(policy.value) / 100 * (isUp ? 1 : -1)
            return Int64((Double(start) * factor).rounded(isUp ? .up : .towardZero))
        }
        let takesFarthest = select != "Min"
        let farthest = isUp == takesFarthest ? sizes.max() : sizes.min()
        return isUp ? max(current, farthest ?? current) : min(current, farthest ?? current)
    }
}
