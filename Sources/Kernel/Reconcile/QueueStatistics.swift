/// Durations counted by size, without atomics: behind a lock of the owner's.
struct DurationCounts {
    /// `MetricSeries.secondBounds` in nanoseconds.
    private static let bounds: [UInt64] = MetricSeries.secondBounds.map { UInt64($0 * 1e9) }

    private(set) var buckets = [UInt64](repeating: 0, count: MetricSeries.secondBounds.count)
    private(set) var count: UInt64 = 0
    private(set) var nanoseconds: UInt64 = 0

    @inline(__always)
    mutating func record(nanoseconds duration: UInt64) {
        count += 1
        nanoseconds &+= duration
        Self.bounds.withUnsafeBufferPointer { bounds in
            var bucket = 0
            while bucket < bounds.count, duration > bounds[bucket] { bucket += 1 }
            if bucket < bounds.count { buckets[bucket] += 1 }
        }
    }

    /// What was counted since the last call, given to a series.
    mutating func move(to series: UInt64, of metrics: Metrics) {
        if count == 0 { return }
        metrics.merge(series, buckets: buckets, count: count, sum: Double(nanoseconds) / 1e9)
        for bucket in buckets.indices { buckets[bucket] = 0 }
        count = 0
        nanoseconds = 0
    }
}

/// What a queue counts, behind its lock, until the next collection takes it.
struct QueueStatistics {
    var adds = 0
    var retries = 0
    var dropped = 0
    var waited = DurationCounts()
    var worked = DurationCounts()
}
