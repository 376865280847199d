import Glibc
import Objects

/// Rules of FlowSchemas and priority levels that relate several fields.
/// See https://kubernetes.io/docs/concepts/cluster-administration/flow-control/.
enum FlowValidation {
    private static let verbs = [
        "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch",
    ]
    private static let mostBits = 60

    // MARK: - FlowSchemas

    static func schema(_ object: JSON, _ errors: inout [FieldError]) {
        let spec = object["spec"]
        if spec["matchingPrecedence"] == 1, object.name != "exempt" {
            errors.append(
                .invalid(
                    "spec.matchingPrecedence", 1, "only the schema named 'exempt' may have matchingPrecedence 1"))
        }
        if spec["priorityLevelConfiguration"].isNull {
            errors.append(.required("spec.priorityLevelConfiguration.name", "must reference a priority level"))
        }
        for (index, rule) in spec["rules"].arrayValue.enumerated() {
            check(rule: rule, "spec.rules[\(index)]", &errors)
        }
    }

    private static func check(rule: JSON, _ place: String, _ errors: inout [FieldError]) {
        for (index, subject) in rule["subjects"].arrayValue.enumerated() {
            check(subject: subject, "\(place).subjects[\(index)]", &errors)
        }
        let (resources, others) = (rule["resourceRules"].arrayValue, rule["nonResourceRules"].arrayValue)
        if resources.isEmpty, others.isEmpty {
            errors.append(
                .required(place, "at least one of resourceRules and nonResourceRules has to be non-empty"))
        }
        for (index, rule) in resources.enumerated() {
            let path = "\(place).resourceRules[\(index)]"
            check(verbs: rule["verbs"], path, &errors)
            alone(rule["apiGroups"], "\(path).apiGroups", "api groups", &errors)
            alone(rule["resources"], "\(path).resources", "resources", &errors)
            check(namespaces: rule, path, &errors)
        }
        for (index, rule) in others.enumerated() {
            let path = "\(place).nonResourceRules[\(index)]"
            check(verbs: rule["verbs"], path, &errors)
            let urls = rule["nonResourceURLs"]
            if alone(urls, "\(path).nonResourceURLs", "non-resource URLs", &errors) { continue }
            for (position, url) in urls.arrayValue.enumerated() {
                guard let complaint = complaint(about: url.stringValue ?? "") else { continue }
                errors.append(.invalid("\(path).nonResourceURLs[\(position)]", url, complaint))
            }
        }
    }

    private static func check(subject: JSON, _ place: String, _ errors: inout [FieldError]) {
        let kind = subject["kind"].stringValue ?? ""
        for (owner, field) in [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")]
        where owner != kind && subject[field].exists {
            errors.append(
                .forbidden("\(place).\(field)", "\(field) is forbidden when subject kind is not '\(owner)'"))
        }
        guard kind == "ServiceAccount" else { return }
        let account = subject["serviceAccount"]
        for (field, check) in [
            ("name", NameChecks.dns1123Subdomain), ("namespace", NameChecks.dns1123Label),
        ] {
            guard let text = account[field].stringValue, !text.isEmpty, field != "name" || text != "*" else { continue }
            errors += check(text).map { .invalid("\(place).serviceAccount.\(field)", .string(text), $0) }
        }
    }

    /// What stands for all stands alone. True where it is there.
    @discardableResult
    private static func alone(
        _ values: JSON, _ place: String, _ name: String, _ errors: inout [FieldError]
    ) -> Bool {
        guard values.arrayValue.contains("*") else { return false }
        if values.count > 1 {
            errors.append(.invalid(place, values, "if '*' is present, must not specify other \(name)"))
        }
        return true
    }

    private static func check(verbs wanted: JSON, _ place: String, _ errors: inout [FieldError]) {
        if alone(wanted, "\(place).verbs", "verbs", &errors) { return }
        if !wanted.arrayValue.allSatisfy({ verbs.contains($0.stringValue ?? "") }) {
            errors.append(.notSupported("\(place).verbs", wanted, verbs))
        }
    }

    private static func check(namespaces rule: JSON, _ place: String, _ errors: inout [FieldError]) {
        let names = rule["namespaces"]
        let path = "\(place).namespaces"
        if names.isEmpty, rule["clusterScope"].boolValue != true {
            errors.append(
                .required(path, "resource rules that are not cluster scoped must supply at least one namespace"))
        }
        if alone(names, path, "namespaces", &errors) { return }
        for (index, name) in names.arrayValue.enumerated() {
            errors += NameChecks.dns1123Label(name.stringValue ?? "").map { .invalid("\(path)[\(index)]", name, $0) }
        }
    }

    private static func complaint(about path: String) -> String? {
        if path.isEmpty { return "must not be empty" }
        if path == "/" { return nil }
        if !path.hasPrefix("/") { return "must start with slash" }
        if path.contains(" ") { return "must not contain white-space" }
        if path.contains("//") { return "must not contain double slash" }
        let stars = path.count { $0 == "*" }
        return stars > 1 || stars == 1 && !path.hasSuffix("/*") ? "wildcard can only do suffix matching" : nil
    }

    // MARK: - Priority levels

    static func level(_ object: JSON, _ errors: inout [FieldError]) {
        let spec = object["spec"]
        let type = spec["type"].stringValue ?? ""
        if (object.name == "exempt") != (type == "Exempt") {
            errors.append(
                .invalid(
                    "spec.type", .string(type), "must be 'Exempt' if and only if `name` is 'exempt'"))
        }
        if type.isEmpty { errors.append(.notSupported("spec.type", "", ["Exempt", "Limited"])) }
        let queuing = spec["limited"]["limitResponse"]["queuing"]
        guard let queues = queuing["queues"].integerValue, let hand = queuing["handSize"].integerValue,
            queues > 0, hand > 0
        else { return }
        let place = "spec.limited.limitResponse.queuing.handSize"
        if hand > queues {
            errors.append(.invalid(place, .integer(hand), "should not be greater than queues (\(queues))"))
        } else if log2(Double(queues)) * Double(hand) > Double(mostBits) {
            errors.append(
                .invalid(
                    place, .integer(hand),
                    "required entropy bits of deckSize \(queues) and handSize \(hand) should not be greater than \(mostBits)"
                ))
        }
    }
}
