import Objects

/// The use of processors and memory in the text format of Prometheus, from a summary of /stats/summary: what a kubelet serves
/// at /metrics/resource, and of /metrics/cadvisor those figures that there are here.
struct ResourceMetrics {
    /// The object that /stats/summary answers with.
    let summary: JSON

    /// Nodes, pods and containers, as metrics-server and dashboards read them.
    var resource: String {
        var page = Page()
        let node = summary["node"]
        page.add("node_cpu_usage_seconds_total", "counter", [], Self.seconds(node["cpu"]["usageCoreNanoSeconds"]))
        page.add("node_memory_working_set_bytes", "gauge", [], Self.number(node["memory"]["workingSetBytes"]))
        for pod in pods {
            var processor = 0.0
            var memory: Int64 = 0
            for container in pod.containers {
                let labels = [("container", container["name"].stringValue ?? "")] + pod.labels
                page.add(
                    "container_cpu_usage_seconds_total", "counter", labels,
                    Self.seconds(container["cpu"]["usageCoreNanoSeconds"]))
                page.add(
                    "container_memory_working_set_bytes", "gauge", labels,
                    Self.number(container["memory"]["workingSetBytes"]))
                if let started = WallClock.seconds(rfc3339: container["startTime"].stringValue ?? "") {
                    page.add("container_start_time_seconds", "gauge", labels, String(started))
                }
                processor += Double(container["cpu"]["usageCoreNanoSeconds"].integerValue ?? 0) / 1e9
                memory += container["memory"]["workingSetBytes"].integerValue ?? 0
            }
            if pod.containers.isEmpty { continue }
            page.add("pod_cpu_usage_seconds_total", "counter", pod.labels, String(processor))
            page.add("pod_memory_working_set_bytes", "gauge", pod.labels, String(memory))
        }
        page.add("resource_scrape_error", "gauge", [], "0")
        return page.text
    }

    /// Containers, under the names that cAdvisor gave these figures.
    var cadvisor: String {
        var page = Page()
        for pod in pods {
            for container in pod.containers {
                let labels = [("container", container["name"].stringValue ?? "")] + pod.labels
                let memory = container["memory"]
                page.add(
                    "container_cpu_usage_seconds_total", "counter", [("cpu", "total")] + labels,
                    Self.seconds(container["cpu"]["usageCoreNanoSeconds"]))
                page.add("container_memory_usage_bytes", "gauge", labels, Self.number(memory["usageBytes"]))
                page.add("container_memory_working_set_bytes", "gauge", labels, Self.number(memory["workingSetBytes"]))
                page.add("container_memory_rss", "gauge", labels, Self.number(memory["rssBytes"]))
                page.add("container_fs_usage_bytes", "gauge", labels, Self.number(container["rootfs"]["usedBytes"]))
            }
        }
        return page.text
    }

    private var pods: [(labels: [(String, String)], containers: [JSON])] {
        summary["pods"].arrayValue.map { pod in
            let reference = pod["podRef"]
            return (
                [
                    ("namespace", reference["namespace"].stringValue ?? ""),
                    ("pod", reference["name"].stringValue ?? ""),
                ],
                pod["containers"].arrayValue
            )
        }
    }

    private static func seconds(_ nanoseconds: JSON) -> String { String(Double(nanoseconds.integerValue ?? 0) / 1e9) }
    private static func number(_ value: JSON) -> String { String(value.integerValue ?? 0) }

    /// Series by the name of their metric, each name once with its type.
    private struct Page {
        private var order: [String] = []
        private var types: [String: String] = [:]
        private var lines: [String: [String]] = [:]

        mutating func add(_ name: String, _ type: String, _ labels: [(String, String)], _ value: String) {
            if types.updateValue(type, forKey: name) == nil { order.append(name) }
            // Names of pods and containers hold nothing that has to be escaped.
            let list = labels.map { "\($0.0)=\"\($0.1)\"" }.joined(separator: ",")
            lines[name, default: []].append("\(name)\(list.isEmpty ? "" : "{\(list)}") \(value)\n")
        }

        var text: String {
            order.map { "# TYPE \($0) \(types[$0] ?? "untyped")\n" + (lines[$0] ?? []).joined() }.joined()
        }
    }
}
