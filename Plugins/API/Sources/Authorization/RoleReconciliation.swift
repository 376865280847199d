import Objects

/// What a start of the server does to the roles and bindings that every cluster has: what they lack is added, what was added to
/// them stays. Whoever annotates one with `rbac.authorization.kubernetes.io/autoupdate: "false"` keeps it as it is. Pure.
/// See https://kubernetes.io/docs/reference/access-authn-authz/rbac/#auto-reconciliation.
enum RoleReconciliation {
    static let annotation = "rbac.authorization.kubernetes.io/autoupdate"

    enum Step: Sendable, Equatable {
        case nothing
        case update(JSON)
        /// A binding to another role: what it binds cannot be changed.
        case replace
    }

    /// - Parameters:
    ///   - present: as it is stored.
    ///   - wanted: as the server has it.
    static func step(_ present: JSON, _ wanted: JSON) -> Step {
        guard present.annotations[annotation].stringValue != "false" else { return .nothing }
        var object = present
        for key in ["labels", "annotations"] {
            for (name, value) in wanted.metadata[key].objectValue ?? [:] where !object.metadata[key][name].exists {
                object["metadata"][key][name] = value
            }
        }
        if wanted["roleRef"].exists {
            let (has, wants) = (present["roleRef"], wanted["roleRef"])
            guard has["kind"] == wants["kind"], has["name"] == wants["name"] else { return .replace }
            addSubjects(&object, wanted)
        } else {
            addRules(&object, wanted)
        }
        return object == present ? .nothing : .update(object)
    }

    private static func addSubjects(_ object: inout JSON, _ wanted: JSON) {
        func key(_ subject: JSON) -> [JSON] { [subject["kind"], subject["namespace"], subject["name"]] }
        let present = Set(object["subjects"].arrayValue.map(key))
        for subject in wanted["subjects"].arrayValue where !present.contains(key(subject)) {
            object["subjects"].append(subject)
        }
    }

    private static func addRules(_ object: inout JSON, _ wanted: JSON) {
        let selectors = wanted["aggregationRule"]["clusterRoleSelectors"].arrayValue
        guard selectors.isEmpty else {
            // Its rules are those of others.
            let present = object["aggregationRule"]["clusterRoleSelectors"].arrayValue
            for selector in selectors where !present.contains(selector) {
                object["aggregationRule"]["clusterRoleSelectors"].append(selector)
            }
            return
        }
        let missing = RuleCoverage.missing(
            wanted["rules"].arrayValue.map(Authorizer.Rule.init),
            in: object["rules"].arrayValue.map(Authorizer.Rule.init))
        for rule in RuleCoverage.compact(missing) { object["rules"].append(rule.json) }
    }
}
