import Objects

/// Rules of HorizontalPodAutoscalers that relate several fields.
/// See https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/.
enum AutoscalerValidation {
    static func check(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let most = spec["maxReplicas"].integerValue ?? 0
        let path = "\(place).maxReplicas"
        if most == 0 {
            errors.append(.required(path, "must be set and greater than 0"))
        } else if most < 0 {
            errors.append(.invalid(path, .integer(most), "must be greater than or equal to 1"))
        }
        if let least = spec["minReplicas"].integerValue, most < least {
            errors.append(.invalid(path, .integer(most), "must be greater than or equal to `minReplicas`"))
        }
        let target = spec["scaleTargetRef"]
        if target.isNull { errors += ["kind", "name"].map { .required("\(place).scaleTargetRef.\($0)") } }
        if let complaint = complaint(about: target) {
            errors.append(
                .invalid(
                    "\(place).scaleTargetRef.apiVersion", target["apiVersion"].isNull ? "" : target["apiVersion"],
                    complaint))
        }
        for (index, metric) in spec["metrics"].arrayValue.enumerated() {
            check(metric: metric, "\(place).metrics[\(index)]", &errors)
        }
    }

    /// What is wrong with the version of what is scaled; of the kinds without a group, ReplicationControllers alone can be.
    static func complaint(about target: JSON) -> String? {
        if let mistake = mistake(in: target["apiVersion"]) { return mistake }
        if target["kind"] == "ReplicationController" { return nil }
        let group = (target["apiVersion"].stringValue ?? "").split(separator: "/", omittingEmptySubsequences: false)
        return group.count == 2 && !group[0].isEmpty ? nil : "apiVersion must specify API group"
    }

    private static func mistake(in version: JSON) -> String? {
        guard let text = version.stringValue, text.utf8.count(where: { $0 == UInt8(ascii: "/") }) > 1 else {
            return nil
        }
        return "unexpected GroupVersion string: \(text)"
    }

    // MARK: - Metrics

    private static let types = ["ContainerResource", "External", "Object", "Pods", "Resource"]
    /// In the order in which they are looked at.
    private static let sources = [
        ("Object", "object"), ("External", "external"), ("Pods", "pods"), ("Resource", "resource"),
        ("ContainerResource", "containerResource"),
    ]

    private static func check(metric: JSON, _ place: String, _ errors: inout [FieldError]) {
        let type = metric["type"].stringValue ?? ""
        if type.isEmpty { errors.append(.required("\(place).type", "must specify a metric source type")) }
        let isKnown = types.contains(type)
        if !isKnown { errors.append(.notSupported("\(place).type", .string(type), types)) }
        let present = sources.filter { metric[$0.1].exists }
        if let first = present.first { check(source: metric[first.1], first.0, "\(place).\(first.1)", &errors) }
        let expected = sources.first { $0.0 == type }?.1
        if let expected, metric[expected].isNull {
            errors.append(.required("\(place).\(expected)", "must populate information for the given metric source"))
        }
        if !isKnown { errors.append(.notSupported("\(place).type", .string(type), types)) }
        guard present.count != 1 else { return }
        for (_, field) in present where field != expected {
            errors.append(.forbidden("\(place).\(field)", "must populate the given metric source only"))
        }
    }

    private static func check(source: JSON, _ type: String, _ place: String, _ errors: inout [FieldError]) {
        let target = source["target"]
        let hasValue = target["value"].exists
        let hasAverage = target["averageValue"].exists
        let hasUtilization = target["averageUtilization"].exists
        if type == "Object", let mistake = mistake(in: source["describedObject"]["apiVersion"]) {
            errors.append(
                .invalid("\(place).describedObject.apiVersion", source["describedObject"]["apiVersion"], mistake))
        }
        if type.hasSuffix("Resource") { checkNames(source, type, place, &errors) }
        checkTarget(target, "\(place).target", &errors)
        func require(_ field: String, _ detail: String) { errors.append(.required("\(place).target.\(field)", detail)) }
        switch type {
        case "Object":
            if !hasValue, !hasAverage { require("averageValue", "must set either a target value or averageValue") }
        case "External":
            if !hasValue, !hasAverage {
                require("averageValue", "must set either a target value for metric or a per-pod target")
            } else if hasValue, hasAverage {
                errors.append(
                    .forbidden(
                        "\(place).target.value", "may not set both a target value for metric and a per-pod target"))
            }
        case "Pods":
            if !hasAverage { require("averageValue", "must specify a positive target averageValue") }
        default:
            if !hasUtilization, !hasAverage {
                require("averageUtilization", "must set either a target raw value or a target utilization")
            } else if hasUtilization, hasAverage {
                errors.append(
                    .forbidden(
                        "\(place).target.averageValue", "may not set both a target raw value and a target utilization"))
            }
        }
    }

    private static func checkNames(_ source: JSON, _ type: String, _ place: String, _ errors: inout [FieldError]) {
        let name = source["name"].stringValue ?? ""
        if name.isEmpty { errors.append(.required("\(place).name", "must specify a resource name")) }
        guard type == "ContainerResource" else { return }
        let isOfContainers =
            name.contains("/") || ["cpu", "memory", "ephemeral-storage"].contains(name) || name.hasPrefix("hugepages-")
        if !name.isEmpty, !isOfContainers {
            errors.append(
                .invalid("\(place).name", .string(name), "must be a standard resource type or fully qualified"))
            errors.append(.invalid("\(place).name", .string(name), "must be a standard resource for containers"))
        }
        let container = source["container"].stringValue ?? ""
        if container.isEmpty {
            errors.append(.required("\(place).container", "must specify a container"))
        } else {
            errors += NameChecks.dns1123Label(container).map { .invalid("\(place).container", .string(container), $0) }
        }
    }

    private static func checkTarget(_ target: JSON, _ place: String, _ errors: inout [FieldError]) {
        let type = target["type"].stringValue ?? ""
        if type.isEmpty { errors.append(.required("\(place).type", "must specify a metric target type")) }
        if !["Utilization", "Value", "AverageValue"].contains(type) {
            errors.append(
                .invalid("\(place).type", .string(type), "must be either Utilization, Value, or AverageValue"))
        }
    }
}
