import Objects

/// Rules of what webhooks and policies are asked about: operations, resources, conditions.
enum AdmissionRuleValidation {
    private static let operations = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"]
    private static let scopes = ["*", "Cluster", "Namespaced"]
    private static let conditionLimit = 64

    static func check(_ rule: JSON, _ place: String, _ errors: inout [FieldError]) {
        let wanted = rule["operations"].arrayValue.compactMap(\.stringValue)
        list(rule, "operations", "operations", place, &errors)
        for (index, operation) in wanted.enumerated() where !operations.contains(operation) {
            errors.append(.notSupported("\(place).operations[\(index)]", .string(operation), operations))
        }
        list(rule, "apiGroups", "API groups", place, &errors)
        list(rule, "apiVersions", "API versions", place, &errors)
        for (index, version) in rule["apiVersions"].arrayValue.enumerated() where version.isEmpty {
            errors.append(.required("\(place).apiVersions[\(index)]"))
        }
        check(resources: rule["resources"], "\(place).resources", &errors)
        if let scope = rule["scope"].stringValue, !scopes.contains(scope) {
            errors.append(.notSupported("\(place).scope", .string(scope), scopes))
        }
    }

    /// There is something, and nothing beside what stands for all.
    private static func list(
        _ rule: JSON, _ field: String, _ name: String, _ place: String, _ errors: inout [FieldError]
    ) {
        let values = rule[field].arrayValue
        if values.isEmpty { errors.append(.required("\(place).\(field)")) }
        if values.count > 1, values.contains("*") {
            errors.append(
                .invalid("\(place).\(field)", rule[field], "if '*' is present, must not specify other \(name)"))
        }
    }

    private static func check(resources: JSON, _ place: String, _ errors: inout [FieldError]) {
        let names = resources.arrayValue.map { $0.stringValue ?? "" }
        if names.isEmpty { errors.append(.required(place)) }
        // Resources with all their subresources, and subresources of all resources.
        var (whole, everywhere): (Set<Substring>, Set<Substring>) = ([], [])
        var hasPlain = false
        for (index, name) in names.enumerated() {
            if name.isEmpty {
                errors.append(.required("\(place)[\(index)]"))
                continue
            }
            let parts = name.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                hasPlain = name != "*"
                continue
            }
            if whole.contains(parts[0]) {
                errors.append(
                    .invalid(
                        "\(place)[\(index)]", .string(name),
                        "if '\(parts[0])/*' is present, must not specify \(name)"))
            }
            if everywhere.contains(parts[1]) {
                errors.append(
                    .invalid(
                        "\(place)[\(index)]", .string(name),
                        "if '*/\(parts[1])' is present, must not specify \(name)"))
            }
            if parts[1] == "*" { whole.insert(parts[0]) }
            if parts[0] == "*" { everywhere.insert(parts[1]) }
        }
        if names.count > 1, names.contains("*/*") {
            errors.append(.invalid(place, resources, "if '*/*' is present, must not specify other resources"))
        }
        if names.contains("*"), hasPlain {
            errors.append(
                .invalid(
                    place, resources, "if '*' is present, must not specify other resources without subresources"))
        }
    }

    /// The syntax of expressions is checked where they are compiled.
    static func check(conditions: JSON, _ place: String, _ errors: inout [FieldError]) {
        let all = conditions.arrayValue
        if all.count > conditionLimit { errors.append(.tooMany(place, all.count, limit: conditionLimit)) }
        var names: Set<String> = []
        for (index, condition) in all.enumerated() {
            let path = "\(place)[\(index)]"
            if (condition["expression"].stringValue ?? "").trimmingWhitespace().isEmpty {
                errors.append(.required("\(path).expression"))
            }
            let name = condition["name"].stringValue ?? ""
            guard !name.isEmpty else {
                errors.append(.required("\(path).name"))
                continue
            }
            errors += NameChecks.qualifiedName(name).map { .invalid("\(path).name", .string(name), $0) }
            if !names.insert(name).inserted { errors.append(.duplicate("\(path).name", .string(name))) }
        }
    }

    /// What a policy is asked about.
    static func check(match: JSON, _ place: String, _ errors: inout [FieldError]) {
        for list in ["resourceRules", "excludeResourceRules"] {
            for (index, rule) in match[list].arrayValue.enumerated() {
                let path = "\(place).\(list)[\(index)]"
                let names = rule["resourceNames"].arrayValue
                for (position, name) in names.enumerated() {
                    let field = "\(path).resourceNames[\(position)]"
                    errors += NameChecks.pathSegment(name.stringValue ?? "").map { .invalid(field, name, $0) }
                    if names[..<position].contains(name) { errors.append(.duplicate(field, name)) }
                }
                check(rule, path, &errors)
            }
        }
    }
}
