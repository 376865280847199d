import Objects

/// Rules of the kinds that make pods from a template.
enum WorkloadValidation {
    /// - Parameters:
    ///   - kind: Whose pods they are, in the messages about them.
    ///   - owner: As messages about its selector name it.
    static func template(
        _ spec: JSON, _ place: String, _ kind: String, owner: String, _ errors: inout [FieldError]
    ) {
        let selector = spec["selector"]
        let labels = spec["template"]["metadata"]["labels"]
        if selector.isNull, owner != "daemonset" { errors.append(.required("\(place).selector")) }
        if selector.exists, selector["matchLabels"].isEmpty, selector["matchExpressions"].isEmpty {
            errors.append(.invalid("\(place).selector", selector, "empty selector is invalid for \(owner)"))
        } else if selector.isNull || !matches(selector, labels) {
            errors.append(
                .invalid(
                    "\(place).template.metadata.labels", labels, "`selector` does not match template `labels`"))
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
        template(spec, place, "ReplicaSet", owner: "deployment", &errors)
        let strategy = spec["strategy"]
        let update = strategy["rollingUpdate"]
        switch strategy["type"].stringValue {
        case nil: break
        case "Recreate":
            if update.exists {
                errors.append(
                    .forbidden(
                        "\(place).strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"))
            }
        case "RollingUpdate":
            if isZero(update["maxUnavailable"]), isZero(update["maxSurge"]) {
                errors.append(
                    .invalid(
                        "\(place).strategy.rollingUpdate.maxUnavailable", update["maxUnavailable"],
                        "may not be 0 when `maxSurge` is 0"))
            }
        default: errors.append(.notSupported("\(place).strategy", shown(strategy), ["Recreate", "RollingUpdate"]))
        }
        let deadline = spec["progressDeadlineSeconds"].integerValue
        if let deadline, deadline <= spec["minReadySeconds"].integerValue ?? 0 {
            errors.append(
                .invalid("\(place).progressDeadlineSeconds", JSON(deadline), "must be greater than minReadySeconds"))
        }
    }

    /// As Kubernetes' own form of a strategy names its fields.
    private static func shown(_ strategy: JSON) -> JSON {
        ["Type": strategy["type"], "RollingUpdate": strategy["rollingUpdate"]]
    }

    /// A rollout that may let none be unavailable would never begin.
    static func statefulSet(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        template(spec, place, "StatefulSet", owner: "statefulset", &errors)
        if let policy = spec["podManagementPolicy"].stringValue, !["OrderedReady", "Parallel"].contains(policy) {
            errors.append(
                .invalid("\(place).podManagementPolicy", .string(policy), "must be 'OrderedReady' or 'Parallel'"))
        }
        if let name = spec["serviceName"].stringValue, !name.isEmpty {
            errors += NameChecks.dns1123Label(name).map { .invalid("\(place).serviceName", .string(name), $0) }
        }
        let strategy = spec["updateStrategy"]
        let update = strategy["rollingUpdate"]
        switch strategy["type"].stringValue {
        case nil: break
        case "OnDelete":
            if update.exists {
                errors.append(
                    .invalid(
                        "\(place).updateStrategy.rollingUpdate", update,
                        "only allowed for updateStrategy 'RollingUpdate'"))
            }
        case "RollingUpdate":
            let limit = update["maxUnavailable"]
            if limit.exists, isZero(limit) {
                errors.append(.invalid("\(place).updateStrategy.rollingUpdate.maxUnavailable", limit, "cannot be 0"))
            }
        default:
            errors.append(
                .invalid("\(place).updateStrategy", shown(strategy), "must be 'RollingUpdate' or 'OnDelete'"))
        }
    }

    /// Pods are replaced before or after their successor runs.
    static func daemonSet(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        template(spec, place, "DaemonSet", owner: "daemonset", &errors)
        let strategy = spec["updateStrategy"]
        switch strategy["type"].stringValue {
        case nil, "OnDelete": break
        case "RollingUpdate":
            let update = strategy["rollingUpdate"]
            let path = "\(place).updateStrategy.rollingUpdate"
            switch (isZero(update["maxUnavailable"]), isZero(update["maxSurge"])) {
            case (false, false):
                errors.append(
                    .invalid(
                        "\(path).maxSurge", update["maxSurge"], "may not be set when maxUnavailable is non-zero"))
            case (true, true):
                errors.append(.required("\(path).maxUnavailable", "cannot be 0 when maxSurge is 0"))
            default: break
            }
        default:
            errors.append(.notSupported("\(place).updateStrategy", shown(strategy), ["RollingUpdate", "OnDelete"]))
        }
    }

    /// Whether a number or percentage is none; what is neither counts as such too.
    private static func isZero(_ value: JSON) -> Bool {
        if let number = value.integerValue { return number == 0 }
        guard let text = value.stringValue, NameChecks.percent(text).isEmpty else { return true }
        return Int(text.dropLast()) == 0
    }
}
