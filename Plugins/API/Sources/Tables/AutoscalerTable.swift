import Objects

/// The row of a HorizontalPodAutoscaler: what it aims at, and how near that it is.
enum AutoscalerTable {
    static let layout = TableLayout("Name Reference Targets MinPods MaxPods Replicas Age") { object, now in
        let target = object["spec"]["scaleTargetRef"]
        return [
            .string(object.name),
            .string("\(target["kind"].stringValue ?? "")/\(target["name"].stringValue ?? "")"),
            .string(targets(object)),
            .string(object["spec"]["minReplicas"].integerValue.map(String.init) ?? "<unset>"),
            Cell.integer(object["spec"]["maxReplicas"]), Cell.integer(object["status"]["currentReplicas"]),
            Cell.age(object, now),
        ]
    }

    private static let shown = 2

    /// Two metrics at most, and how many more there are.
    private static func targets(_ object: JSON) -> String {
        let metrics = object["spec"]["metrics"].arrayValue
        guard !metrics.isEmpty else { return "<none>" }
        let current = object["status"]["currentMetrics"].arrayValue
        let texts = metrics.prefix(shown).enumerated().map { index, metric in
            text(of: metric, index < current.count ? current[index] : .null)
        }
        let more = metrics.count > shown ? " + \(metrics.count - shown) more..." : ""
        return texts.joined(separator: ", ") + more
    }

    private static let sources = [
        "Resource": "resource", "ContainerResource": "containerResource", "Pods": "pods", "Object": "object",
        "External": "external",
    ]

    private static func text(of metric: JSON, _ status: JSON) -> String {
        guard let source = sources[metric["type"].stringValue ?? ""] else { return "<unknown type>" }
        let wanted = metric[source]["target"]
        let current = status[source]["current"]
        func amount(_ key: String) -> String? { wanted[key].exists ? Cell.string(wanted[key]) : nil }
        func now(_ key: String) -> String { current[key].exists ? Cell.string(current[key]) : "<unknown>" }
        if source == "resource" || source == "containerResource" {
            let name = metric[source]["name"].stringValue ?? ""
            if let value = amount("averageValue") { return "\(name): \(now("averageValue"))/\(value)" }
            let share = current["averageUtilization"].exists ? now("averageUtilization") + "%" : "<unknown>"
            return "\(name): \(share)/\(amount("averageUtilization").map { $0 + "%" } ?? "<auto>")"
        }
        if let value = amount("averageValue") {
            return "\(now("averageValue"))/\(value)" + (source == "pods" ? "" : " (avg)")
        }
        return "\(now("value"))/\(amount("value") ?? "<unknown>")"
    }
}
