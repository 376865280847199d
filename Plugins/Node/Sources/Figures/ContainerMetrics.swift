import Objects

/// What a kubelet serves at /metrics/cadvisor of those figures that there are here: dashboards know them by these names and labels.
struct ContainerMetrics {
    /// A container that runs, or with an empty name its whole pod.
    struct Entry {
        /// Of the container or the sandbox.
        var id: String
        var name = ""
        var image = ""
        var namespace: String
        var pod: String
        /// RFC 3339.
        var startedAt = ""
        /// {cpuUsageNanoseconds, memoryUsageBytes, …} of the runtime; null where it measures none.
        var usage: JSON = .null
        /// The resources of its specification.
        var resources: JSON = .null
        var interfaces: [NetworkInterfaceFigures] = []
    }

    var processors: Int64
    var memoryBytes: Int64
    var kernel: String
    var system: String
    /// The object that /stats/summary has for the node.
    var node: JSON
    var entries: [Entry]

    private typealias Metric = MetricPage.Metric

    /// Each with the member of the runtime's figures that it shows.
    private static let usage: [(Metric, String)] = [
        (
            Metric("container_memory_usage_bytes", "gauge", "Bytes of memory in use, caches among them"),
            "memoryUsageBytes"
        ),
        (
            Metric(
                "container_memory_working_set_bytes", "gauge", "Bytes of memory in use that cannot be given back"),
            "memoryWorkingSetBytes"
        ), (Metric("container_memory_rss", "gauge", "Bytes of memory that belong to no file"), "memoryRSSBytes"),
        (Metric("container_processes", "gauge", "Processes that run"), "pids"),
        (Metric("container_fs_usage_bytes", "gauge", "Bytes that were written to the disk"), "writableLayerBytes"),
    ]
    private static let processor = Metric(
        "container_cpu_usage_seconds_total", "counter", "Seconds that cores have worked")
    private static let memory = Metric(
        "container_memory_working_set_bytes", "gauge", "Bytes of memory in use that cannot be given back")
    private static let start = Metric(
        "container_start_time_seconds", "gauge", "When it was started, in seconds since 1970")
    private static let seen = Metric("container_last_seen", "gauge", "When it was seen last, in seconds since 1970")

    var text: String {
        var page = MetricPage()
        page.add(
            Metric("cadvisor_version_info", "gauge", "What runs here; the value is always 1"),
            [
                ("cadvisorRevision", ""), ("cadvisorVersion", ""), ("dockerVersion", ""), ("kernelVersion", kernel),
                ("osVersion", system),
            ], "1")
        let root = [("container", ""), ("id", "/"), ("image", ""), ("name", ""), ("namespace", ""), ("pod", "")]
        if let used = node["cpu"]["usageCoreNanoSeconds"].integerValue {
            page.add(Self.processor, Self.withTotal(root), String(Double(used) / 1e9))
        }
        if let used = node["memory"]["workingSetBytes"].integerValue { page.add(Self.memory, root, String(used)) }
        for entry in entries { add(entry, &page) }
        page.add(Metric("machine_cpu_cores", "gauge", "Processors of the machine"), [], String(processors))
        page.add(Metric("machine_memory_bytes", "gauge", "Bytes of memory of the machine"), [], String(memoryBytes))
        return page.text
    }

    /// In the order of the labels' names.
    private static func withTotal(_ labels: MetricPage.Labels) -> MetricPage.Labels {
        [labels[0], ("cpu", "total")] + labels.dropFirst()
    }

    private func add(_ entry: Entry, _ page: inout MetricPage) {
        let labels = [
            ("container", entry.name), ("id", "/\(entry.id)"), ("image", entry.image), ("name", entry.id),
            ("namespace", entry.namespace), ("pod", entry.pod),
        ]
        if let used = entry.usage["cpuUsageNanoseconds"].integerValue {
            page.add(Self.processor, Self.withTotal(labels), String(Double(used) / 1e9))
        }
        for (metric, member) in Self.usage {
            guard let value = entry.usage[member].integerValue else { continue }
            let own =
                metric.name.hasPrefix("container_fs_")
                ? [labels[0], ("device", "")] + Array(labels.dropFirst()) : labels
            page.add(metric, own, String(value))
        }
        if let started = WallClock.seconds(rfc3339: entry.startedAt) {
            page.add(Self.start, labels, String(Int64(started)))
        }
        page.add(Self.seen, labels, String(Int64(WallClock.now())))
        addLimits(entry, labels, &page)
        for interface in entry.interfaces { add(interface, labels, &page) }
    }

    private func addLimits(_ entry: Entry, _ labels: MetricPage.Labels, _ page: inout MetricPage) {
        guard !entry.name.isEmpty else { return }
        let (limits, requests) = (entry.resources["limits"], entry.resources["requests"])
        page.add(
            Metric("container_spec_memory_limit_bytes", "gauge", "Bytes of memory that may be used; 0: no limit"),
            labels,
            String(ResourceQuantity.value(limits["memory"]) ?? 0))
        page.add(
            Metric("container_spec_cpu_period", "gauge", "Microseconds in which the quota of processors is used"),
            labels, "100000")
        if let milli = ResourceQuantity.milliValue(limits["cpu"]) {
            page.add(
                Metric("container_spec_cpu_quota", "gauge", "Microseconds of processors that a period has"), labels,
                String(milli * 100))
        }
        let milli = ResourceQuantity.milliValue(requests["cpu"]) ?? ResourceQuantity.milliValue(limits["cpu"]) ?? 0
        page.add(
            Metric("container_spec_cpu_shares", "gauge", "The share of processors where all are busy"), labels,
            String(max(milli * 1024 / 1000, 2)))
    }

    private func add(
        _ interface: NetworkInterfaceFigures, _ labels: MetricPage.Labels, _ page: inout MetricPage
    ) {
        // Between image and name, where the name of the label belongs.
        let own = Array(labels[..<3]) + [("interface", interface.name)] + Array(labels[3...])
        for (name, help, value) in [
            ("receive_bytes", "Bytes that came", interface.received.bytes),
            ("receive_packets", "Packets that came", interface.received.packets),
            ("receive_errors", "Packets that came broken", interface.received.errors),
            ("receive_packets_dropped", "Packets that came and were dropped", interface.received.dropped),
            ("transmit_bytes", "Bytes that were sent", interface.sent.bytes),
            ("transmit_packets", "Packets that were sent", interface.sent.packets),
            ("transmit_errors", "Packets that could not be sent", interface.sent.errors),
            ("transmit_packets_dropped", "Packets to be sent that were dropped", interface.sent.dropped),
        ] { page.add(Metric("container_network_\(name)_total", "counter", help), own, String(value)) }
    }
}
