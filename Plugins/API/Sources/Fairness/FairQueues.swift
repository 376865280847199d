/// The requests of one priority level that wait, in queues that are served in turn: start-time fair queuing (Goyal, Vin and
/// Cheng, 1996), by the seats and the time that requests take. Pure; guarded by its level.
struct FairQueues {
    /// One request that waits.
    final class Waiting: Sendable {
        let seats: Int
        let queue: Int
        let origin: FlowOrigin
        /// CLOCK_MONOTONIC, nanoseconds.
        let deadline: UInt64
        let start: @Sendable (Turn) -> Void
        let refuse: @Sendable () -> Void

        init(
            seats: Int, queue: Int, origin: FlowOrigin, deadline: UInt64, start: @escaping @Sendable (Turn) -> Void,
            refuse: @escaping @Sendable () -> Void
        ) {
            self.seats = seats
            self.queue = queue
            self.origin = origin
            self.deadline = deadline
            self.start = start
            self.refuse = refuse
        }
    }

    /// A request that runs: what it takes, and since when.
    struct Turn: Sendable {
        var seats: Int
        /// Nil when it did not have to wait.
        var queue: Int?
        /// CLOCK_MONOTONIC, nanoseconds; 0 when nobody needs it.
        var began: UInt64
    }

    private struct Queue {
        var requests: [Waiting] = []
        var waitingSeats = 0
        var running = 0
        var runningSeats = 0
        /// The virtual time at which its next request starts.
        var nextStart = 0.0
    }

    /// What a request is taken to need before it is known, in seconds of one seat.
    static let estimate = 0.001

    private let settings: PriorityLevelSettings.Queuing
    private var queues: [Int: Queue] = [:]
    /// Queues with requests that wait.
    private var active: Set<Int> = []
    private var virtualTime = 0.0
    private(set) var count = 0

    init(_ settings: PriorityLevelSettings.Queuing) { self.settings = settings }

    /// The queue for a flow: of its hand the one with the least work; nil when that has no room.
    func queue(for hash: UInt64) -> Int? {
        let hand = ShuffleSharding.hand(hash, deckSize: settings.queues, handSize: settings.handSize)
        var best: (queue: Int, seats: Int)?
        for number in hand {
            let seats = queues[number].map { $0.waitingSeats + $0.runningSeats } ?? 0
            if seats < best?.seats ?? .max { best = (number, seats) }
        }
        guard let best, queues[best.queue]?.requests.count ?? 0 < settings.lengthLimit else { return nil }
        return best.queue
    }

    mutating func add(_ request: Waiting) {
        var queue = queues[request.queue] ?? Queue()
        if queue.requests.isEmpty {
            queue.nextStart = max(queue.nextStart, virtualTime)
            active.insert(request.queue)
        }
        queue.requests.append(request)
        queue.waitingSeats += request.seats
        queues[request.queue] = queue
        count += 1
    }

    /// The request that is next, if it finds seats.
    /// - Parameter fits: Whether so many seats are free.
    mutating func next(_ fits: (Int) -> Bool) -> Waiting? {
        var best: (queue: Int, finish: Double)?
        for number in active {
            guard let queue = queues[number], let first = queue.requests.first else { continue }
            let finish = queue.nextStart + Double(first.seats) * Self.estimate
            // Of equal ones the lower number, so that what happens is the same each time.
            if let best, (best.finish, best.queue) <= (finish, number) { continue }
            best = (number, finish)
        }
        // A wide request is waited for: narrow ones that pass it would keep it out for ever.
        guard let best, var queue = queues[best.queue], let request = queue.requests.first, fits(request.seats) else {
            return nil
        }
        queue.requests.removeFirst()
        queue.waitingSeats -= request.seats
        queue.running += 1
        queue.runningSeats += request.seats
        virtualTime = queue.nextStart
        queue.nextStart += Double(request.seats) * Self.estimate
        if queue.requests.isEmpty { active.remove(best.queue) }
        queues[best.queue] = queue
        count -= 1
        return request
    }

    /// A request of a queue has ended: what it took beyond the estimate, its queue waits for.
    mutating func ended(_ turn: Turn, seconds: Double) {
        guard let number = turn.queue, var queue = queues[number] else { return }
        queue.running -= 1
        queue.runningSeats -= turn.seats
        queue.nextStart += Double(turn.seats) * (seconds - Self.estimate)
        // A queue that nobody uses, and that is not behind, is as good as a new one.
        let isIdle = queue.requests.isEmpty && queue.runningSeats <= 0 && queue.nextStart <= virtualTime
        queues[number] = isIdle ? nil : queue
        if count == 0, queues.count > 4 * settings.handSize {
            queues = queues.filter { !$0.value.requests.isEmpty || $0.value.runningSeats > 0 }
        }
    }

    /// Takes out what has waited for too long.
    mutating func expire(_ now: UInt64) -> [Waiting] {
        var gone: [Waiting] = []
        for number in active {
            guard var queue = queues[number] else { continue }
            let late = queue.requests.filter { $0.deadline <= now }
            guard !late.isEmpty else { continue }
            queue.requests.removeAll { $0.deadline <= now }
            queue.waitingSeats -= late.reduce(0) { $0 + $1.seats }
            if queue.requests.isEmpty { active.remove(number) }
            queues[number] = queue
            count -= late.count
            gone += late
        }
        return gone
    }

    /// When the first of those that wait has waited for too long; nil when none waits.
    var firstDeadline: UInt64? {
        active.compactMap { queues[$0]?.requests.first?.deadline }.min()
    }

    /// All that wait, for another place to wait at.
    mutating func removeAll() -> [Waiting] {
        let all = active.sorted().flatMap { queues[$0]?.requests ?? [] }
        self = FairQueues(settings)
        return all
    }

    /// What one queue holds, for whoever looks into the server.
    struct QueueState: Sendable {
        var number: Int
        var waiting: [Waiting] = []
        var waitingSeats = 0
        var running = 0
        var runningSeats = 0
        /// The virtual time at which its next request starts, in seconds of one seat.
        var nextStart = 0.0
    }

    /// More queues than this are not told of one by one: of so many, those that have something to do.
    static let dumpedQueues = 10_000

    /// What the queues hold, by their numbers.
    var states: [QueueState] {
        let numbers = settings.queues <= Self.dumpedQueues ? Array(0..<settings.queues) : queues.keys.sorted()
        return numbers.map { number in
            guard let queue = queues[number] else { return QueueState(number: number) }
            return QueueState(
                number: number, waiting: queue.requests, waitingSeats: queue.waitingSeats, running: queue.running,
                runningSeats: queue.runningSeats, nextStart: queue.nextStart)
        }
    }
}
