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
            let place = "\(place).http.paths[\(index)]"
            check(path: path, place, &errors)
            check(backend: path["backend"], "\(place).backend", &errors)
        }
    }

    /// A name, or "*" in place of its first label.
    private static func check(host: JSON, _ place: String, _ errors: inout [FieldError]) {
        let text = host.stringValue ?? ""
        let complaints =
            text.contains("*") ? NameChecks.wildcardSubdomain(text) : NameChecks.dns1123Subdomain(text)
        errors += complaints.map { .invalid(place, host, $0) }
    }

    private static func check(path: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard let text = path["path"].stringValue, !text.isEmpty else { return }
        switch path["pathType"].stringValue {
        case "Exact", "Prefix":
            guard text.hasPrefix("/") else { return }
            for sequence in ["//", "/./", "/../", "%2f", "%2F"] where text.contains(sequence) {
                errors.append(.invalid("\(place).path", path["path"], "must not contain '\(sequence)'"))
            }
            for ending in ["/..", "/."] where text.hasSuffix(ending) {
                errors.append(.invalid("\(place).path", path["path"], "cannot end with '\(ending)'"))
            }
        case "ImplementationSpecific" where !text.hasPrefix("/"):
            errors.append(.invalid("\(place).path", path["path"], "must be an absolute path"))
        default: break
        }
    }

    private static func check(backend: JSON, _ place: String, _ errors: inout [FieldError]) {
        let (hasService, hasResource) = (backend["service"].exists, backend["resource"].exists)
        if hasService, hasResource {
            errors.append(.invalid(place, "", "cannot set both resource and service backends"))
        } else if !hasService, !hasResource {
            errors.append(.invalid(place, "", "resource or service backend is required"))
        } else if hasResource {
            for field in ["kind", "name"] where backend["resource"][field].isEmpty {
                errors.append(.required("\(place).resource.\(field)"))
            }
        }
    }

    static func ingressClass(_ spec: JSON, _ place: String, _ errors: inout [FieldError]) {
        check(controller: spec["controller"], "\(place).controller", &errors)
        let parameters = spec["parameters"]
        guard parameters.exists else { return }
        for field in ["kind", "name"] where parameters[field].isEmpty {
            errors.append(.required("\(place).parameters.\(field)"))
        }
        let scope = parameters["scope"]
        switch scope.stringValue {
        case "Namespace":
            if parameters["namespace"].isEmpty {
                errors.append(
                    .required("\(place).parameters.namespace", "`parameters.scope` is set to 'Namespace'"))
            }
        case "Cluster":
            if parameters["namespace"].exists {
                errors.append(
                    .forbidden("\(place).parameters.namespace", "`parameters.scope` is set to 'Cluster'"))
            }
        default: errors.append(.notSupported("\(place).parameters.scope", scope, ["Cluster", "Namespace"]))
        }
    }

    /// A domain and what it calls its controller: "acme.io/foo".
    private static func check(controller: JSON, _ place: String, _ errors: inout [FieldError]) {
        guard let text = controller.stringValue, !text.isEmpty else { return errors.append(.required(place)) }
        if text.utf8.count > 250 { return errors.append(.tooLong(place, limit: 250)) }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, !parts[1].isEmpty else {
            return errors.append(
                .invalid(place, controller, #"must be a domain-prefixed path (such as "acme.io/foo")"#))
        }
        errors += NameChecks.dns1123Subdomain(parts[0]).map { .invalid(place, .string(parts[0]), $0) }
    }
}
