import Objects

/// The use of processors and memory as a kubelet serves it at /metrics/resource, from a summary of /stats/summary: what metrics
/// servers read.
struct ResourceMetrics {
    /// The object that /stats/summary answers with; null when it could not be made.
    let summary: JSON

    private typealias Metric = MetricPage.Metric

    private static let nodeProcessor = Metric(
        "node_cpu_usage_seconds_total", "counter", "[STABLE] Seconds that the node's cores have worked since its start")
    private static let nodeMemory = Metric(
        "node_memory_working_set_bytes", "gauge",
        "[STABLE] Bytes of memory in use on the node that cannot be given back")
    private static let nodeSwap = Metric("node_swap_usage_bytes", "gauge", "[ALPHA] Bytes of swap in use on the node")
    private static let containerStart = Metric(
        "container_start_time_seconds", "gauge", "[STABLE] When the container was started, in seconds since 1970")
    private static let containerProcessor = Metric(
        "container_cpu_usage_seconds_total", "counter", "[STABLE] Seconds that cores have worked for the container")
    private static let containerMemory = Metric(
        "container_memory_working_set_bytes", "gauge",
        "[STABLE] Bytes of memory that the container uses and that cannot be given back")
    private static let podProcessor = Metric(
        "pod_cpu_usage_seconds_total", "counter", "[STABLE] Seconds that cores have worked for the pod")
    private static let podMemory = Metric(
        "pod_memory_working_set_bytes", "gauge",
        "[STABLE] Bytes of memory that the pod uses and that cannot be given back")
    private static let errors = [
        Metric(
            "scrape_error", "gauge", "[ALPHA] (Deprecated since 1.29.0) 1 when the figures could not be had, else 0"),
        Metric("resource_scrape_error", "gauge", "[STABLE] 1 when the figures could not be had, else 0"),
    ]

    var text: String {
        var page = MetricPage()
        if summary.exists {
            let node = summary["node"]
            Self.add(node, Self.nodeProcessor, Self.nodeMemory, [], &page)
            if let swap = node["swap"]["swapUsageBytes"].integerValue {
                page.add(Self.nodeSwap, [], String(swap), at: Self.milliseconds(node["memory"]["time"]))
            }
            for pod in summary["pods"].arrayValue { add(pod, &page) }
        }
        for error in Self.errors { page.add(error, [], summary.exists ? "0" : "1") }
        return page.text
    }

    private func add(_ pod: JSON, _ page: inout MetricPage) {
        let reference = pod["podRef"]
        let labels = [
            ("namespace", reference["namespace"].stringValue ?? ""), ("pod", reference["name"].stringValue ?? ""),
        ]
        for container in pod["containers"].arrayValue {
            let own = [("container", container["name"].stringValue ?? "")] + labels
            if let started = WallClock.seconds(rfc3339: container["startTime"].stringValue ?? "") {
                page.add(Self.containerStart, own, String(started))
            }
            Self.add(container, Self.containerProcessor, Self.containerMemory, own, &page)
        }
        Self.add(pod, Self.podProcessor, Self.podMemory, labels, &page)
    }

    private static func add(
        _ entry: JSON, _ processor: Metric, _ memory: Metric, _ labels: MetricPage.Labels, _ page: inout MetricPage
    ) {
        if let used = entry["cpu"]["usageCoreNanoSeconds"].integerValue {
            page.add(processor, labels, String(Double(used) / 1e9), at: milliseconds(entry["cpu"]["time"]))
        }
        if let used = entry["memory"]["workingSetBytes"].integerValue {
            page.add(memory, labels, String(used), at: milliseconds(entry["memory"]["time"]))
        }
    }

    private static func milliseconds(_ time: JSON) -> Int64? {
        WallClock.seconds(rfc3339: time.stringValue ?? "").map { Int64($0 * 1000) }
    }
}
