import Objects

/// What the scheduler knows of a node beyond what changes with each placed pod.
public struct NodeDescription: Sendable {
    public var name: String
    public var labels: [String: String]
    public var taints: [Taint]
    public var allocatable: Amounts
    /// Allocatable extended resources by name.
    public var extended: [String: Int64]
    public var isReady: Bool
    public var isUnschedulable: Bool

    public init(
        name: String, labels: [String: String] = [:], taints: [Taint] = [], allocatable: Amounts,
        extended: [String: Int64] = [:], isReady: Bool = true, isUnschedulable: Bool = false
    ) {
        self.name = name
        self.labels = labels
        self.taints = taints
        self.allocatable = allocatable
        self.extended = extended
        self.isReady = isReady
        self.isUnschedulable = isUnschedulable
    }

    /// Reads labels, taints and extended resources from a Node object; the amounts and flags come from the caller.
    /// - Throws: a `Quantity` error when an extended amount does not parse.
    public init(name: String, object: JSON, allocatable: Amounts, isReady: Bool, isUnschedulable: Bool) throws {
        self.init(
            name: name, labels: object["metadata"]["labels"].stringDictionary,
            taints: object["spec"]["taints"].arrayValue.compactMap(Taint.init), allocatable: allocatable,
            isReady: isReady, isUnschedulable: isUnschedulable)
        guard let amounts = object["status"]["allocatable"].objectValue else { return }
        for (key, value) in amounts where !PodRequests.isBasic(key) {
            extended[key] = try Quantity(parsing: value.stringValue ?? "\(value.integerValue ?? 0)").value
        }
    }

    var flags: NodeFlags {
        var flags: NodeFlags = []
        if isReady { flags.insert(.ready) }
        if isUnschedulable { flags.insert(.unschedulable) }
        if taints.contains(where: { $0.effect != .preferNoSchedule }) { flags.insert(.hardTaints) }
        if taints.contains(where: { $0.effect == .preferNoSchedule }) { flags.insert(.softTaints) }
        return flags
    }
}
