import Objects
import PluginKit

/// Sends events to another server, in lists (EventList of audit.k8s.io/v1), by a thread of its own. Requests do not wait for it:
/// events that find its buffer full are dropped, and counted.
/// See https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#webhook-backend.
final class AuditWebhook: AuditSink, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): what changes is guarded by `monitor`, but `batching` and `isFailing`, which are the thread's,
    // and `thread`, which is set by `start` and read by `stop`, one after the other.
    /// How long `stop` goes on sending, in nanoseconds.
    private static let farewell: UInt64 = 5_000_000_000

    private let settings: AuditWebhookSettings
    private let client: WebhookClient
    private let log: Log
    private let monitor = Monitor()
    private var queue: [[UInt8]] = []
    /// When the oldest event of the queue came: CLOCK_MONOTONIC, nanoseconds.
    private var since: UInt64 = 0
    private var lost: UInt64 = 0
    private var end: UInt64?
    private var batching: AuditBatching
    private var isFailing = false
    private var thread: PluginThread?
    private let errors: Metrics.Series?

    init(_ settings: AuditWebhookSettings, _ host: Host) throws(PluginError) {
        self.settings = settings
        client = WebhookClient(store: try host.store())
        log = host.log
        batching = AuditBatching(settings, now: monotonicNanoseconds())
        let metrics = try host.metrics()
        errors = try metrics.define(.counter, "apiserver_audit_error_total", labels: "plugin=\"webhook\"")
    }

    func start() throws(PluginError) {
        thread = try PluginThread(name: "api-audit-hook") { [self] in serve() }
    }

    /// Events that found no room, or could not be sent.
    var lostCount: UInt64 { monitor.locked { lost } }

    func append(_ event: [UInt8]) {
        monitor.lock()
        defer { monitor.unlock() }
        guard queue.count < settings.bufferSize, end == nil else {
            lost += 1
            errors?.record(1)
            return
        }
        if queue.isEmpty { since = monotonicNanoseconds() }
        queue.append(event)
        // The thread waits for a first event, and for a full batch.
        if queue.count == 1 || queue.count == settings.batchMaximumSize { monitor.broadcast() }
    }

    /// Sends what waits, for five seconds at most, and ends the thread.
    func stop() {
        monitor.locked { end = end ?? monotonicNanoseconds() + Self.farewell }
        monitor.broadcast()
        thread?.join()
    }

    // MARK: - The thread

    private func serve() {
        while let batch = next() { send(batch) }
    }

    /// The next batch, when it is due; nil at the end.
    private func next() -> [[UInt8]]? {
        monitor.lock()
        defer { monitor.unlock() }
        while true {
            let now = monotonicNanoseconds()
            if let end {
                guard !queue.isEmpty, now < end else {
                    lost += UInt64(queue.count)
                    return nil
                }
                break
            }
            guard !queue.isEmpty else {
                monitor.wait()
                continue
            }
            let isDue = queue.count >= settings.batchMaximumSize || now >= since + settings.batchMaximumWait
            let moment = isDue ? batching.free(now) : since + settings.batchMaximumWait
            if isDue, moment <= now { break }
            _ = monitor.wait(until: moment)
        }
        batching.take(monotonicNanoseconds())
        let batch = Array(queue.prefix(settings.batchMaximumSize))
        queue.removeFirst(batch.count)
        since = monotonicNanoseconds()
        return batch
    }

    private func send(_ batch: [[UInt8]]) {
        var body = Array(#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#.utf8)
        body.append(contentsOf: batch.joined(separator: [0x2C]))
        body.append(contentsOf: "]}".utf8)
        var attempt = 0
        while true {
            do throws(UpstreamError) {
                try settings.connection.send(body, client)
                if isFailing { log.info("the audit webhook answers again") }
                isFailing = false
                return
            } catch {
                // Told of once until it is well again; each event is counted.
                if !isFailing { log.error("the audit webhook does not answer", ["reason": .string(error.description)]) }
                isFailing = true
                attempt += 1
                guard error.mayPass, attempt < AuditBatching.attempts, pause(batching.delay(attempt)) else {
                    errors?.record(Double(batch.count))
                    monitor.locked { lost += UInt64(batch.count) }
                    return
                }
            }
        }
    }

    /// Waits before another attempt; false when the end comes first.
    private func pause(_ duration: UInt64) -> Bool {
        monitor.lock()
        defer { monitor.unlock() }
        let moment = monotonicNanoseconds() + duration
        while end == nil, monotonicNanoseconds() < moment { _ = monitor.wait(until: moment) }
        return end == nil
    }
}

/// How often batches are sent, and how long is waited after a failure. Pure.
struct AuditBatching: Sendable {
    /// How often a batch is tried.
    static let attempts = 5

    private let settings: AuditWebhookSettings
    /// Batches that may be sent at once, and when that was so: CLOCK_MONOTONIC, nanoseconds.
    private var tokens: Double
    private var counted: UInt64

    init(_ settings: AuditWebhookSettings, now: UInt64) {
        self.settings = settings
        tokens = Double(settings.throttleBurst)
        counted = now
    }

    private func tokens(_ now: UInt64) -> Double {
        min(Double(settings.throttleBurst), tokens + Double(now - counted) / 1e9 * settings.throttleRate)
    }

    /// When the next batch may be sent.
    func free(_ now: UInt64) -> UInt64 {
        let present = tokens(now)
        return present >= 1 ? now : now + UInt64((1 - present) / settings.throttleRate * 1e9) + 1
    }

    /// A batch is sent.
    mutating func take(_ now: UInt64) {
        tokens = max(tokens(now) - 1, 0)
        counted = now
    }

    /// How long is waited before attempt `attempt + 1`, in nanoseconds: half as much again each time.
    func delay(_ attempt: Int) -> UInt64 {
        var delay = Double(settings.initialBackoff)
        for _ in 1..<max(attempt, 1) { delay *= 1.5 }
        return UInt64(delay)
    }
}
