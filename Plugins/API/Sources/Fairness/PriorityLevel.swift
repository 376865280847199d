import PluginKit
import Synchronization

/// One priority level: its seats, those who sit on them, and those who wait.
final class PriorityLevel: Sendable {
    enum Refusal: String, Sendable {
        case queueFull = "queue-full"
        case concurrencyLimit = "concurrency-limit"
        case timeOut = "time-out"
    }

    /// What refusals are counted by.
    struct RefusalCount: Sendable, Hashable {
        var schema: String
        var reason: Refusal
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
        var refused: [RefusalCount: UInt64] = [:]
    }
    private let state: Mutex<State>
    private let started = Atomic<UInt64>(0)
    private let ended = Atomic<UInt64>(0)

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
    /// Requests that have begun to run since the level is in force.
    var dispatched: UInt64 { started.load(ordering: .relaxed) }
    /// Requests that run.
    var executing: Int {
        let ended = ended.load(ordering: .acquiring)
        return Int(clamping: started.load(ordering: .acquiring) - ended)
    }

    /// A request begins to run, on whatever seats.
    func begins() { started.add(1, ordering: .relaxed) }
    /// One that began has been answered.
    func ends() { ended.add(1, ordering: .releasing) }

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
        seats width: Int, hash: UInt64, origin: FlowOrigin, deadline: UInt64,
        start: @escaping @Sendable (FairQueues.Turn) -> Void, refuse: @escaping @Sendable () -> Void
    ) -> Entry {
        let width = min(width, widest)
        let entry = state.withLock { state -> Entry in
            if state.queues?.count ?? 0 == 0, seats.take(width, index) {
                return .started(.init(seats: width, queue: nil, began: 0))
            }
            guard let queue = state.queues?.queue(for: hash) else {
                let reason = state.queues == nil ? Refusal.concurrencyLimit : .queueFull
                state.refused[.init(schema: origin.schema, reason: reason), default: 0] += 1
                return .refused(reason)
            }
            state.queues?.add(
                .init(
                    seats: width, queue: queue, origin: origin, deadline: deadline, start: start, refuse: refuse))
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
            for request in late {
                state.refused[.init(schema: request.origin.schema, reason: .timeOut), default: 0] += 1
            }
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

    /// How many were refused since the level is in force.
    var refused: [RefusalCount: UInt64] { state.withLock { $0.refused } }

    /// What its queues hold; nil for a level without queues.
    var queueStates: [FairQueues.QueueState]? { state.withLock { $0.queues?.states } }
}
