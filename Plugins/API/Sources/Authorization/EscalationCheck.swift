import Objects
import PluginKit

/// Nobody may grant by a role or a binding what they may not do themselves, unless they hold the verbs `escalate` or
/// `bind`. See https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping.
struct EscalationCheck {
    let store: StoreClient
    let authorizer: Authorizer

    /// - Throws: 403 naming what the user lacks.
    func check(_ object: JSON, _ resource: Resource, _ context: RequestContext) throws(APIStatus) {
        let user = context.request.user
        guard !context.request.isInternal, !user.isMaster else { return }
        let rules: [Authorizer.Rule]
        let pardon: Authorizer.Attributes
        switch resource.plural {
        case "roles", "clusterroles":
            rules = object["rules"].arrayValue.map(Authorizer.Rule.init)
            pardon = attributes("escalate", resource.plural, object.namespace, object.name)
        case "rolebindings", "clusterrolebindings":
            let reference = object["roleRef"]
            let name = reference["name"].stringValue ?? ""
            let isCluster = reference["kind"].stringValue == "ClusterRole"
            rules = try self.rules(of: name, namespace: isCluster ? "" : object.namespace, isCluster: isCluster)
            pardon = attributes("bind", isCluster ? "clusterroles" : "roles", object.namespace, name)
        default: return
        }
        if authorizer.allows(user, pardon) { return }
        for rule in rules where !covers(rule, user, namespace: object.namespace) {
            throw .forbidden(
                resource, object.name,
                "user \"\(user.name)\" (groups=\(user.groups)) is attempting to grant RBAC permissions not currently held: "
                    + "{APIGroups:\(rule.groups), Resources:\(rule.resources), Verbs:\(rule.verbs), "
                    + "NonResourceURLs:\(rule.paths)}")
        }
    }

    private func attributes(_ verb: String, _ resource: String, _ namespace: String, _ name: String)
        -> Authorizer.Attributes
    {
        .init(verb: verb, group: "rbac.authorization.k8s.io", resource: resource, namespace: namespace, name: name)
    }

    private func rules(of name: String, namespace: String, isCluster: Bool) throws(APIStatus) -> [Authorizer.Rule] {
        let plural = isCluster ? "clusterroles" : "roles"
        do {
            let role = try store.object("\(plural).rbac.authorization.k8s.io/\(namespace)/\(name)")
            return (role ?? .null)["rules"].arrayValue.map(Authorizer.Rule.init)
        } catch {
            throw .unavailable("\(error)")
        }
    }

    /// Whether the user may do all that a rule allows; a wildcard of the rule needs one of the user's.
    private func covers(_ rule: Authorizer.Rule, _ user: UserInfo, namespace: String) -> Bool {
        rule.verbs.allSatisfy { verb in
            let paths = rule.paths.allSatisfy { authorizer.allows(user, .init(verb: verb, path: $0)) }
            let resources = rule.groups.allSatisfy { group in
                rule.resources.allSatisfy { resource in
                    (rule.names.isEmpty ? [""] : rule.names).allSatisfy { name in
                        let parts = resource.split(separator: "/", maxSplits: 1).map(String.init)
                        return authorizer.allows(
                            user,
                            .init(
                                verb: verb, group: group, resource: parts.first ?? "",
                                subresource: parts.count > 1 ? parts[1] : "", namespace: namespace, name: name))
                    }
                }
            }
            return paths && resources
        }
    }
}
