import Objects

/// What an autoscaler remembers between its looks: sizes that were proposed, and changes that were made.
struct AutoscalerMemory: Equatable {
    struct Entry: Equatable {
        var time: Timestamp
        /// A size that was proposed, or by how much a size was changed.
        var replicas: Int64
    }

    private(set) var proposals: [Entry] = []
    private(set) var increases: [Entry] = []
    private(set) var decreases: [Entry] = []

    /// Seconds, the longest stabilization window and the longest period of a policy.
    static let longest: Int64 = 3600

    /// The size that was found first counts as a proposal: a start does not scale down at once.
    mutating func begin(_ current: Int64, now: Timestamp) {
        if proposals.isEmpty { propose(current, now: now) }
    }

    mutating func propose(_ replicas: Int64, now: Timestamp) {
        proposals.removeAll { $0.time.seconds + Self.longest < now.seconds }
        proposals.append(Entry(time: now, replicas: replicas))
    }

    mutating func changed(from old: Int64, to new: Int64, now: Timestamp) {
        increases.removeAll { $0.time.seconds + Self.longest < now.seconds }
        decreases.removeAll { $0.time.seconds + Self.longest < now.seconds }
        if new > old { increases.append(Entry(time: now, replicas: new - old)) }
        if new < old { decreases.append(Entry(time: now, replicas: old - new)) }
    }

    /// The sizes proposed in the last seconds.
    func proposals(within seconds: Int64, now: Timestamp) -> [Int64] {
        proposals.filter { $0.time.seconds > now.seconds - seconds }.map(\.replicas)
    }

    /// The size at the beginning of a period that ends now.
    func size(before seconds: Int64, current: Int64, now: Timestamp) -> Int64 {
        func sum(_ entries: [Entry]) -> Int64 {
            entries.filter { $0.time.seconds > now.seconds - seconds }.reduce(0) { $0 + $1.replicas }
        }
        return current - sum(increases) + sum(decreases)
    }
}
