/// Between which costs an expression's evaluations lie, as far as its declarations say. Saturates.
public struct CELCostEstimate: Sendable, Hashable {
    public var minimum: UInt64
    public var maximum: UInt64

    public init(minimum: UInt64, maximum: UInt64) {
        self.minimum = minimum
        self.maximum = maximum
    }

    static let zero = CELCostEstimate(fixed: 0)
    static let one = CELCostEstimate(fixed: 1)

    init(fixed: UInt64) { self.init(minimum: fixed, maximum: fixed) }

    /// A size that nothing is known of.
    static let unknown = CELCostEstimate(minimum: 0, maximum: .max)

    /// This for each of so many times, which may be saturated too.
    public func multiplied(by count: UInt64) -> CELCostEstimate { self * CELCostEstimate(fixed: count) }

    static func + (left: CELCostEstimate, right: CELCostEstimate) -> CELCostEstimate {
        func sum(_ a: UInt64, _ b: UInt64) -> UInt64 {
            let (sum, overflow) = a.addingReportingOverflow(b)
            return overflow ? .max : sum
        }
        return CELCostEstimate(
            minimum: sum(left.minimum, right.minimum), maximum: sum(left.maximum, right.maximum))
    }

    static func += (left: inout CELCostEstimate, right: CELCostEstimate) { left = left + right }

    static func * (left: CELCostEstimate, right: CELCostEstimate) -> CELCostEstimate {
        func product(_ a: UInt64, _ b: UInt64) -> UInt64 {
            let (product, overflow) = a.multipliedReportingOverflow(by: b)
            return overflow ? .max : product
        }
        return CELCostEstimate(
            minimum: product(left.minimum, right.minimum), maximum: product(left.maximum, right.maximum))
    }

    /// Rounded up.
    func scaled(by factor: Double) -> CELCostEstimate {
        func scaled(_ value: UInt64) -> UInt64 {
            let product = (Double(value) * factor).rounded(.up)
            return product >= 0x1p64 ? .max : UInt64(product)
        }
        return CELCostEstimate(minimum: scaled(minimum), maximum: scaled(maximum))
    }

    /// A tenth of a unit for each element.
    var traversal: CELCostEstimate { scaled(by: 0.1) }

    func union(_ other: CELCostEstimate) -> CELCostEstimate {
        CELCostEstimate(minimum: min(minimum, other.minimum), maximum: max(maximum, other.maximum))
    }
}

extension CELProgram {
    /// What evaluations may cost, by the bounds that the variables' schemas declare.
    /// See https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#resource-use-by-validation-functions.
    public func estimatedCost() -> CELCostEstimate {
        var estimator = CostEstimator(checked, variables)
        return estimator.cost(checked.root)
    }
}
