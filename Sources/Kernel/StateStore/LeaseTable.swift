import PluginAPI

/// The leases and the keys under each. Deadlines are on the monotonic clock and start anew when the store is opened.
final class LeaseTable: @unchecked Sendable {  // All state is behind `lock`.
    private struct Lease {
        var timeToLive: UInt64
        var deadline: UInt64
        var keys: Set<[UInt8]> = []
    }

    /// The longest time to live, milliseconds: ten years.
    static let longest: UInt64 = 10 * 366 * 86_400_000

    private let lock = Monitor()
    private var leases: [UInt64: Lease] = [:]
    private var lastGiven: UInt64 = 0
    /// Lower bound of all deadlines, so that keep-alives need not be followed by the waiting committer.
    private var earliest = UInt64.max

    /// A number that no lease has or had.
    func nextNumber() -> UInt64 {
        lock.locked {
            lastGiven += 1
            return lastGiven
        }
    }

    func insert(_ number: UInt64, timeToLive: UInt64, now: UInt64) {
        lock.locked {
            let timeToLive = min(timeToLive, Self.longest)
            let factor: UInt64 = planted(.leaseEndsEarly) ? 500_000 : 1_000_000
            let deadline = time(now, plus: timeToLive * factor)
            leases[number] = Lease(timeToLive: timeToLive, deadline: deadline, keys: leases[number]?.keys ?? [])
            earliest = min(earliest, deadline)
            lastGiven = max(lastGiven, number)
        }
    }

    func remove(_ number: UInt64) {
        lock.locked {
            leases[number] = nil
            lastGiven = max(lastGiven, number)
        }
    }

    func contains(_ number: UInt64) -> Bool { lock.locked { leases[number] != nil } }

    /// Renews a lease for its whole time to live. False when it does not exist (any more).
    func keepAlive(_ number: UInt64, now: UInt64) -> Bool {
        lock.locked {
            guard let lease = leases[number], lease.deadline > now else { return false }
            if planted(.keepAliveForgotten) { return true }
            // `now` may be older than that of a renewal which came first.
            leases[number]?.deadline = max(lease.deadline, time(now, plus: lease.timeToLive * 1_000_000))
            return true
        }
    }

    /// Keeps the table in step with a committed change.
    func follow(_ event: Event) {
        let before = event.previous?.lease ?? 0
        let after = event.record.isPut ? event.record.lease : 0
        if before == after { return }
        lock.locked {
            let key = Array(event.record.key)
            if before != 0 { leases[before]?.keys.remove(key) }
            if after != 0 { leases[after]?.keys.insert(key) }
        }
    }

    func attach(_ record: Record) {
        lock.locked { _ = leases[record.lease]?.keys.insert(Array(record.key)) }
    }

    func keys(of number: UInt64) -> [[UInt8]]? { lock.locked { leases[number].map { Array($0.keys) } } }

    /// A time before which no lease ends; `.max` when there is none.
    var nextDeadline: UInt64 { lock.locked { earliest } }

    /// The leases whose time is over. Sets the next deadline.
    func expired(_ now: UInt64) -> [UInt64] {
        lock.locked {
            guard earliest <= now else { return [] }
            var over: [UInt64] = []
            earliest = .max
            for (number, lease) in leases {
                if lease.deadline <= now { over.append(number) } else { earliest = min(earliest, lease.deadline) }
            }
            return over
        }
    }

    /// Asks for another look at expired leases at `deadline`, when their removal could not be written.
    func retry(at deadline: UInt64) { lock.locked { earliest = min(earliest, deadline) } }

    /// All leases for a snapshot, and the highest number ever given.
    func all() -> (leases: [(number: UInt64, timeToLive: UInt64)], last: UInt64) {
        lock.locked { (leases.map { ($0.key, $0.value.timeToLive) }, lastGiven) }
    }
}
