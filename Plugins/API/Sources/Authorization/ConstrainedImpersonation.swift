import Objects

/// A way of acting as somebody for some actions alone: the caller must be allowed to be the user in this way, and to do what
/// they do (`impersonate-on:MODE:VERB`) in the user's name. Pure.
/// See https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/#constrained-impersonation.
struct ConstrainedImpersonation: Sendable, Equatable {
    private static let group = "authentication.k8s.io"
    private static let nodePrefix = "system:node:"

    /// "user-info", "serviceaccount", "arbitrary-node", "associated-node".
    let mode: String
    /// What the caller must be allowed.
    let parts: [Authorizer.Attributes]
    /// Whom the caller then is.
    let user: UserInfo

    /// The ways that there are to what is asked for, in the order in which they are tried.
    static func all(_ wanted: Impersonation, _ caller: UserInfo) -> [ConstrainedImpersonation] {
        let isNameAlone = wanted.groups.isEmpty && wanted.uid.isEmpty && wanted.extra.isEmpty
        if wanted.name.hasPrefix(nodePrefix) {
            return isNameAlone ? nodes(String(wanted.name.dropFirst(nodePrefix.count)), wanted, caller) : []
        }
        guard wanted.name.hasPrefix("system:serviceaccount:") else {
            return [.init(mode: "user-info", parts: wanted.wanted.map { part($0, "user-info") }, user: wanted.user)]
        }
        guard isNameAlone, wanted.account != nil else { return [] }
        return [
            .init(mode: "serviceaccount", parts: wanted.wanted.map { part($0, "serviceaccount") }, user: wanted.user)
        ]
    }

    /// A part of the user as this way asks for it.
    private static func part(_ part: Authorizer.Attributes, _ mode: String) -> Authorizer.Attributes {
        var part = part
        part.verb = "impersonate:\(mode)"
        part.group = group
        return part
    }

    private static func nodes(
        _ name: String, _ wanted: Impersonation, _ caller: UserInfo
    ) -> [ConstrainedImpersonation] {
        guard !name.isEmpty else { return [] }
        var user = wanted.user
        user.groups = ["system:nodes", "system:authenticated"]
        func way(_ mode: String, _ name: String) -> ConstrainedImpersonation {
            .init(
                mode: mode,
                parts: [.init(verb: "impersonate:\(mode)", group: group, resource: "nodes", name: name)], user: user)
        }
        // The node that the caller's pod runs on, as its token says.
        let isOwn =
            caller.groups.contains("system:serviceaccounts")
            && caller.extra["authentication.kubernetes.io/node-name"] == [name]
        return (isOwn ? [way("associated-node", "*")] : []) + [way("arbitrary-node", name)]
    }
}
