import Objects

/// A write held against the quotas of its namespace.
public struct QuotaCharge: Sendable {
    public struct Refusal: Error, Sendable, Equatable {
        /// What follows "is forbidden: ".
        public let message: String
    }

    private let evaluator: QuotaEvaluator
    private let object: JSON
    private let old: JSON
    private let now: Timestamp

    /// - Parameter old: what the object replaces; null for a new one.
    public init(_ evaluator: QuotaEvaluator, object: JSON, replacing old: JSON, now: Timestamp) {
        self.evaluator = evaluator
        self.object = object
        self.old = old
        self.now = now
    }

    /// What is used once the object is written, for each quota that this changes, by its position.
    /// - Parameter quotas: ResourceQuota objects of the namespace, in the order in which they are checked.
    public func used(_ quotas: [JSON]) throws(Refusal) -> [Int: ResourceList] {
        var covering: [(index: Int, hard: ResourceList, used: ResourceList, names: [String])] = []
        for (index, quota) in quotas.enumerated() {
            let hard = ResourceList(quota["status"]["hard"])
            let names = evaluator.matching(hard.names)
            guard !names.isEmpty, evaluator.isInScope(QuotaScope.all(of: quota), object) else { continue }
            if let constraint = evaluator.constraint(names, object) {
                throw Refusal(message: "failed quota: \(quota.name): \(constraint)")
            }
            let used = ResourceList(quota["status"]["used"])
            guard names.allSatisfy({ used[$0] != nil }) else {
                throw Refusal(
                    message:
                        "status unknown for quota: \(quota.name), resources: \(names.sorted().joined(separator: ","))"
                )
            }
            covering.append((index, hard, used, names))
        }
        guard !covering.isEmpty else { return [:] }
        let usage = evaluator.usage(of: object, now: now)
        let negative = usage.names.filter { usage[$0]?.isNegative == true }
        guard negative.isEmpty else {
            throw Refusal(message: "quota usage is negative for resource(s): \(negative.joined(separator: ","))")
        }
        var result: [Int: ResourceList] = [:]
        for (index, hard, used, names) in covering {
            let requested = delta(usage, quotas[index]).masked(by: names).withoutZeros
            guard !requested.isEmpty else { continue }
            let total = used + requested
            let exceeded = total.masked(by: requested.names).exceeding(hard)
            guard exceeded.isEmpty else {
                throw Refusal(
                    message:
                        "exceeded quota: \(quotas[index].name), requested: \(requested.masked(by: exceeded).text), "
                        + "used: \(used.masked(by: exceeded).text), limited: \(hard.masked(by: exceeded).text)")
            }
            result[index] = total
        }
        return result
    }

    /// An object that counted for the quota already is charged for what it has more.
    private func delta(_ usage: ResourceList, _ quota: JSON) -> ResourceList {
        guard old.exists, evaluator.isInScope(QuotaScope.all(of: quota), old) else { return usage }
        return usage.excess(over: evaluator.usage(of: old, now: now))
    }
}
