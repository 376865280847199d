import Synchronization

/// How often probes were tried and how they ended, as a kubelet tells it at /metrics/probes.
final class ProbeMetrics: Sendable {
    struct Key: Hashable, Sendable {
        var podUID: String
        var container: String
        var kind: ProbeKind
    }
    private struct Counts {
        var namespace: String
        var pod: String
        var succeeded = 0
        var failed = 0
        /// Seconds that successful tries took: how many took at most so long, and all together.
        var buckets = [Int](repeating: 0, count: ProbeMetrics.bounds.count)
        var seconds = 0.0
    }

    /// Upper bounds in seconds.
    static let bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

    private let counts = Mutex<[Key: Counts]>([:])

    func record(_ key: Key, namespace: String, pod: String, success: Bool, seconds: Double) {
        counts.withLock { counts in
            var entry = counts[key] ?? Counts(namespace: namespace, pod: pod)
            if success {
                entry.succeeded += 1
                entry.seconds += seconds
                for (index, bound) in Self.bounds.enumerated() where seconds <= bound { entry.buckets[index] += 1 }
            } else {
                entry.failed += 1
            }
            counts[key] = entry
        }
    }

    func forget(podUID: String) {
        counts.withLock { counts in
            guard !counts.isEmpty else { return }
            counts = counts.filter { $0.key.podUID != podUID }
        }
    }

    private static let total = MetricPage.Metric(
        "prober_probe_total", "counter", "[BETA] How often a probe of a container has ended so")
    private static let duration = MetricPage.Metric(
        "prober_probe_duration_seconds", "histogram", "[ALPHA] Seconds that successful probes took")

    /// - Parameter startSeconds: When this process was started, in seconds since 1970.
    func text(startSeconds: Double?) -> String {
        var page = MetricPage()
        if let startSeconds {
            page.add(
                MetricPage.Metric(
                    "process_start_time_seconds", "gauge", "[ALPHA] When the process was started, in seconds since 1970"
                ),
                [], String(startSeconds))
        }
        let all = counts.withLock { $0 }.sorted {
            ($0.value.namespace, $0.value.pod, $0.key.container, $0.key.kind.rawValue)
                < ($1.value.namespace, $1.value.pod, $1.key.container, $1.key.kind.rawValue)
        }
        for (key, entry) in all { add(key, entry, &page) }
        return page.text + all.map { Self.histogram($0.key, $0.value) }.joined(separator: "").withHead(Self.duration)
    }

    private func add(_ key: Key, _ entry: Counts, _ page: inout MetricPage) {
        for (result, count) in [("successful", entry.succeeded), ("failed", entry.failed)] where count > 0 {
            page.add(
                Self.total,
                [
                    ("container", key.container), ("namespace", entry.namespace), ("pod", entry.pod),
                    ("pod_uid", key.podUID), ("probe_type", key.kind.rawValue), ("result", result),
                ], String(count))
        }
    }

    private static func histogram(_ key: Key, _ entry: Counts) -> String {
        guard entry.succeeded > 0 else { return "" }
        let labels =
            "container=\"\(key.container)\",namespace=\"\(entry.namespace)\",pod=\"\(entry.pod)\","
            + "probe_type=\"\(key.kind.rawValue)\""
        var text = ""
        for (bound, count) in zip(bounds, entry.buckets) {
            text += "\(duration.name)_bucket{\(labels),le=\"\(bound)\"} \(count)\n"
        }
        return text + "\(duration.name)_bucket{\(labels),le=\"+Inf\"} \(entry.succeeded)\n"
            + "\(duration.name)_sum{\(labels)} \(entry.seconds)\n\(duration.name)_count{\(labels)} \(entry.succeeded)\n"
    }
}

extension String {
    /// Series of a metric with its help and type; nothing where there are none.
    fileprivate func withHead(_ metric: MetricPage.Metric) -> String {
        isEmpty ? "" : "# HELP \(metric.name) \(metric.help)\n# TYPE \(metric.name) \(metric.type)\n" + self
    }
}
