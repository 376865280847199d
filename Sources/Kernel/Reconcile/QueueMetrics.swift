import PluginAPI

/// The series of all queues of one name, under the names that such queues have in other orchestrators.
/// Queues count behind their own locks; the series follow when the metrics are collected.
struct QueueMetrics: Sendable {
    private let depth: [UInt64]
    private let adds, retries, dropped, running, unfinished, longest, waited, worked: UInt64
    private let metrics: Metrics

    init(metrics: Metrics, name: String) throws(StoreError) {
        let escaped = name.map { $0 == "\\" || $0 == "\"" || $0.isNewline ? "_" : String($0) }.joined()
        let labels = "name=\"\(escaped)\""
        func define(_ kind: Int32, _ name: String, _ more: String = "") throws(StoreError) -> UInt64 {
            try metrics.define(kind, "workqueue_\(name)", labels: labels + more)
        }
        self.metrics = metrics
        depth = [
            try define(HOSTD_METRIC_GAUGE, "depth", ",priority=\"interactive\""),
            try define(HOSTD_METRIC_GAUGE, "depth", ",priority=\"background\""),
        ]
        adds = try define(HOSTD_METRIC_COUNTER, "adds_total")
        retries = try define(HOSTD_METRIC_COUNTER, "retries_total")
        dropped = try define(HOSTD_METRIC_COUNTER, "dropped_total")
        running = try define(HOSTD_METRIC_GAUGE, "running")
        unfinished = try define(HOSTD_METRIC_GAUGE, "unfinished_work_seconds")
        longest = try define(HOSTD_METRIC_GAUGE, "longest_running_processor_seconds")
        waited = try define(HOSTD_METRIC_HISTOGRAM, "queue_duration_seconds")
        worked = try define(HOSTD_METRIC_HISTOGRAM, "work_duration_seconds")
    }

    /// Brings the series up to date with the queues of this name, which may be none any more.
    func collect(_ queues: [ReconcileQueue]) {
        var depths = [0.0, 0.0]
        var count = 0
        var ages: [Double] = []
        for queue in queues {
            queue.inspect { work, _ in
                take(&work.statistics)
                for priority in FairQueue.Priority.allCases {
                    depths[Int(priority.rawValue)] += Double(work.readyCount(priority))
                }
                count += work.running.count
                let now = monotonicNow()
                ages += work.running.map { Double(now - min($0.since, now)) / 1e9 }
            }
        }
        for (series, value) in zip(depth, depths) { metrics.recordKnown(series, value) }
        metrics.recordKnown(running, Double(count))
        metrics.recordKnown(unfinished, ages.reduce(0, +))
        metrics.recordKnown(longest, ages.max() ?? 0)
    }

    private func take(_ statistics: inout QueueStatistics) {
        metrics.recordKnown(adds, Double(statistics.adds))
        metrics.recordKnown(retries, Double(statistics.retries))
        metrics.recordKnown(dropped, Double(statistics.dropped))
        statistics.adds = 0
        statistics.retries = 0
        statistics.dropped = 0
        statistics.waited.move(to: waited, of: metrics)
        statistics.worked.move(to: worked, of: metrics)
    }
}
