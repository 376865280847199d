import Objects

/// Rules of roles and of what binds them to subjects.
/// See https://kubernetes.io/docs/reference/access-authn-authz/rbac/.
enum RoleValidation {
    private static let group = "rbac.authorization.k8s.io"

    static func role(_ role: JSON, isNamespaced: Bool, _ errors: inout [FieldError]) {
        for (index, rule) in role["rules"].arrayValue.enumerated() {
            check(rule: rule, isNamespaced, "rules[\(index)]", &errors)
        }
    }

    private static func check(rule: JSON, _ isNamespaced: Bool, _ place: String, _ errors: inout [FieldError]) {
        if rule["verbs"].isEmpty {
            errors.append(.required("\(place).verbs", "verbs must contain at least one value"))
        }
        let paths = rule["nonResourceURLs"]
        guard paths.isEmpty else {
            if isNamespaced {
                errors.append(
                    .invalid(
                        "\(place).nonResourceURLs", paths, "namespaced rules cannot apply to non-resource URLs"))
            }
            if ["apiGroups", "resources", "resourceNames"].contains(where: { !rule[$0].isEmpty }) {
                errors.append(
                    .invalid(
                        "\(place).nonResourceURLs", paths,
                        "rules cannot apply to both regular resources and non-resource URLs"))
            }
            return
        }
        if rule["apiGroups"].isEmpty {
            errors.append(.required("\(place).apiGroups", "resource rules must supply at least one api group"))
        }
        if rule["resources"].isEmpty {
            errors.append(.required("\(place).resources", "resource rules must supply at least one resource"))
        }
    }

    static func binding(_ binding: JSON, isNamespaced: Bool, _ errors: inout [FieldError]) {
        let reference = binding["roleRef"]
        let kinds = isNamespaced ? ["Role", "ClusterRole"] : ["ClusterRole"]
        if !kinds.contains(reference["kind"].stringValue ?? "") {
            errors.append(.notSupported("roleRef.kind", .string(reference["kind"].stringValue ?? ""), kinds))
        }
        if reference.isNull { errors.append(.required("roleRef.name")) }
        for (index, subject) in binding["subjects"].arrayValue.enumerated() {
            check(subject: subject, isNamespaced, "subjects[\(index)]", &errors)
        }
    }

    private static func check(
        subject: JSON, _ isNamespaced: Bool, _ place: String, _ errors: inout [FieldError]
    ) {
        let apiGroup = subject["apiGroup"].stringValue ?? ""
        switch subject["kind"].stringValue {
        case "ServiceAccount":
            let name = subject["name"].stringValue ?? ""
            if !name.isEmpty {
                errors += NameChecks.dns1123Subdomain(name).map { .invalid("\(place).name", .string(name), $0) }
            }
            if !apiGroup.isEmpty { errors.append(.notSupported("\(place).apiGroup", .string(apiGroup), [""])) }
            if !isNamespaced, subject["namespace"].isEmpty { errors.append(.required("\(place).namespace")) }
        case "User", "Group":
            if apiGroup != group { errors.append(.notSupported("\(place).apiGroup", .string(apiGroup), [group])) }
        case let kind:
            errors.append(
                .notSupported("\(place).kind", .string(kind ?? ""), ["ServiceAccount", "User", "Group"]))
        }
    }
}
