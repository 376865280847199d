/// Amounts of the resources that every node has and, by interned position, of extended ones.
public struct Amounts: Sendable, Equatable {
    /// Thousandths of a core.
    public var milliCPU: Int64
    /// Bytes.
    public var memory: Int64
    /// Bytes.
    public var ephemeralStorage: Int64
    /// A number of pods.
    public var pods: Int64

    /// What one pod or node can have of anything, so that sums over thousands of them stay numbers (2^50: 1 PiB).
    static let limit: Int64 = 1 << 50

    /// Each amount between 0 and the limit.
    var clamped: Amounts {
        func clamp(_ amount: Int64) -> Int64 { min(max(amount, 0), Self.limit) }
        return Amounts(
            milliCPU: clamp(milliCPU), memory: clamp(memory), ephemeralStorage: clamp(ephemeralStorage),
            pods: clamp(pods))
    }

    public init(milliCPU: Int64 = 0, memory: Int64 = 0, ephemeralStorage: Int64 = 0, pods: Int64 = 0) {
        self.milliCPU = milliCPU
        self.memory = memory
        self.ephemeralStorage = ephemeralStorage
        self.pods = pods
    }

    static func += (left: inout Amounts, right: Amounts) {
        left.milliCPU &+= right.milliCPU
        left.memory &+= right.memory
        left.ephemeralStorage &+= right.ephemeralStorage
        left.pods &+= right.pods
    }

    static func -= (left: inout Amounts, right: Amounts) {
        left.milliCPU &-= right.milliCPU
        left.memory &-= right.memory
        left.ephemeralStorage &-= right.ephemeralStorage
        left.pods &-= right.pods
    }
}

/// What a node can give and what placed pods use of it: the hot part of a node's state, one flat value per node.
struct NodeLoad: Sendable {
    var allocatable = Amounts()
    var requested = Amounts()
    /// Requests for scoring, where a container without a request counts as a small one (100m, 200 MiB).
    var scoredMilliCPU: Int64 = 0
    var scoredMemory: Int64 = 0
    var flags: NodeFlags = []
}

/// Facts of a node that the filter tests before it looks at anything that needs a string.
struct NodeFlags: OptionSet, Sendable {
    let rawValue: UInt8
    static let unschedulable = NodeFlags(rawValue: 1)
    static let ready = NodeFlags(rawValue: 2)
    /// At least one taint with effect NoSchedule or NoExecute.
    static let hardTaints = NodeFlags(rawValue: 4)
    /// At least one taint with effect PreferNoSchedule.
    static let softTaints = NodeFlags(rawValue: 8)
}
