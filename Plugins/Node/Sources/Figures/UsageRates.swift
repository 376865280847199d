import Synchronization

/// How much of processors is used now: the difference of what had been used at two looks. Nothing looks unless somebody asks.
final class UsageRates: Sendable {
    private struct Look {
        /// Seconds since 1970.
        var time: Double
        var used: Int64
        /// Nanoseconds of processor in a second, between the last two looks.
        var rate: Int64?
    }
    private let looks = Mutex<[String: Look]>([:])

    /// Less than this between two looks, in seconds, says nothing: the rate is that of before.
    static let shortest = 0.1

    /// Takes a look, and says the rate since the one before; nil at the first.
    func rate(_ id: String, _ time: String, _ used: Int64) -> Int64? {
        guard let now = WallClock.seconds(rfc3339: time) else { return nil }
        return looks.withLock { looks in
            guard let before = looks[id], now > before.time, used >= before.used else {
                if looks[id] == nil || used < looks[id]?.used ?? 0 { looks[id] = Look(time: now, used: used) }
                return looks[id]?.rate
            }
            guard now - before.time >= Self.shortest else { return before.rate }
            let rate = Int64(Double(used - before.used) / (now - before.time))
            looks[id] = Look(time: now, used: used, rate: rate)
            return rate
        }
    }

    /// What was found at the last look.
    func known(_ id: String) -> Int64? { looks.withLock { $0[id]?.rate } }

    /// Drops all but these and the node's own.
    func forget(keeping ids: Set<String>) {
        looks.withLock { looks in looks = looks.filter { $0.key.isEmpty || ids.contains($0.key) } }
    }
}
