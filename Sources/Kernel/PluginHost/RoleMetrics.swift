import PluginAPI
import Synchronization

/// Carries the interposer's figures into hostd.metrics/1 whenever somebody collects: calls, errors and time by role, plugin
/// and slot.
public final class RoleMetrics: Sendable {
    private struct Series {
        var calls: UInt64
        var errors: UInt64
        var time: UInt64
        var last = RoleTarget.Figures()
    }

    private let host: PluginHost
    private let metrics: Metrics
    private let log: Log
    private let series = Mutex<[String: Series]>([:])

    init(host: PluginHost, metrics: Metrics, log: Log) {
        self.host = host
        self.metrics = metrics
        self.log = log
    }

    func collect() {
        for (plugin, role, target) in host.allTargets {
            for slot in 0..<target.descriptor.count {
                let figures = target.figures(slot: slot)
                guard figures.calls > 0 else { continue }
                let labels = "role=\"\(role)\",plugin=\"\(plugin)\",slot=\"\(target.descriptor.name(slot))\""
                do throws(StoreError) { try add(figures, labels) } catch {
                    log.warning(
                        "the figures of a role cannot be shown",
                        ["role": .string(role), "reason": .string(error.message)])
                    return
                }
            }
        }
    }

    /// Counters only grow: what is new since the last time is added.
    private func add(_ figures: RoleTarget.Figures, _ labels: String) throws(StoreError) {
        var entry: Series
        if let known = series.withLock({ $0[labels] }) {
            entry = known
        } else {
            entry = Series(
                calls: try metrics.define(HOSTD_METRIC_COUNTER, "hostd_role_calls_total", labels: labels),
                errors: try metrics.define(HOSTD_METRIC_COUNTER, "hostd_role_errors_total", labels: labels),
                time: try metrics.define(HOSTD_METRIC_COUNTER, "hostd_role_seconds_total", labels: labels))
        }
        try metrics.record(entry.calls, Double(figures.calls &- entry.last.calls))
        try metrics.record(entry.errors, Double(figures.errors &- entry.last.errors))
        if figures.totalNanoseconds > entry.last.totalNanoseconds {
            try metrics.record(entry.time, Double(figures.totalNanoseconds - entry.last.totalNanoseconds) / 1e9)
        }
        entry.last = figures
        series.withLock { $0[labels] = entry }
    }
}
