import Objects

/// Rules of ingresses and their classes that relate several fields.
/// See https://kubernetes.io/docs/concepts/services-networking/ingress/.
enum IngressValidation {
    static func ingress(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let rules = spec["rules"].arrayValue
        if rules.isEmpty, !spec["defaultBackend"].exists {
            errors.append(
                .invalid(place, spec["rules"], "either `defaultBackend` or `rules` must be specified"))
        }
        if spec["defaultBackend"].exists { check(backend: spec["defaultBackend"], "\(place).defaultBackend", &errors) }
        for (index, rule) in rules.enumerated() { check(rule: rule, "\(place).rules[\(index)]", &errors) }
        for (index, entry) in spec["tls"].arrayValue.enumerated() {
            for (position, host) in entry["hosts"].arrayValue.enumerated() {
                check(host: host, "\(place).tls[\(index)].hosts[\(position)]", &errors)
            }
        }
    }

    private static func check(rule: JSON, _ place: String, _ errors: inout [FieldError]) {
        if let host = rule["host"].stringValue, !host.isEmpty {
            if IPSyntax.isAddress(host) {
                errors.append(.invalid("\(place).host", rule["host"], "must be a DNS name, not an IP address"))
            }
            check(host: rule["host"], "\(place).host", &errors)
        }
        guard rule["http"].exists else { return }
        let paths = rule["http"]["paths"].arrayValue
        if paths.isEmpty { errors.append(.required("\(place).http.paths")) }
        for (index, path) in paths.enumerated() {
            check(path: path, "\(place).http.paths[\(index)]", &errors)
        }
    }

    /// A name, or "*" in place of its first label.
    private static func check(host: JSON, _ place: String, _ errors: inout [FieldError]) {
        let text = host.stringValue ?? ""
        let complaints =
            text.contains("*") ? NameChecks.wildcardSubdomain(text) : NameChecks.dns1123Subdomain(text)
        errors += complaints.map { .invalid(place, host, $0) }
    }

    private static let pathTypes = ["Exact", "ImplementationSpecific", "Prefix"]

    private static func check(path: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard let type = path["pathType"].stringValue else {
            return errors.append(.required("\(place).pathType", "pathType must be specified"))
        }
        let text = path["path"].stringValue ?? ""
        let isAbsolute = text.hasPrefix("/") || text.isEmpty && type == "ImplementationSpecific"
        if pathTypes.contains(type), !isAbsolute {
            errors.append(.invalid("\(place).path", .string(text), "must be an absolute path"))
        }
        switch type {
        case "Exact", "Prefix":
            for sequence in ["//", "/./", "/../", "%2f", "%2F"] where text.contains(sequence) {
                errors.append(.invalid("\(place).path", path["path"], "must not contain '\(sequence)'"))
            }
            for ending in ["/..", "/."] where text.hasSuffix(ending) {
                errors.append(.invalid("\(place).path", path["path"], "cannot end with '\(ending)'"))
            }
        case "ImplementationSpecific": break
        default: errors.append(.notSupported("\(place).pathType", .string(type), pathTypes))
        }
        check(backend: path["backend"], "\(place).backend", &errors)
    }

    private static func check(backend: JSON, _ place: String, _ errors: inout [FieldError]) {
        switch (backend["service"].exists, backend["resource"].exists) {
        case (true, true): errors.append(.invalid(place, "", "cannot set both resource and service backends"))
        case (false, false): errors.append(.invalid(place, "", "resource or service backend is required"))
        case (false, true): check(reference: backend["resource"], "\(place).resource", &errors)
        case (true, false): check(service: backend["service"], place, &errors)
        }
    }

    private static func check(service: JSON, _ place: String, _ errors: inout [FieldError]) {
        let name = service["name"].stringValue ?? ""
        if name.isEmpty {
            errors.append(.required("\(place).service.name"))
        } else {
            errors += NameChecks.dns1123Label(name).map { .invalid("\(place).service.name", .string(name), $0) }
        }
        let port = service["port"]
        let number = port["number"].integerValue ?? 0
        switch (port["name"].isEmpty, number == 0) {
        case (false, false): errors.append(.invalid(place, "", "cannot set both port name & port number"))
        case (false, true):
            errors += NameChecks.portName(port["name"].stringValue ?? "").map {
                .invalid("\(place).service.port.name", port["name"], $0)
            }
        case (true, false):
            errors += NameChecks.portNumber(number).map {
                .invalid("\(place).service.port.number", .integer(number), $0)
            }
        case (true, true): errors.append(.required(place, "port name or number is required"))
        }
    }

    private static func check(reference: JSON, _ place: String, _ errors: inout [FieldError]) {
        if let group = reference["apiGroup"].stringValue {
            errors += NameChecks.dns1123Subdomain(group).map { .invalid("\(place).apiGroup", .string(group), $0) }
        }
        for field in ["kind", "name"] {
            let text = reference[field].stringValue ?? ""
            if text.isEmpty { errors.append(.required("\(place).\(field)")) }
            errors += NameChecks.pathSegment(text).map { .invalid("\(place).\(field)", .string(text), $0) }
        }
    }

    /// The annotation that named the class before the field did must not say something else.
    static func annotation(_ ingress: JSON, _ errors: inout [FieldError]) {
        let key = "kubernetes.io/ingress.class"
        let (annotation, name) = (ingress.annotations[key], ingress["spec"]["ingressClassName"])
        guard annotation.exists, name.exists, annotation != name else { return }
        errors.append(
            .invalid("annotations.\(key)", annotation, "must match `ingressClassName` when both are specified"))
    }

    /// An ingress that is there may have what new ones may not.
    static func review(from old: JSON, to new: JSON, _ errors: inout [FieldError]) {
        let hadBadSecret = old["spec"]["tls"].arrayValue.contains { entry in
            let name = entry["secretName"].stringValue ?? ""
            return !name.isEmpty && !NameChecks.dns1123Subdomain(name).isEmpty
        }
        errors.removeAll { error in
            error.path.hasPrefix("annotations.") || hadBadSecret && error.path.hasSuffix(".secretName")
        }
    }

    // MARK: - Classes

    static func ingressClass(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        let controller = spec["controller"]
        DomainPrefixedPath.check(controller, "\(place).controller", &errors)
        if (controller.stringValue ?? "").utf8.count > longestController {
            errors.append(.tooLong("\(place).controller", limit: longestController))
        }
        let parameters = spec["parameters"]
        guard parameters.exists else { return }
        let path = "\(place).parameters"
        check(reference: parameters, path, &errors)
        let (scope, namespace) = (parameters["scope"], parameters["namespace"])
        switch scope.stringValue {
        case "Namespace":
            if namespace.isNull {
                errors.append(.required("\(path).namespace", "`parameters.scope` is set to 'Namespace'"))
            } else {
                errors += NameChecks.dns1123Label(namespace.stringValue ?? "").map {
                    .invalid("\(path).namespace", namespace, $0)
                }
            }
        case "Cluster":
            if namespace.exists {
                errors.append(.forbidden("\(path).namespace", "`parameters.scope` is set to 'Cluster'"))
            }
        default: errors.append(.notSupported("\(path).scope", scope, ["Cluster", "Namespace"]))
        }
    }

    private static let longestController = 250
}
