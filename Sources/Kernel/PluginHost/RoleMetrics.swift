import PluginAPI
import Synchronization

/// Carries the interposer's figures into hostd.metrics/1 whenever somebody collects: calls, errors and time by role, plugin
/// and slot. Generations of a plugin add up.
public final class RoleMetrics: Sendable {
    private struct Series {
        var calls: UInt64
        var errors: UInt64
        var slow: UInt64
        var time: UInt64
        /// What was carried over of the generation's target.
        var last = RoleTarget.Figures()
        var target: ObjectIdentifier?
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
        for (plugin, role, target) in host.allTargets { add(plugin, role, target) }
    }

    /// Takes over the figures of one provider; for the last time before they are given back.
    func add(_ plugin: String, _ role: String, _ target: RoleTarget) {
        for slot in 0..<target.descriptor.count {
            let figures = target.figures(slot: slot)
            guard figures.calls > 0 else { continue }
            let labels = "role=\"\(role)\",plugin=\"\(plugin)\",slot=\"\(target.descriptor.name(slot))\""
            do throws(StoreError) { try add(figures, labels, ObjectIdentifier(target)) } catch {
                log.warning(
                    "the figures of a role cannot be shown", ["role": .string(role), "reason": .string(error.message)])
                return
            }
        }
    }

    /// Counters only grow: what is new since the last time is added.
    private func add(_ figures: RoleTarget.Figures, _ labels: String, _ target: ObjectIdentifier) throws(StoreError) {
        try series.withLock { series throws(StoreError) in
            if series[labels] == nil { series[labels] = try make(labels) }
            guard var entry = series[labels] else { return }
            if entry.target != target { (entry.target, entry.last) = (target, RoleTarget.Figures()) }
            try metrics.record(entry.calls, Double(figures.calls &- entry.last.calls))
            try metrics.record(entry.errors, Double(figures.errors &- entry.last.errors))
            try metrics.record(entry.slow, Double(figures.slow &- entry.last.slow))
            if figures.totalNanoseconds > entry.last.totalNanoseconds {
                try metrics.record(entry.time, Double(figures.totalNanoseconds - entry.last.totalNanoseconds) / 1e9)
            }
            entry.last = figures
            series[labels] = entry
        }
    }

    private func make(_ labels: String) throws(StoreError) -> Series {
        func counter(_ name: String) throws(StoreError) -> UInt64 {
            try metrics.define(HOSTD_METRIC_COUNTER, name, labels: labels)
        }
        return Series(
            calls: try counter("hostd_role_calls_total"), errors: try counter("hostd_role_errors_total"),
            slow: try counter("hostd_role_slow_calls_total"), time: try counter("hostd_role_seconds_total"))
    }
}
