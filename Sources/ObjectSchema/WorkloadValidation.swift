import Objects

/// Rules of the kinds that make pods from a template.
enum WorkloadValidation {
    static func template(_ spec: JSON, _ place: String, _ kind: String, _ errors: inout [FieldError]) {
        let selector = spec["selector"]
        let labels = spec["template"]["metadata"]["labels"]
        if selector.isNull {
            errors.append(.required("\(place).selector"))
        } else if selector["matchLabels"].isEmpty, selector["matchExpressions"].isEmpty {
            errors.append(.invalid("\(place).selector", selector, "empty selector is invalid for \(kind.lowercased())"))
        } else if !matches(selector, labels) {
            errors.append(
                .invalid(
                    "\(place).template.metadata.labels", labels.isNull ? [:] : labels,
                    "`selector` does not match template `labels`"))
        }
        let pod = spec["template"]["spec"]
        if let policy = pod["restartPolicy"].stringValue, policy != "Always" {
            errors.append(.notSupported("\(place).template.spec.restartPolicy", .string(policy), ["Always"]))
        }
        if pod["activeDeadlineSeconds"].exists {
            errors.append(
                .forbidden(
                    "\(place).template.spec.activeDeadlineSeconds", "activeDeadlineSeconds in \(kind) is not Supported")
            )
        }
    }

    /// Containers of a StatefulSet may mount what its claim templates make.
    static func allowClaimMounts(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let claims = Set(spec["volumeClaimTemplates"].arrayValue.map(\.name))
        if claims.isEmpty { return }
        let pod = spec["template"]["spec"]
        var allowed: Set<String> = []
        for list in ["containers", "initContainers"] {
            for (index, container) in pod[list].arrayValue.enumerated() {
                for (position, mount) in container["volumeMounts"].arrayValue.enumerated()
                where claims.contains(mount["name"].stringValue ?? "") {
                    allowed.insert("\(place).template.spec.\(list)[\(index)].volumeMounts[\(position)].name")
                }
            }
        }
        errors.removeAll { $0.kind == .notFound && allowed.contains($0.path) }
    }

    /// A selector with a mistake is reported by its own rule.
    static func matches(_ selector: JSON, _ labels: JSON) -> Bool {
        do { return try LabelSelector(object: selector).matches(labels: labels) } catch { return true }
    }

    static func deployment(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        template(spec, place, "Deployment", &errors)
        let strategy = spec["strategy"]
        if strategy["type"] == "Recreate", strategy["rollingUpdate"].exists {
            errors.append(
                .forbidden("\(place).strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
            )
        }
        let update = strategy["rollingUpdate"]
        if isZero(update["maxUnavailable"]), isZero(update["maxSurge"]) {
            errors.append(
                .invalid(
                    "\(place).strategy.rollingUpdate.maxUnavailable", update["maxUnavailable"],
                    "may not be 0 when `maxSurge` is 0"))
        }
        let deadline = spec["progressDeadlineSeconds"].integerValue
        if let deadline, deadline <= spec["minReadySeconds"].integerValue ?? 0 {
            errors.append(
                .invalid("\(place).progressDeadlineSeconds", JSON(deadline), "must be greater than minReadySeconds"))
        }
    }

    /// A rollout that may let none be unavailable would never begin.
    static func statefulSet(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        template(spec, place, "StatefulSet", &errors)
        let limit = spec["updateStrategy"]["rollingUpdate"]["maxUnavailable"]
        if isZero(limit) {
            errors.append(.invalid("\(place).updateStrategy.rollingUpdate.maxUnavailable", limit, "cannot be 0"))
        }
    }

    private static func isZero(_ value: JSON) -> Bool { value == 0 || value == "0%" }
}
