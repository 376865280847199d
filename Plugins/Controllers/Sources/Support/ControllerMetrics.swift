import PluginKit
import Synchronization

/// Figures of the controllers and of scheduling, in the names, labels and buckets of Kubernetes' controller manager and scheduler.
/// A series is made when there is something to tell.
final class ControllerMetrics: Sendable {
    private let metrics: Metrics?
    private let log: Log
    private struct State {
        var series: [String: Metrics.Series] = [:]
        var hasWarned = false
    }
    private let state = Mutex(State())

    /// Without the host's metrics nothing is counted.
    init(_ host: Host) {
        log = host.log
        do { metrics = try host.metrics() } catch {
            host.log.warning("controllers count nothing", ["reason": .string(error.message)])
            metrics = nil
        }
    }

    /// Bounds that double, from the first on.
    static func doubling(from first: Double, count: Int) -> [Double] {
        (0..<count).map { first * Double(1 << $0) }
    }

    /// - Parameter labels: in Prometheus' form without braces.
    func count(_ name: String, _ labels: String = "", by amount: Int = 1) {
        record(.counter, name, labels, Double(amount))
    }

    func set(_ name: String, _ labels: String = "", _ value: Int) { record(.gauge, name, labels, Double(value)) }

    func observe(_ name: String, _ labels: String = "", _ value: Double, bounds: [Double]) {
        record(.histogram, name, labels, value, bounds)
    }

    private func record(
        _ kind: Metrics.Kind, _ name: String, _ labels: String, _ value: Double, _ bounds: [Double]? = nil
    ) {
        guard let metrics else { return }
        let found = state.withLock { state -> Metrics.Series? in
            let key = "\(name){\(labels)"
            if let known = state.series[key] { return known }
            do throws(PluginError) {
                let new = try metrics.define(kind, name, labels: labels, bounds: bounds)
                state.series[key] = new
                return new
            } catch {
                if !state.hasWarned {
                    log.warning("some figures are not kept", ["series": .string(name), "reason": .string("\(error)")])
                }
                state.hasWarned = true
                return nil
            }
        }
        found?.record(value)
    }
}
