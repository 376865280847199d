import Objects

/// The last two looks at a node, between which its use of CPU is measured. It is looked at when somebody asks: what was
/// measured lately serves again, and after a long silence two looks are taken right away.
struct UsageHistory: Sendable {
    /// What was used on average over a time, of CPU, and at its end, of memory.
    struct Usage: Sendable, Equatable {
        var nanocores: Int64
        var memoryBytes: Int64
        /// The end of that time.
        var time: Timestamp
        var windowNanoseconds: Int64
    }

    enum Need: Equatable {
        case nothing
        /// One more look; the one before is not too old to measure from.
        case look
        /// Two looks, `shortestWindow` apart.
        case twoLooks
    }

    /// Nanoseconds for which what was measured serves.
    static let resolution: UInt64 = 15_000_000_000
    /// Nanoseconds over which use is averaged at most.
    static let longestWindow: UInt64 = 120_000_000_000
    /// Nanoseconds: less says nothing.
    static let shortestWindow: UInt64 = 1_000_000_000

    private(set) var older: UsageSummary?
    private(set) var newer: UsageSummary?

    /// - Parameter now: monotonic nanoseconds.
    func need(now: UInt64) -> Need {
        guard let newer, now < newer.taken + Self.longestWindow else { return .twoLooks }
        return older == nil || now >= newer.taken + Self.resolution ? .look : .nothing
    }

    mutating func add(_ summary: UsageSummary) {
        older = newer
        newer = summary
    }

    var host: Usage? { newer?.host.flatMap { Self.usage($0, since: older?.host) } }

    func usage(of container: UsageSummary.Container) -> Usage? {
        newer?.containers[container].flatMap { Self.usage($0, since: older?.containers[container]) }
    }

    /// A container that began in between is measured from its beginning.
    private static func usage(_ new: UsageSummary.Sample, since old: UsageSummary.Sample?) -> Usage? {
        var (start, used): (Timestamp?, Int64) = (new.start, 0)
        if let old, old.start == new.start, old.cpuNanoseconds <= new.cpuNanoseconds {
            (start, used) = (old.time, old.cpuNanoseconds)
        }
        guard let start else { return nil }
        let window = new.time.nanoseconds(since: start)
        // The clock's steps can make it a little less.
        guard window >= Int64(shortestWindow) * 9 / 10 else { return nil }
        let nanocores = Double(new.cpuNanoseconds - used) / Double(window) * 1e9
        return Usage(
            nanocores: Int64(nanocores), memoryBytes: new.memoryBytes, time: new.time, windowNanoseconds: window)
    }
}
