import Objects

/// autoscaling/v1 knows one metric, the CPU's average utilization; v2, which is stored, has it among others. What v1 has no field
/// for is kept in annotations there, as Kubernetes does it, so that nothing is lost to clients of v1.
enum AutoscalerConversion {
    private static let metrics = "autoscaling.alpha.kubernetes.io/metrics"
    private static let currentMetrics = "autoscaling.alpha.kubernetes.io/current-metrics"
    private static let conditions = "autoscaling.alpha.kubernetes.io/conditions"
    private static let behavior = "autoscaling.alpha.kubernetes.io/behavior"

    static func toV2(_ object: JSON) -> JSON {
        var object = object
        let target = object["spec"].removeValue(forKey: "targetCPUUtilizationPercentage")
        var all: [JSON] = take(metrics, from: &object)?.arrayValue.map { metric($0, isStatus: false) } ?? []
        if let target, target.exists {
            all.append([
                "type": "Resource",
                "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": target]],
            ])
        }
        if !all.isEmpty { object["spec"]["metrics"] = .array(all) }
        if let kept = take(behavior, from: &object) {
            object["spec"]["behavior"] = renamed(kept) { $0.prefix(1).lowercased() + $0.dropFirst() }
        }
        object["status"].removeValue(forKey: "currentCPUUtilizationPercentage")
        if let kept = take(currentMetrics, from: &object) {
            object["status"]["currentMetrics"] = .array(kept.arrayValue.map { metric($0, isStatus: true) })
        }
        if let kept = take(conditions, from: &object) { object["status"]["conditions"] = kept }
        return object
    }

    static func toV1(_ object: JSON) -> JSON {
        var object = object
        for name in [metrics, currentMetrics, conditions, behavior] { _ = take(name, from: &object) }
        var others: [JSON] = []
        for metric in object["spec"].removeValue(forKey: "metrics")?.arrayValue ?? [] {
            let target = metric["resource"]["target"]["averageUtilization"]
            if metric["resource"]["name"] == "cpu", target.exists {
                object["spec"]["targetCPUUtilizationPercentage"] = target
            } else {
                others.append(flatMetric(metric, isStatus: false))
            }
        }
        keep(.array(others), as: metrics, in: &object)
        if let kept = object["spec"].removeValue(forKey: "behavior"), kept.exists {
            keep(renamed(kept) { $0.prefix(1).uppercased() + $0.dropFirst() }, as: behavior, in: &object)
        }
        guard object["status"].exists else { return object }
        let current = object["status"].removeValue(forKey: "currentMetrics")?.arrayValue ?? []
        for metric in current where metric["resource"]["name"] == "cpu" {
            let value = metric["resource"]["current"]["averageUtilization"]
            if value.exists { object["status"]["currentCPUUtilizationPercentage"] = value }
        }
        keep(.array(current.map { flatMetric($0, isStatus: true) }), as: currentMetrics, in: &object)
        keep(object["status"].removeValue(forKey: "conditions") ?? [], as: conditions, in: &object)
        // v1 requires both counts.
        for count in ["currentReplicas", "desiredReplicas"] where !object["status"][count].exists {
            object["status"][count] = 0
        }
        return object
    }

    // MARK: - Annotations

    private static func keep(_ value: JSON, as name: String, in object: inout JSON) {
        guard value.count > 0 else { return }
        object["metadata"]["annotations"][name] = .string(String(decoding: value.serialized(), as: UTF8.self))
    }

    /// Removes an annotation; the result is what it holds, or nil where it is missing or no JSON.
    private static func take(_ name: String, from object: inout JSON) -> JSON? {
        guard let text = object["metadata"]["annotations"][name].stringValue else { return nil }
        object["metadata"]["annotations"].removeValue(forKey: name)
        if object["metadata"]["annotations"].isEmpty { object["metadata"].removeValue(forKey: "annotations") }
        return try? JSON(parsing: Array(text.utf8))
    }

    private static func renamed(_ value: JSON, _ name: (String) -> String) -> JSON {
        switch value {
        case .object(let members): .object(JSONObject(members.map { (name($0.key), renamed($0.value, name)) }))
        case .array(let elements): .array(elements.map { renamed($0, name) })
        default: value
        }
    }

    // MARK: - Metrics

    private static let sources = ["resource", "containerResource", "pods", "object", "external"]

    /// A metric of v2 as v1 writes it.
    private static func flatMetric(_ metric: JSON, isStatus: Bool) -> JSON {
        var flat: JSON = ["type": metric["type"]]
        for kind in sources where metric[kind].exists {
            let source = metric[kind]
            let names = ValueNames(kind, isStatus: isStatus)
            let values = source[isStatus ? "current" : "target"]
            let members: [(String, JSON)] = [
                ("name", source["name"]), ("container", source["container"]), ("target", source["describedObject"]),
                ("metricName", source["metric"]["name"]), (names.selector, source["metric"]["selector"]),
                (names.value, values["value"]), (names.averageValue, values["averageValue"]),
                (names.averageUtilization, values["averageUtilization"]),
            ]
            flat[kind] = .object(JSONObject(members.filter(\.1.exists)))
        }
        return flat
    }

    /// A metric of v1 as v2 writes it.
    private static func metric(_ flat: JSON, isStatus: Bool) -> JSON {
        var metric: JSON = ["type": flat["type"]]
        for kind in sources where flat[kind].exists {
            let source = flat[kind]
            let names = ValueNames(kind, isStatus: isStatus)
            var values = JSONObject(
                [
                    ("value", source[names.value]), ("averageValue", source[names.averageValue]),
                    ("averageUtilization", source[names.averageUtilization]),
                ].filter(\.1.exists))
            if !isStatus { values["type"] = .string(targetType(kind, values)) }
            var identifier: JSON = ["name": source["metricName"]]
            if source[names.selector].exists { identifier["selector"] = source[names.selector] }
            let members: [(String, JSON)] = [
                ("name", source["name"]), ("container", source["container"]),
                ("describedObject", kind == "object" ? source["target"] : JSON.null),
                ("metric", source["metricName"].exists ? identifier : JSON.null),
                (isStatus ? "current" : "target", .object(values)),
            ]
            metric[kind] = .object(JSONObject(members.filter(\.1.exists)))
        }
        return metric
    }

    private static func targetType(_ kind: String, _ values: JSONObject) -> String {
        switch kind {
        case "resource", "containerResource": values["averageUtilization"] == nil ? "AverageValue" : "Utilization"
        case "object": values["averageValue"] == nil ? "Value" : "AverageValue"
        case "external": values["value"] == nil ? "AverageValue" : "Value"
        default: "AverageValue"
        }
    }

    /// What v1 calls the values of a kind of metric.
    private struct ValueNames {
        let selector: String
        let value: String
        let averageValue: String
        let averageUtilization: String

        init(_ kind: String, isStatus: Bool) {
            let prefix = isStatus ? "current" : "target"
            selector = kind == "external" ? "metricSelector" : "selector"
            value = prefix + "Value"
            averageValue = kind == "object" ? "averageValue" : prefix + "AverageValue"
            averageUtilization = prefix + "AverageUtilization"
        }
    }
}
