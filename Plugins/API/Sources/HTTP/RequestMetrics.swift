import PluginKit
import Synchronization

/// Counts and times of requests, in the names that Kubernetes' dashboards know.
final class RequestMetrics: Sendable {
    private let metrics: Metrics?
    private let log: Log
    private let hasWarned = Atomic<Bool>(false)
    private struct Series: Sendable {
        var counter: Metrics.Series?
        var duration: Metrics.Series?
    }
    private struct Key: Hashable {
        var labels: RequestLabels
        var status: Int
    }
    private let series = Mutex<[Key: Series]>([:])

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

    /// - Parameter nanoseconds: From the request's arrival to its answer, or to the head of a stream.
    func record(_ labels: RequestLabels, status: Int, nanoseconds: UInt64) {
        guard let metrics else { return }
        let found = series.withLock { series -> Series in
            let key = Key(labels: labels, status: status)
            if let known = series[key] { return known }
            let text = labels.text
            let new = Series(
                counter: define(metrics, .counter, "apiserver_request_total", labels: "code=\"\(status)\",\(text)"),
                // The host has one series of a name and labels.
                duration: define(metrics, .histogram, "apiserver_request_duration_seconds", labels: text))
            series[key] = new
            return new
        }
        found.counter?.record(1)
        found.duration?.record(Double(nanoseconds) / 1e9)
    }

    /// A series that cannot be defined is told of once: requests go on without it.
    private func define(_ metrics: Metrics, _ kind: Metrics.Kind, _ name: String, labels: String) -> Metrics.Series? {
        do { return try metrics.define(kind, name, labels: labels) } catch {
            if !hasWarned.exchange(true, ordering: .relaxed) {
                log.warning("some requests are not counted", ["series": .string(name), "reason": .string("\(error)")])
            }
            return nil
        }
    }
}
