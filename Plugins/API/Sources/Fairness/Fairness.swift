import Objects
import PluginKit
import Synchronization

/// API priority and fairness: requests of many flows share the server's seats, so that nobody who asks a lot keeps others
/// from being answered.
/// See https://kubernetes.io/docs/concepts/cluster-administration/flow-control/.
final class Fairness: Sendable {
    /// How long a request waits for a seat at most, in nanoseconds.
    static let patience: UInt64 = 15_000_000_000

    private struct State {
        var table: FlowTable
        var schemas: [String: FlowSchema] = [:]
        var levels: [String: PriorityLevelSettings] = [:]
        var isFilling = true
    }

    private let totalSeats: Int
    private let patience: UInt64
    private let state: Mutex<State>
    private let estimates: ListEstimates
    private let metrics: FlowMetrics?
    private let timers: Timers
    private let isTimed = Atomic(false)
    private let timer = Mutex<Timer?>(nil)
    private let log: Log

    /// - Parameters:
    ///   - totalSeats: Of the server.
    init(
        totalSeats: Int, estimates: ListEstimates, host: Host, patience: UInt64 = Fairness.patience
    ) throws(PluginError) {
        self.totalSeats = totalSeats
        self.patience = patience
        self.estimates = estimates
        log = host.log
        timers = try host.timers()
        metrics = FlowMetrics(host)
        state = Mutex(State(table: FlowTable(schemas: [], levels: [], totalSeats: totalSeats)))
    }

    var table: FlowTable { state.withLock { $0.table } }

    // MARK: - Requests

    /// Runs a request when its flow has a seat. What runs answers through the responder that it is given.
    /// - Parameters:
    ///   - later: Runs what has waited, where requests are run.
    func run(
        _ request: APIRequest, _ respond: @escaping Responder,
        later: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void,
        _ work: @escaping @Sendable (@escaping Responder) -> Void
    ) {
        let info = RequestInfo(request)
        let table = table
        let match = table.match(info, request.user)
        let level = match.level
        let counter = table.dispatched[match.schema]
        // Seats are for what ends by itself; a watch has one until it has told what there is.
        if level.settings.isExempt || (info.isLongRunning && info.verb != "watch") {
            counter.count(level)
            return work { response in
                level.ends()
                respond(response.adding(match.headers))
            }
        }
        let width = estimates.seats(info, request)
        if let turn = level.tryEnter(seats: width) {
            counter.count(level)
            return work { Self.finish($0, turn, level, match, respond) }
        }
        let schema = table.schemas[match.schema]
        let origin = FlowOrigin(schema, info, request)
        let entry = level.enter(
            seats: width, hash: ShuffleSharding.hash(schema.name, origin.flow), origin: origin,
            deadline: monotonicNanoseconds() + patience,
            start: { turn in
                counter.count(level)
                later { work { Self.finish($0, turn, level, match, respond) } }
            }, refuse: { respond(Self.refusal(match)) })
        switch entry {
        case .started(let turn):
            counter.count(level)
            work { Self.finish($0, turn, level, match, respond) }
        case .waits: startTimer()
        case .refused: respond(Self.refusal(match))
        }
    }

    private static func finish(
        _ response: HTTPResponse, _ turn: FairQueues.Turn, _ level: PriorityLevel, _ match: FlowTable.Match,
        _ respond: Responder
    ) {
        level.ends()
        respond(response.adding(match.headers))
        level.leave(turn)
    }

    private static func refusal(_ match: FlowTable.Match) -> HTTPResponse {
        HTTPResponse.failure(
            .tooManyRequests("Too many requests, please try again later.", retryAfterSeconds: 1)
        ).adding(match.headers)
    }

    /// Sees to it that nobody waits for too long.
    private func startTimer() {
        guard !isTimed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        schedule(after: patience)
    }

    private func schedule(after delay: UInt64) {
        do {
            let next = try timers.start(delay: delay) { [weak self] in self?.expire() }
            timer.withLock { $0 = next }
        } catch {
            isTimed.store(false, ordering: .releasing)
            log.error("requests that wait for a seat cannot be timed", ["reason": .string("\(error)")])
        }
    }

    private func expire() {
        let now = monotonicNanoseconds()
        let next = table.levels.compactMap { $0.expire(now) }.min()
        guard let next else {
            isTimed.store(false, ordering: .releasing)
            // Who came meanwhile has found the timer set.
            if table.levels.contains(where: { $0.waiting > 0 }) { startTimer() }
            return
        }
        schedule(after: max(next, now + 1_000_000) - now)
    }

    // MARK: - What is stored

    func update(schema name: String, _ object: JSON?) {
        change { $0.schemas[name] = object.map(FlowSchema.init) }
    }

    func update(level name: String, _ object: JSON?) {
        change { $0.levels[name] = object.map(PriorityLevelSettings.init) }
    }

    /// All that was stored at the start has been taken in.
    func filled() { change { $0.isFilling = false } }

    private func change(_ apply: (inout State) -> Void) {
        let old = state.withLock { state -> FlowTable? in
            apply(&state)
            guard !state.isFilling else { return nil }
            let old = state.table
            state.table = FlowTable(
                schemas: Array(state.schemas.values), levels: Array(state.levels.values), totalSeats: totalSeats)
            return old
        }
        guard let old else { return }
        metrics?.publish(old)
        // Changes are rare: what waits under the former settings runs.
        for level in old.levels { level.drain() }
    }

    /// Brings the metrics up to date, as whoever reads them wants them.
    func publish() { metrics?.publish(table) }

    func stop() {
        timer.withLock { $0 }?.cancel()
        for level in table.levels { level.drain() }
    }
}

extension HTTPResponse {
    fileprivate func adding(_ more: [(name: String, value: String)]) -> HTTPResponse {
        var response = self
        if response.headers.isEmpty { response.headers = more } else { response.headers += more }
        return response
    }
}
