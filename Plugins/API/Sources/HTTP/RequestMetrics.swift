import PluginKit
import Synchronization

/// Counts and times of requests, by verb and status, in the names that Kubernetes' dashboards know.
final class RequestMetrics: Sendable {
    private let metrics: Metrics?
    private let log: Log
    private let hasWarned = Atomic<Bool>(false)
    private let counters = Mutex<[Int: Metrics.Series]>([:])
    private let durations = Mutex<[String: Metrics.Series]>([:])

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
    func record(verb: String, status: Int, nanoseconds: UInt64) {
        guard let metrics else { return }
        let counter = counters.withLock { series -> Metrics.Series? in
            let key = Self.verbs.firstIndex(of: verb).map { $0 * 1000 + status } ?? -status
            if series[key] == nil {
                series[key] = define(
                    metrics, .counter, "apiserver_request_total",
                    labels: "verb=\"\(key < 0 ? "OTHER" : verb)\",code=\"\(status)\"")
            }
            return series[key]
        }
        let duration = durations.withLock { series -> Metrics.Series? in
            let key = Self.verbs.contains(verb) ? verb : "OTHER"
            if series[key] == nil {
                series[key] = define(
                    metrics, .histogram, "apiserver_request_duration_seconds", labels: "verb=\"\(key)\"")
            }
            return series[key]
        }
        counter?.record(1)
        duration?.record(Double(nanoseconds) / 1e9)
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

    private static let verbs = ["GET", "POST", "PUT", "PATCH", "DELETE"]
}
