import Objects

/// Rules of what containers may be told of their own pod.
/// See https://kubernetes.io/docs/concepts/workloads/pods/downward-api/.
enum DownwardValidation {
    private static let ofEnvironment = [
        "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
        "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
    ]
    private static let ofVolumes = [
        "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
    ]
    /// Fields that have names at all.
    private static let known = Set(
        ofEnvironment + ofVolumes + ["spec.restartPolicy", "spec.schedulerName", "status.phase"])

    /// Files are told of without their place in the list.
    static func files(_ files: [JSON], at place: @autoclosure () -> String, _ errors: inout [FieldError]) {
        for file in files {
            let path = file["path"].stringValue ?? ""
            if path.isEmpty { errors.append(.required("\(place()).path")) }
            PathChecks.unreserved(path, at: "\(place()).path", &errors)
            if file["fieldRef"].exists {
                field(file["fieldRef"], ofVolumes, at: "\(place()).fieldRef", &errors)
                if file["resourceFieldRef"].exists {
                    errors.append(
                        .invalid(
                            place(), "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
                }
            } else if file["resourceFieldRef"].exists {
                resource(
                    file["resourceFieldRef"], namesContainer: true, at: "\(place()).resourceFieldRef", &errors)
            } else {
                errors.append(.required(place(), "one of fieldRef and resourceFieldRef is required"))
            }
            if let mode = file["mode"].integerValue, !(0...0o777).contains(mode) {
                errors.append(
                    .invalid(
                        "\(place()).mode", file["mode"],
                        "must be a number between 0 and 0777 (octal), both inclusive"))
            }
        }
    }

    /// - Parameter source: The `valueFrom` of a variable.
    static func variable(_ source: JSON, _ errors: inout [FieldError]) {
        if source["fieldRef"].exists {
            field(source["fieldRef"], ofEnvironment, at: "valueFrom.fieldRef", &errors)
        }
        if source["resourceFieldRef"].exists {
            resource(
                source["resourceFieldRef"], namesContainer: false, at: "valueFrom.resourceFieldRef", &errors)
        }
    }

    private static func field(
        _ reference: JSON, _ allowed: [String], at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        let path = reference["fieldPath"].stringValue ?? ""
        if path.isEmpty { return errors.append(.required("\(place()).fieldPath")) }
        func refuse(_ detail: String) {
            errors.append(
                .invalid("\(place()).fieldPath", .string(path), "error converting fieldPath: \(detail)"))
        }
        let version = reference["apiVersion"].stringValue ?? ""
        if version.isEmpty { return errors.append(.required("\(place()).apiVersion")) }
        if version != "v1" { return refuse("unsupported pod version: \(version)") }
        if let (owner, key) = subscripted(path) {
            switch owner {
            case "metadata.annotations":
                errors += NameChecks.qualifiedName(key.lowercased()).map {
                    .invalid(place(), .string(key.lowercased()), $0)
                }
            case "metadata.labels":
                errors += NameChecks.qualifiedName(key).map { .invalid(place(), .string(key), $0) }
            default: refuse("field label does not support subscript: \(path)")
            }
            return
        }
        let name = path == "spec.host" ? "spec.nodeName" : path
        guard known.contains(name) else { return refuse("field label not supported: \(path)") }
        if !allowed.contains(name) {
            errors.append(.notSupported("\(place()).fieldPath", .string(name), allowed))
        }
    }

    /// FIELD['KEY'].
    private static func subscripted(_ path: String) -> (String, String)? {
        guard path.hasSuffix("']"), let start = path.firstRange(of: "['"), start.lowerBound > path.startIndex else {
            return nil
        }
        return (String(path[..<start.lowerBound]), String(path[start.upperBound...].dropLast(2)))
    }

    private static let resources = [
        "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
        "requests.memory",
    ]
    private static let sizes: Set = [
        "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
    ]

    private static func resource(
        _ reference: JSON, namesContainer: Bool, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        let name = reference["resource"].stringValue ?? ""
        let isPages = name.hasPrefix("limits.hugepages-") || name.hasPrefix("requests.hugepages-")
        if namesContainer, reference["containerName"].isEmpty {
            errors.append(.required("\(place()).containerName"))
        } else if name.isEmpty {
            errors.append(.required("\(place()).resource"))
        } else if !resources.contains(name), !isPages {
            errors.append(.notSupported("\(place()).resource", .string(name), resources))
        }
        guard let divisor = Quantity.read(reference["divisor"]), !divisor.isZero else { return }
        func refuse(_ detail: String) { errors.append(.invalid("\(place()).divisor", .string(name), detail)) }
        let ending =
            "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the "
        switch name {
        case "limits.cpu", "requests.cpu":
            if !["1m", "1"].contains(divisor.description) {
                refuse("only divisor's values 1m and 1 are supported with the cpu resource")
            }
        case _ where sizes.contains(divisor.description): break
        case "limits.memory", "requests.memory": refuse(ending + "memory resource")
        case "limits.ephemeral-storage", "requests.ephemeral-storage":
            refuse(ending + "local ephemeral storage resource")
        default: if isPages { refuse(ending + "hugepages resource") }
        }
    }
}
