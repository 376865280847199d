import PluginKit
import Synchronization

/// What priority and fairness tells of itself, in the names that Kubernetes' dashboards know. Requests only count in memory;
/// the series are brought up to date when they are read.
final class FlowMetrics: Sendable {
    private let metrics: Metrics
    private let log: Log
    private struct State {
        var series: [String: Metrics.Series] = [:]
        /// What is published already, by counter.
        var published: [ObjectIdentifier: UInt64] = [:]
        var refused: [ObjectIdentifier: [PriorityLevel.RefusalCount: UInt64]] = [:]
        var hasWarned = false
    }
    private let state = Mutex(State())

    /// Nil, with a warning, where the host has no metrics.
    init?(_ host: Host) {
        log = host.log
        do {
            metrics = try host.metrics()
        } catch {
            host.log.warning("flows are not counted", ["reason": .string(error.message)])
            return nil
        }
    }

    func publish(_ table: FlowTable) {
        state.withLock { state in
            for (schema, counter) in zip(table.schemas, table.dispatched) {
                let value = counter.value.load(ordering: .relaxed)
                let identifier = ObjectIdentifier(counter)
                let new = value - (state.published[identifier] ?? 0)
                state.published[identifier] = value
                guard new > 0 else { continue }
                record(
                    &state, .counter, "apiserver_flowcontrol_dispatched_requests_total",
                    "flow_schema=\"\(schema.name)\",priority_level=\"\(schema.level)\"", Double(new))
            }
            // Counters of tables that are no more are not looked at again.
            let present = Set(table.dispatched.map { ObjectIdentifier($0) })
            state.published = state.published.filter { present.contains($0.key) }
            for level in table.levels { publish(level, &state) }
            let levels = Set(table.levels.map { ObjectIdentifier($0) })
            state.refused = state.refused.filter { levels.contains($0.key) }
        }
    }

    private func publish(_ level: PriorityLevel, _ state: inout State) {
        let label = "priority_level=\"\(level.settings.name)\""
        for (name, value) in [
            ("apiserver_flowcontrol_nominal_limit_seats", level.limits.nominal),
            ("apiserver_flowcontrol_lower_limit_seats", level.limits.nominal - level.limits.lendable),
            ("apiserver_flowcontrol_current_executing_seats", level.used),
            ("apiserver_flowcontrol_current_executing_requests", level.executing),
            ("apiserver_flowcontrol_current_inqueue_requests", level.waiting),
        ] { record(&state, .gauge, name, label, Double(value)) }
        let refused = level.refused
        let told = state.refused.updateValue(refused, forKey: ObjectIdentifier(level)) ?? [:]
        for (key, count) in refused where count > told[key] ?? 0 {
            record(
                &state, .counter, "apiserver_flowcontrol_rejected_requests_total",
                "flow_schema=\"\(key.schema)\",\(label),reason=\"\(key.reason.rawValue)\"",
                Double(count - (told[key] ?? 0)))
        }
    }

    private func record(
        _ state: inout State, _ kind: Metrics.Kind, _ name: String, _ labels: String, _ value: Double
    ) {
        let key = name + "{" + labels
        if state.series[key] == nil {
            do {
                state.series[key] = try metrics.define(kind, name, labels: labels)
            } catch {
                if !state.hasWarned { log.warning("some flows are not counted", ["reason": .string(error.message)]) }
                state.hasWarned = true
            }
        }
        state.series[key]?.record(value)
    }
}
