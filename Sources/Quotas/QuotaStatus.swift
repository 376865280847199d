import Objects

/// What a quota's status says: what it limits, and what is used of that. Pure.
public struct QuotaStatus: Sendable {
    public let hard: ResourceList
    public private(set) var used: ResourceList
    private let scopes: [QuotaScope]

    /// Nothing is used yet.
    public init(of quota: JSON) {
        hard = ResourceList(quota["spec"]["hard"])
        used = ResourceList(Dictionary(uniqueKeysWithValues: hard.names.map { ($0, Quantity.zero) }))
        scopes = QuotaScope.all(of: quota)
    }

    /// Whether a quota's status is about what the quota limits; what somebody else wrote there may not be.
    public static func isCounted(_ quota: JSON) -> Bool {
        let hard = ResourceList(quota["spec"]["hard"])
        return ResourceList(quota["status"]["hard"]) == hard
            && ResourceList(quota["status"]["used"]).names == hard.names
    }

    /// The resources whose objects count: "pods", "deployments.apps", in order.
    public var resources: [String] {
        let known = [
            "configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets",
            "services", QuotaEvaluator.deviceClaims,
        ]
        let counted = hard.names.compactMap { $0.hasPrefix("count/") ? String($0.dropFirst("count/".count)) : nil }
        return Set(known + counted).sorted().filter { resource in
            QuotaEvaluator(resource: resource).map { !$0.matching(hard.names).isEmpty } ?? false
        }
    }

    /// Counts one object of a resource.
    public mutating func count(_ object: JSON, _ evaluator: QuotaEvaluator, now: Timestamp) {
        guard evaluator.isInScope(scopes, object) else { return }
        used = used + evaluator.usage(of: object, now: now).masked(by: evaluator.matching(hard.names))
    }

    public var json: JSON { ["hard": hard.json, "used": used.json] }
}
