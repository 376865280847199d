import Objects

/// Rules of what decides on which nodes a pod may run: affinities, spreading, tolerations, gates.
enum PlacementValidation {
    static func pod(_ spec: JSON, _ errors: inout [FieldError]) {
        if spec["affinity"].exists { affinity(spec["affinity"], &errors) }
        for (index, gate) in spec["readinessGates"].arrayValue.enumerated() {
            let type = gate["conditionType"].stringValue ?? ""
            errors += NameChecks.qualifiedName(type).map {
                .invalid("readinessGates[\(index)].conditionType", .string(type), $0)
            }
        }
        gates(spec["schedulingGates"].arrayValue, &errors)
        spread(spec["topologySpreadConstraints"].arrayValue, &errors)
    }

    private static func gates(_ gates: [JSON], _ errors: inout [FieldError]) {
        var seen: Set<String> = []
        for (index, gate) in gates.enumerated() {
            let name = gate["name"].stringValue ?? ""
            errors += NameChecks.qualifiedName(name).map { .invalid("schedulingGates[\(index)]", .string(name), $0) }
            if !seen.insert(name).inserted { errors.append(.duplicate("schedulingGates[\(index)]", .string(name))) }
        }
    }

    // MARK: - Affinity

    private static let required = "requiredDuringSchedulingIgnoredDuringExecution"
    private static let preferred = "preferredDuringSchedulingIgnoredDuringExecution"

    /// The nodes that are required are checked where they are, as every selector of nodes.
    private static func affinity(_ affinity: JSON, _ errors: inout [FieldError]) {
        let nodes = affinity["nodeAffinity"]
        for (index, term) in nodes[preferred].arrayValue.enumerated() {
            weight(term, at: "affinity.nodeAffinity.\(preferred)[\(index)]", &errors)
            // A preference that no label can fulfil does no harm.
            nodeTerm(
                term["preference"], checksValues: false,
                at: "affinity.nodeAffinity.\(preferred)[\(index)].preference", &errors)
        }
        for kind in ["podAffinity", "podAntiAffinity"] {
            for (index, term) in affinity[kind][required].arrayValue.enumerated() {
                podTerm(term, at: "affinity.\(kind).\(required)[\(index)]", &errors)
            }
            for (index, term) in affinity[kind][preferred].arrayValue.enumerated() {
                weight(term, at: "affinity.\(kind).\(preferred)[\(index)]", &errors)
                podTerm(
                    term["podAffinityTerm"], at: "affinity.\(kind).\(preferred)[\(index)].podAffinityTerm", &errors)
            }
        }
    }

    private static func weight(_ term: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]) {
        let weight = term["weight"].integerValue ?? 0
        if !(1...100).contains(weight) {
            errors.append(.invalid("\(place()).weight", .integer(weight), "must be in the range 1-100"))
        }
    }

    static func nodeSelector(_ selector: JSON, _ errors: inout [FieldError]) {
        let terms = selector["nodeSelectorTerms"].arrayValue
        if terms.isEmpty {
            errors.append(.required("nodeSelectorTerms", "must have at least one node selector term"))
        }
        for (index, term) in terms.enumerated() {
            nodeTerm(term, checksValues: true, at: "nodeSelectorTerms[\(index)]", &errors)
        }
    }

    private static func nodeTerm(
        _ term: JSON, checksValues: Bool, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        for (index, requirement) in term["matchExpressions"].arrayValue.enumerated() {
            expression(
                requirement, checksValues: checksValues, at: "\(place()).matchExpressions[\(index)]", &errors)
        }
        for (index, requirement) in term["matchFields"].arrayValue.enumerated() {
            field(requirement, at: "\(place()).matchFields[\(index)]", &errors)
        }
    }

    private static func expression(
        _ requirement: JSON, checksValues: Bool, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        let values = requirement["values"].arrayValue
        let relation = requirement["operator"].stringValue ?? ""
        switch relation {
        case "In", "NotIn":
            if values.isEmpty {
                errors.append(
                    .required("\(place()).values", "must be specified when `operator` is 'In' or 'NotIn'"))
            }
        case "Exists", "DoesNotExist":
            if !values.isEmpty {
                errors.append(
                    .forbidden(
                        "\(place()).values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
            }
        case "Gt", "Lt":
            if values.count != 1 {
                errors.append(
                    .required(
                        "\(place()).values", "must be specified single value when `operator` is 'Lt' or 'Gt'"))
            }
        default:
            errors.append(.invalid("\(place()).operator", .string(relation), "not a valid selector operator"))
        }
        label(requirement["key"], at: "\(place()).key", &errors)
        guard checksValues else { return }
        for (index, value) in values.enumerated() {
            errors += NameChecks.labelValue(value.stringValue ?? "").map {
                .invalid("\(place()).values[\(index)]", value, $0)
            }
        }
    }

    /// Of a node's fields only its name is asked for.
    private static func field(
        _ requirement: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        let values = requirement["values"].arrayValue
        let relation = requirement["operator"].stringValue ?? ""
        if relation != "In", relation != "NotIn" {
            errors.append(.invalid("\(place()).operator", .string(relation), "not a valid selector operator"))
        } else if values.count != 1 {
            errors.append(
                .required(
                    "\(place()).values",
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
        }
        let key = requirement["key"].stringValue ?? ""
        guard key == "metadata.name" else {
            return errors.append(.invalid("\(place()).key", .string(key), "not a valid field selector key"))
        }
        for (index, value) in values.enumerated() {
            errors += NameChecks.dns1123Subdomain(value.stringValue ?? "").map {
                .invalid("\(place()).values[\(index)]", value, $0)
            }
        }
    }

    private static func label(_ key: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]) {
        let key = key.stringValue ?? ""
        errors += NameChecks.qualifiedName(key).map { .invalid(place(), .string(key), $0) }
    }

    /// Its selectors are checked where they are.
    private static func podTerm(_ term: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]) {
        for name in term["namespaces"].arrayValue {
            errors += NameChecks.dns1123Label(name.stringValue ?? "").map {
                .invalid("\(place()).namespace", name, $0)
            }
        }
        for list in ["matchLabelKeys", "mismatchLabelKeys"] where !term[list].isEmpty {
            if term["labelSelector"].isNull {
                errors.append(
                    .forbidden("\(place()).\(list)", "must not be specified when labelSelector is not set"))
                continue
            }
            for (index, key) in term[list].arrayValue.enumerated() {
                label(key, at: "\(place()).\(list)[\(index)]", &errors)
            }
        }
        repeatedKeys(term, at: place(), &errors)
        if term["topologyKey"].isEmpty {
            errors.append(.required("\(place()).topologyKey", "can not be empty"))
        }
        label(term["topologyKey"], at: "\(place()).topologyKey", &errors)
    }

    /// The server has added one requirement of its own to the selector for each of `matchLabelKeys`: another is the user's.
    private static func repeatedKeys(
        _ term: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        let keys = term["matchLabelKeys"].arrayValue
        guard !keys.isEmpty else { return }
        var known = Set((term["labelSelector"]["matchLabels"].objectValue ?? [:]).map { JSON.string($0.key) })
        for requirement in term["labelSelector"]["matchExpressions"].arrayValue {
            let key = requirement["key"]
            if let index = keys.lastIndex(of: key), known.contains(key) {
                errors.append(
                    .invalid("\(place())[\(index)]", key, "exists in both matchLabelKeys and labelSelector"))
            }
            known.insert(key)
        }
        let opposite = term["mismatchLabelKeys"].arrayValue
        for (index, key) in keys.enumerated() where opposite.contains(key) {
            errors.append(
                .invalid(
                    "\(place()).matchLabelKeys[\(index)]", key,
                    "exists in both matchLabelKeys and mismatchLabelKeys"))
        }
    }

    // MARK: - Spreading

    private static let actions = ["DoNotSchedule", "ScheduleAnyway"]
    private static let policies = ["Honor", "Ignore"]

    private static func spread(_ constraints: [JSON], _ errors: inout [FieldError]) {
        for (index, constraint) in constraints.enumerated() {
            func own(_ field: String) -> String { "topologySpreadConstraints[\(index)].\(field)" }
            let skew = constraint["maxSkew"].integerValue ?? 0
            if skew <= 0 { errors.append(.invalid(own("maxSkew"), .integer(skew), "must be greater than zero")) }
            let key = constraint["topologyKey"].stringValue ?? ""
            if key.isEmpty { errors.append(.required(own("topologyKey"), "can not be empty")) }
            let action = constraint["whenUnsatisfiable"].stringValue ?? ""
            if !actions.contains(action) {
                errors.append(.notSupported(own("whenUnsatisfiable"), .string(action), actions))
            }
            if constraints[(index + 1)...].contains(where: {
                $0["topologyKey"] == constraint["topologyKey"]
                    && $0["whenUnsatisfiable"] == constraint["whenUnsatisfiable"]
            }) {
                errors.append(
                    .duplicate(own("{topologyKey, whenUnsatisfiable}"), .string("{\(key), \(action)}")))
            }
            domains(constraint, action, own, &errors)
            for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
                guard let policy = constraint[field].stringValue, !policies.contains(policy) else { continue }
                errors.append(.notSupported(own(field), .string(policy), policies))
            }
            spreadKeys(constraint, own, &errors)
        }
    }

    private static func domains(
        _ constraint: JSON, _ action: String, _ own: (String) -> String, _ errors: inout [FieldError]
    ) {
        guard let count = constraint["minDomains"].integerValue else { return }
        if count <= 0 { errors.append(.invalid(own("minDomains"), .integer(count), "must be greater than zero")) }
        if action != "DoNotSchedule" {
            errors.append(
                .invalid(
                    own("minDomains"), .integer(count),
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not \(action)"))
        }
    }

    /// As for affinities, a requirement of the server's own is in the selector for each key.
    private static func spreadKeys(_ constraint: JSON, _ own: (String) -> String, _ errors: inout [FieldError]) {
        let keys = constraint["matchLabelKeys"].arrayValue
        guard !keys.isEmpty else { return }
        let selector = constraint["labelSelector"]
        if selector.isNull {
            errors.append(
                .forbidden(own("matchLabelKeys"), "must not be specified when labelSelector is not set"))
        }
        for (index, key) in keys.enumerated() {
            label(key, at: own("matchLabelKeys[\(index)]"), &errors)
            let count =
                (selector["matchLabels"][key.stringValue ?? ""].exists ? 1 : 0)
                + selector["matchExpressions"].arrayValue.count { $0["key"] == key }
            if count > 1 || count == 1 && selector["matchLabels"][key.stringValue ?? ""].exists {
                errors.append(
                    .invalid(
                        own("matchLabelKeys[\(index)]"), key, "exists in both matchLabelKeys and labelSelector"))
            }
        }
    }

    // MARK: - Tolerations

    private static let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"]
    private static let relations = ["Equal", "Exists", "Lt", "Gt"]

    static func toleration(_ toleration: JSON, _ errors: inout [FieldError]) {
        let key = toleration["key"].stringValue ?? ""
        let relation = toleration["operator"].stringValue ?? ""
        let value = toleration["value"].stringValue ?? ""
        if !key.isEmpty { label(toleration["key"], at: "key", &errors) }
        if key.isEmpty, relation != "Exists" {
            errors.append(
                .invalid(
                    "operator", .string(relation),
                    "operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
        }
        let effect = toleration["effect"].stringValue ?? ""
        if toleration["tolerationSeconds"].exists, effect != "NoExecute" {
            errors.append(
                .invalid("effect", .string(effect), "effect must be 'NoExecute' when `tolerationSeconds` is set"))
        }
        switch relation {
        case "", "Equal":
            let complaints = NameChecks.labelValue(value)
            if !complaints.isEmpty {
                errors.append(.invalid("operator", .string(value), complaints.joined(separator: ";")))
            }
        case "Exists":
            if !value.isEmpty {
                errors.append(
                    .invalid("operator", .string(value), "value must be empty when `operator` is 'Exists'"))
            }
        case "Lt", "Gt":
            if Int64(value).map({ String($0) != value }) ?? true {
                errors.append(
                    .invalid("value", .string(value), "must be a valid decimal integer in canonical form"))
            }
        default: errors.append(.notSupported("operator", .string(relation), relations))
        }
        if !effect.isEmpty, !effects.contains(effect) {
            errors.append(.notSupported("effect", .string(effect), effects))
        }
    }

    // MARK: - Taints

    static func taints(_ taints: [JSON], at place: @autoclosure () -> String, _ errors: inout [FieldError]) {
        var seen: Set<JSON> = []
        for (index, taint) in taints.enumerated() {
            label(taint["key"], at: "\(place())[\(index)].key", &errors)
            let complaints = NameChecks.labelValue(taint["value"].stringValue ?? "")
            if !complaints.isEmpty {
                errors.append(
                    .invalid("\(place())[\(index)].value", taint["value"], complaints.joined(separator: ";")))
            }
            let effect = taint["effect"].stringValue ?? ""
            if effect.isEmpty {
                errors.append(.required("\(place())[\(index)].effect"))
            } else if !effects.contains(effect) {
                errors.append(.notSupported("\(place())[\(index)].effect", .string(effect), effects))
            }
            if !seen.insert([taint["effect"], taint["key"]]).inserted {
                errors.append(
                    FieldError(
                        .duplicate, "\(place())[\(index)]", value: taint,
                        "taints must be unique by key and effect pair"))
            }
        }
    }
}
