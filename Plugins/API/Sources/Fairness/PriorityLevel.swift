import PluginKit
import Synchronization

/// One priority level: its seats, those who sit on them, and those who wait.
final class PriorityLevel: Sendable {
    enum Refusal: String, Sendable {
        case queueFull = "queue-full"
        case concurrencyLimit = "concurrency-limit"
        case timeOut = "time-out"
    }

    enum Entry: Sendable {
        /// It runs now.
        case started(FairQueues.Turn)
        /// It is started later, or refused.
        case waits
        case refused(Refusal)
    }

    /// Seats of a level, as the settings of all levels give them.
    struct Limits: Sendable, Equatable {
        var nominal: Int
        var lendable: Int
        /// Seats of others that it may take; nil = as many as there are.
        var borrowable: Int?
    }

    let settings: PriorityLevelSettings
    let limits: Limits
    private let seats: SeatPool
    private let index: Int

    private struct State {
        var queues: FairQueues?
        var refused: [Refusal: UInt64] = [:]
    }
    private let state: Mutex<State>

    init(_ settings: PriorityLevelSettings, _ limits: Limits, seats: SeatPool, index: Int) {
        self.settings = settings
        self.limits = limits
        self.seats = seats
        self.index = index
        state = Mutex(State(queues: settings.queuing.map(FairQueues.init)))
    }

    /// Requests that wait.
    var waiting: Int { state.withLock { $0.queues?.count ?? 0 } }
    var used: Int { seats.used(index) }

    /// The most seats that one request takes.
    var widest: Int { max(1, min(10, limits.nominal * 15 / 100)) }

    /// Seats for a request that arrives where nobody waits and seats are free; nil elsewhere.
    func tryEnter(seats width: Int) -> FairQueues.Turn? {
        let width = min(width, widest)
        return state.withLock { state in
            guard state.queues?.count ?? 0 == 0, seats.take(width, index) else { return nil }
            return .init(seats: width, queue: nil, began: 0)
        }
    }

    /// A request arrives that has found no seats at once.
    /// - Parameters:
    ///   - deadline: When it has waited for too long: CLOCK_MONOTONIC, nanoseconds.
    func enter(
        seats width: Int, hash: UInt64, deadline: UInt64, start: @escaping @Sendable (FairQueues.Turn) -> Void,
        refuse: @escaping @Sendable () -> Void
    ) -> Entry {
        let width = min(width, widest)
        let entry = state.withLock { state -> Entry in
            if state.queues?.count ?? 0 == 0, seats.take(width, index) {
                return .started(.init(seats: width, queue: nil, began: 0))
            }
            guard state.queues != nil else {
                state.refused[.concurrencyLimit, default: 0] += 1
                return .refused(.concurrencyLimit)
            }
            guard let queue = state.queues?.queue(for: hash) else {
                state.refused[.queueFull, default: 0] += 1
                return .refused(.queueFull)
            }
            state.queues?.add(
                .init(seats: width, queue: queue, deadline: deadline, start: start, refuse: refuse))
            seats.waits(index, true)
            return .waits
        }
        // Seats that became free before the pool knew that somebody waits woke nobody.
        if case .waits = entry { startWaiting() }
        return entry
    }

    /// A request has ended; those that have waited for its seats are started.
    func leave(_ turn: FairQueues.Turn) {
        if turn.queue != nil {
            let seconds = Double(monotonicNanoseconds() - turn.began) / 1e9
            state.withLock { $0.queues?.ended(turn, seconds: seconds) }
        }
        seats.give(turn.seats, index)
    }

    /// Starts what finds seats.
    func startWaiting() {
        while true {
            let request = state.withLock { state -> FairQueues.Waiting? in
                let next = state.queues?.next { seats.take($0, index) }
                if state.queues?.count ?? 0 == 0 { seats.waits(index, false) }
                return next
            }
            guard let request else { return }
            request.start(.init(seats: request.seats, queue: request.queue, began: monotonicNanoseconds()))
        }
    }

    /// Refuses what has waited for too long.
    /// - Returns: when that is next; nil when nobody waits.
    func expire(_ now: UInt64) -> UInt64? {
        let (late, next) = state.withLock { state in
            let late = state.queues?.expire(now) ?? []
            state.refused[.timeOut, default: 0] += UInt64(late.count)
            if state.queues?.count ?? 0 == 0 { seats.waits(index, false) }
            return (late, state.queues?.firstDeadline)
        }
        for request in late { request.refuse() }
        return next
    }

    /// Starts all that wait, when the level is about to be another.
    func drain() {
        let all = state.withLock { $0.queues?.removeAll() ?? [] }
        seats.waits(index, false)
        for request in all {
            seats.force(request.seats, index)
            request.start(.init(seats: request.seats, queue: nil, began: 0))
        }
    }

    /// How many were refused, by reason, since the last call.
    func takeRefused() -> [Refusal: UInt64] {
        state.withLock { state in
            defer { state.refused = [:] }
            return state.refused
        }
    }
}
