import PluginAPI

/// Counters, gauges and histograms (hostd.metrics/1). Any thread.
public struct Metrics: @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_metrics_1>

    init(_ table: UnsafePointer<hostd_metrics_1>) { self.table = table }

    public enum Kind: Sendable { case counter, gauge, histogram }

    /// One series. Recording costs well under a microsecond.
    public struct Series: @unchecked Sendable {
        // SAFETY: as for Metrics.
        fileprivate let table: UnsafePointer<hostd_metrics_1>
        fileprivate let handle: UInt64

        /// Adds to a counter, sets a gauge, or observes a value in a histogram.
        public func record(_ value: Double) {
            cancelQuietly { table.pointee.record(table.pointee.interface.`self`, handle, value, $0) }
        }
    }

    /// Defines a series, or finds it. `labels` is in Prometheus' form without braces: `queue="pods"`.
    /// - Parameter bounds: The upper bounds of a histogram's buckets, rising; nil: the host's.
    public func define(
        _ kind: Kind, _ name: String, labels: String = "", bounds: [Double]? = nil
    ) throws(PluginError) -> Series {
        var labels = labels
        if kind == .histogram, let bounds {
            labels += "\(labels.isEmpty ? "" : ",")le=\"\(bounds.map(\.description).joined(separator: ","))\""
        }
        let number: Int32 =
            switch kind {
            case .counter: HOSTD_METRIC_COUNTER
            case .gauge: HOSTD_METRIC_GAUGE
            case .histogram: HOSTD_METRIC_HISTOGRAM
            }
        var handle: UInt64 = 0
        try checked { error in
            lend(name) { nameData, nameSize in
                lend(labels) { labelData, labelSize in
                    table.pointee.define(
                        table.pointee.interface.`self`, UInt32(number), nameData, nameSize, labelData, labelSize,
                        &handle, error)
                }
            }
        }
        return Series(table: table, handle: handle)
    }

    /// All series of host and plugins in Prometheus' text format.
    public func collect() throws(PluginError) -> OwnedBuffer {
        try checkedBuffer { table.pointee.collect(table.pointee.interface.`self`, $0, $1) }
    }
}
