import Synchronization

/// The seats of all priority levels: a level uses its own, and of others' what they lend and do not use.
///
/// What is lent comes back as the requests on it end: a level that wants its own seats again takes them at once, so that for
/// that long a few more run than the server has seats.
final class SeatPool: Sendable {
    private struct Level {
        var limits: PriorityLevel.Limits
        var used = 0
        var waits = false
    }

    private struct State {
        var levels: [Level] = []
        var waiting = 0
    }
    private let state = Mutex(State())
    private let starters = Mutex<[@Sendable () -> Void]>([])

    init(_ limits: [PriorityLevel.Limits]) {
        state.withLock { $0.levels = limits.map { Level(limits: $0) } }
    }

    /// Whom to start when seats have become free, by level.
    func onFree(_ starters: [@Sendable () -> Void]) { self.starters.withLock { $0 = starters } }

    func used(_ level: Int) -> Int { state.withLock { $0.levels[level].used } }

    /// Takes seats, if there are some.
    func take(_ seats: Int, _ level: Int) -> Bool {
        state.withLock { state in
            guard Self.mayTake(state.levels, seats, level) else { return false }
            state.levels[level].used += seats
            return true
        }
    }

    /// Takes seats whether or not there are some.
    func force(_ seats: Int, _ level: Int) { state.withLock { $0.levels[level].used += seats } }

    /// Gives seats back, and lets the levels start what waits.
    func give(_ seats: Int, _ level: Int) {
        let isWaiting = state.withLock { state in
            state.levels[level].used -= seats
            return state.waiting > 0
        }
        if isWaiting { startWaiting() }
    }

    /// Notes whether requests of a level wait.
    func waits(_ level: Int, _ waits: Bool) {
        state.withLock { state in
            guard state.levels[level].waits != waits else { return }
            state.levels[level].waits = waits
            state.waiting += waits ? 1 : -1
        }
    }

    private func startWaiting() {
        let levels = state.withLock { state in state.levels.indices.filter { state.levels[$0].waits } }
        let starters = starters.withLock { $0 }
        for level in levels { starters[level]() }
    }

    private static func mayTake(_ levels: [Level], _ seats: Int, _ level: Int) -> Bool {
        let own = levels[level]
        let excess = own.used + seats - own.limits.nominal
        if excess <= 0 { return true }
        if let borrowable = own.limits.borrowable, excess > borrowable { return false }
        var lent = 0
        for (index, other) in levels.enumerated() where index != level {
            lent += min(other.limits.lendable, max(other.limits.nominal - other.used, 0))
            lent -= max(other.used - other.limits.nominal, 0)
        }
        return excess <= lent
    }
}
