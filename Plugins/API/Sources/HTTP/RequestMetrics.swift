import PluginKit
import Synchronization

/// Counts and times of requests, in the names, labels and buckets that Kubernetes' dashboards know.
final class RequestMetrics: Sendable {
    private let metrics: Metrics?
    private let log: Log
    private let hasWarned = Atomic<Bool>(false)
    private struct Series: Sendable {
        var counter: Metrics.Series?
        var duration: Metrics.Series?
        /// Of the answers to reads.
        var size: Metrics.Series?
    }
    private struct Key: Hashable {
        var labels: RequestLabels
        var status: Int
    }
    private let series = Mutex<[Key: Series]>([:])
    private let writing = Atomic<Int>(0)
    private let reading = Atomic<Int>(0)
    /// Requests that go on for as long as their clients want.
    private let longRunning = Mutex<[RequestLabels: Int]>([:])

    /// Upper bounds of the times of requests, in seconds.
    static let secondBounds = [
        0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
    ]
    /// Upper bounds of the sizes of answers, in bytes.
    static let sizeBounds: [Double] = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]

    /// Without the host's metrics nothing is counted.
    init(_ host: Host) {
        log = host.log
        do {
            metrics = try host.metrics()
        } catch {
            host.log.warning("requests are not counted", ["reason": .string(error.message)])
            metrics = nil
        }
    }

    /// - Parameters:
    ///   - nanoseconds: From the request's arrival to its answer, or to the head of a stream.
    ///   - size: Bytes of an answer that is whole.
    func record(_ labels: RequestLabels, status: Int, nanoseconds: UInt64, size: Int? = nil) {
        guard let metrics else { return }
        let found = series.withLock { series -> Series in
            let key = Key(labels: labels, status: status)
            if let known = series[key] { return known }
            // The host has one series of a name and labels.
            let new = Series(
                counter: define(metrics, .counter, "apiserver_request_total", labels: labels.text(status: status)),
                duration: define(
                    metrics, .histogram, "apiserver_request_duration_seconds", labels: labels.text(), Self.secondBounds),
                size: labels.isRead
                    ? define(
                        metrics, .histogram, "apiserver_response_sizes", labels: labels.text(showsDryRun: false),
                        Self.sizeBounds) : nil)
            series[key] = new
            return new
        }
        found.counter?.record(1)
        found.duration?.record(Double(nanoseconds) / 1e9)
        if let size { found.size?.record(Double(size)) }
    }

    /// A series that cannot be defined is told of once: requests go on without it.
    private func define(
        _ metrics: Metrics, _ kind: Metrics.Kind, _ name: String, labels: String, _ bounds: [Double]? = nil
    ) -> Metrics.Series? {
        do { return try metrics.define(kind, name, labels: labels, bounds: bounds) } catch {
            if !hasWarned.exchange(true, ordering: .relaxed) {
                log.warning("some requests are not counted", ["series": .string(name), "reason": .string("\(error)")])
            }
            return nil
        }
    }

    // MARK: - What goes on

    /// A request has come, or is answered.
    func isInFlight(_ difference: Int, writes: Bool) {
        if writes {
            writing.wrappingAdd(difference, ordering: .relaxed)
        } else {
            reading.wrappingAdd(difference, ordering: .relaxed)
        }
    }

    /// A stream has begun, or ended.
    func isLongRunning(_ difference: Int, _ labels: RequestLabels) {
        longRunning.withLock { $0[labels, default: 0] += difference }
    }

    /// What goes on at this moment, as Prometheus' text.
    var text: String {
        var text = "# TYPE apiserver_current_inflight_requests gauge\n"
        text += "apiserver_current_inflight_requests{request_kind=\"mutating\"} \(writing.load(ordering: .relaxed))\n"
        text += "apiserver_current_inflight_requests{request_kind=\"readOnly\"} \(reading.load(ordering: .relaxed))\n"
        let open = longRunning.withLock { $0 }
        if !open.isEmpty { text += "# TYPE apiserver_longrunning_requests gauge\n" }
        let lines = open.map { "apiserver_longrunning_requests{\($0.key.text(showsDryRun: false))} \($0.value)\n" }
        return text + lines.sorted().joined()
    }
}
