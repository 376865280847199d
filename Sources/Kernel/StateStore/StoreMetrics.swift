import PluginAPI
import Synchronization

/// The store's own series.
final class StoreMetrics: Sendable {
    private let metrics: Metrics
    private let batches, writes, seconds: UInt64
    private let revision, keys, bytes, historyRecords, historyBytes: UInt64
    private let watches, resyncs, overflows, queuedBytes: UInt64
    private let counted = Mutex((resyncs: 0, overflows: 0))

    init(_ metrics: Metrics) throws(StoreError) {
        self.metrics = metrics
        batches = try metrics.define(HOSTD_METRIC_COUNTER, "hostd_store_batches_total")
        writes = try metrics.define(HOSTD_METRIC_COUNTER, "hostd_store_writes_total")
        seconds = try metrics.define(HOSTD_METRIC_HISTOGRAM, "hostd_store_commit_duration_seconds")
        revision = try metrics.define(HOSTD_METRIC_GAUGE, "hostd_store_revision")
        keys = try metrics.define(HOSTD_METRIC_GAUGE, "hostd_store_keys")
        bytes = try metrics.define(HOSTD_METRIC_GAUGE, "hostd_store_object_bytes")
        historyRecords = try metrics.define(HOSTD_METRIC_GAUGE, "hostd_store_history_records")
        historyBytes = try metrics.define(HOSTD_METRIC_GAUGE, "hostd_store_history_bytes")
        watches = try metrics.define(HOSTD_METRIC_GAUGE, "hostd_store_watches")
        resyncs = try metrics.define(HOSTD_METRIC_COUNTER, "hostd_store_watch_resyncs_total")
        overflows = try metrics.define(HOSTD_METRIC_COUNTER, "hostd_store_watch_overflows_total")
        queuedBytes = try metrics.define(HOSTD_METRIC_GAUGE, "hostd_store_watch_queued_bytes")
    }

    /// One batch of `count` writes was on disk `nanoseconds` after it was taken up. [committer]
    func committed(_ count: Int, nanoseconds: UInt64) {
        record(batches, 1)
        record(writes, Double(count))
        record(seconds, Double(nanoseconds) / 1e9)
    }

    /// Sets the gauges; called when metrics are collected.
    func collect(_ parts: StateStore.Parts) {
        let numbers = parts.lock.reading {
            [
                (revision, Double(parts.tree.revision)), (keys, Double(parts.tree.liveCount)),
                (bytes, Double(parts.tree.liveBytes)), (historyRecords, Double(parts.tree.historyCount)),
                (historyBytes, Double(parts.tree.historyBytes)),
            ]
        }
        for (metric, value) in numbers { record(metric, value) }
        record(watches, Double(parts.hub.count))
        let accounts = parts.hub.accounts
        record(queuedBytes, Double(accounts.queuedBytes))
        let news = counted.withLock { counted in
            defer { counted = (accounts.resyncs, accounts.overflows) }
            return (resyncs: accounts.resyncs - counted.resyncs, overflows: accounts.overflows - counted.overflows)
        }
        record(resyncs, Double(news.resyncs))
        record(overflows, Double(news.overflows))
    }

    private func record(_ metric: UInt64, _ value: Double) {
        do throws(StoreError) {
            try metrics.record(metric, value)
        } catch {
            // SAFETY: the handles were defined by `init` in the same registry, and series are never removed.
            preconditionFailure(error.message)
        }
    }
}
