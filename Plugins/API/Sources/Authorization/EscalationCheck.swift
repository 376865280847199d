import Objects
import PluginKit

/// Nobody may grant by a role or a binding what they may not do themselves, unless they hold the verbs `escalate` or
/// `bind`. See https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping.
struct EscalationCheck {
    let store: StoreClient
    let authorizer: Authorizer

    /// What holds whose rules are gathered from others, which may say anything.
    private static let everything = [
        Authorizer.Rule(verbs: ["*"], groups: ["*"], resources: ["*"], names: [], paths: []),
        Authorizer.Rule(verbs: ["*"], groups: [], resources: [], names: [], paths: ["*"]),
    ]

    /// - Throws: 403 naming what the user lacks; 404 for a role that is to be bound and is not there.
    func check(_ object: JSON, from old: JSON, _ resource: Resource, _ context: RequestContext) throws(APIStatus) {
        let user = context.request.user
        guard !context.request.isInternal, !user.isMaster else { return }
        // What only lets the object be deleted grants nothing.
        guard old.isNull || Self.grants(object) != Self.grants(old) else { return }
        switch resource.plural {
        case "roles", "clusterroles":
            if allows(user, "escalate", resource.plural, object.namespace, object.name) { return }
            let rules = object["rules"].arrayValue.map(Authorizer.Rule.init)
            try confirm(rules, for: user, namespace: object.namespace, resource, object.name)
            guard object["aggregationRule"].exists || old["aggregationRule"].exists else { return }
            guard missing(Self.everything, for: user, namespace: "").isEmpty else {
                throw .forbidden(
                    resource, object.name, "must have cluster-admin privileges to use the aggregationRule")
            }
        case "rolebindings", "clusterrolebindings":
            let reference = object["roleRef"]
            let name = reference["name"].stringValue ?? ""
            let isCluster = reference["kind"].stringValue == "ClusterRole"
            let plural = isCluster ? "clusterroles" : "roles"
            if allows(user, "bind", plural, object.namespace, name) { return }
            let rules = try self.rules(of: name, plural, namespace: isCluster ? "" : object.namespace)
            try confirm(rules, for: user, namespace: object.namespace, resource, object.name)
        default: return
        }
    }

    /// An object but for what the server and the garbage collector keep of it.
    private static func grants(_ object: JSON) -> JSON {
        var object = object
        for key in ["ownerReferences", "finalizers", "managedFields", "resourceVersion", "generation"] {
            if object.metadata[key].exists { object["metadata"].removeValue(forKey: key) }
        }
        return object
    }

    private func confirm(
        _ rules: [Authorizer.Rule], for user: UserInfo, namespace: String, _ resource: Resource, _ name: String
    ) throws(APIStatus) {
        let missing = missing(rules, for: user, namespace: namespace)
        if missing.isEmpty { return }
        let lines = Set(RuleCoverage.compact(missing).map(RuleCoverage.description)).sorted()
        throw .forbidden(
            resource, name,
            "user \(JSON.string(user.name).serializedString()) (groups=\(RuleCoverage.quoted(user.groups))) is attempting to "
                + "grant RBAC permissions not currently held:\n\(lines.joined(separator: "\n"))")
    }

    private func allows(
        _ user: UserInfo, _ verb: String, _ plural: String, _ namespace: String, _ name: String
    ) -> Bool {
        authorizer.allows(
            user,
            .init(verb: verb, group: "rbac.authorization.k8s.io", resource: plural, namespace: namespace, name: name))
    }

    private func rules(
        of name: String, _ plural: String, namespace: String
    ) throws(APIStatus) -> [Authorizer.Rule] {
        let found: JSON?
        do {
            found = try store.object("\(plural).rbac.authorization.k8s.io/\(namespace)/\(name)")
        } catch {
            throw .unavailable("\(error)")
        }
        guard let role = found else {
            var status = APIStatus(
                code: 404, reason: "NotFound", message: "\(plural).rbac.authorization.k8s.io \"\(name)\" not found")
            (status.name, status.group, status.kind) = (name, "rbac.authorization.k8s.io", plural)
            throw status
        }
        return role["rules"].arrayValue.map(Authorizer.Rule.init)
    }

    /// The parts of rules that the user may not do; a wildcard of a rule needs one of the user's.
    private func missing(_ rules: [Authorizer.Rule], for user: UserInfo, namespace: String) -> [Authorizer.Rule] {
        rules.flatMap(RuleCoverage.parts).filter { part in
            let verb = part.verbs.first ?? ""
            if let path = part.paths.first { return !authorizer.allows(user, .init(verb: verb, path: path)) }
            let resource = (part.resources.first ?? "").split(
                separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            return !authorizer.allows(
                user,
                .init(
                    verb: verb, group: part.groups.first ?? "", resource: String(resource.first ?? ""),
                    subresource: resource.count > 1 ? String(resource[1]) : "", namespace: namespace,
                    name: part.names.first ?? ""))
        }
    }
}
