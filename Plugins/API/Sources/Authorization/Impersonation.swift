import Objects

/// A request in the name of another user: whom its headers ask for, and whether the caller may be each part of that.
/// See https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation.
struct Impersonation: Sendable, Equatable {
    let name: String
    /// Empty: none is asked for.
    let uid: String
    /// Those that the headers name; empty: those that the name implies.
    let groups: [String]
    let extra: [String: [String]]

    private static let extraPrefix = "impersonate-extra-"

    /// Nil for a request in the caller's own name.
    /// - Parameter headers: Names in lower case.
    /// - Throws: 400 for parts of a user without its name.
    init?(_ headers: [(name: String, value: String)]) throws(APIStatus) {
        var name = ""
        var uid = ""
        var groups: [String] = []
        var extra: [String: [String]] = [:]
        for header in headers where header.name.hasPrefix("impersonate-") {
            switch header.name {
            case "impersonate-user": name = header.value
            case "impersonate-uid": uid = header.value
            case "impersonate-group": groups.append(header.value)
            case let text where text.hasPrefix(Self.extraPrefix):
                let key = try PercentEncoding.decode(text.dropFirst(Self.extraPrefix.count)).lowercased()
                extra[key, default: []].append(header.value)
            default: break
            }
        }
        guard !name.isEmpty else {
            guard groups.isEmpty, uid.isEmpty, extra.isEmpty else {
                throw .badRequest("requested impersonation of a group, uid or extra without Impersonate-User")
            }
            return nil
        }
        self.name = name
        self.uid = uid
        self.groups = groups
        self.extra = extra
    }

    /// The service account that the name is of.
    var account: (namespace: String, name: String)? {
        let parts = name.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 4, name.hasPrefix("system:serviceaccount:"), !parts[2].isEmpty, !parts[3].isEmpty else {
            return nil
        }
        return (String(parts[2]), String(parts[3]))
    }

    /// What the caller must be allowed, with verb impersonate: each part that the headers name.
    var wanted: [Authorizer.Attributes] {
        func part(
            _ resource: String, _ name: String, group: String = "", namespace: String = "", subresource: String = ""
        ) -> Authorizer.Attributes {
            .init(
                verb: "impersonate", group: group, resource: resource, subresource: subresource, namespace: namespace,
                name: name)
        }
        let identity = "authentication.k8s.io"
        var wanted: [Authorizer.Attributes] = []
        if let account {
            wanted.append(part("serviceaccounts", account.name, namespace: account.namespace))
        } else {
            wanted.append(part("users", name))
        }
        wanted += groups.map { part("groups", $0) }
        if !uid.isEmpty { wanted.append(part("uids", uid, group: identity)) }
        for (key, values) in extra.sorted(by: { $0.key < $1.key }) {
            wanted += values.map { part("userextras", $0, group: identity, subresource: key) }
        }
        return wanted
    }

    /// The user, once all parts are allowed.
    var user: UserInfo {
        var user = UserInfo(name: name, uid: uid, groups: groups, extra: extra)
        if groups.isEmpty, let account {
            user.groups = ["system:serviceaccounts", "system:serviceaccounts:\(account.namespace)"]
        }
        let isAnonymous = name == UserInfo.anonymous.name
        let group = isAnonymous ? "system:unauthenticated" : "system:authenticated"
        if !user.groups.contains(group) { user.groups.append(group) }
        return user
    }

    /// Whom the caller acts as: constrained to what they may do in that name, or, where they may be the user altogether,
    /// without a constraint.
    /// - Parameter action: What the request is.
    /// - Throws: 403 for the first part that the caller may not be.
    func check(
        _ caller: UserInfo, _ authorizer: Authorizer, action: Authorizer.Attributes
    ) throws(APIStatus) -> Identity {
        for constraint in ConstrainedImpersonation.all(self, caller) {
            var wanted = action
            wanted.verb = "impersonate-on:\(constraint.mode):\(action.verb)"
            guard constraint.parts.allSatisfy({ authorizer.allows(caller, $0) }), authorizer.allows(caller, wanted)
            else {
                continue
            }
            return Identity(
                user: constraint.user, impersonator: caller, constraint: "impersonate:\(constraint.mode)")
        }
        for part in wanted where !authorizer.allows(caller, part) {
            let place = part.namespace.isEmpty ? "at the cluster scope" : "in the namespace \"\(part.namespace)\""
            let what = part.subresource.isEmpty ? part.resource : "\(part.resource)/\(part.subresource)"
            let qualified = part.group.isEmpty ? part.resource : "\(part.resource).\(part.group)"
            throw APIStatus(
                code: 403, reason: "Forbidden",
                message:
                    "\(qualified) \"\(part.name)\" is forbidden: User \"\(caller.name)\" cannot impersonate resource "
                    + "\"\(what)\" in API group \"\(part.group)\" \(place)")
        }
        return Identity(user: user, impersonator: caller)
    }
}

extension HTTPRequestHead {
    /// Whether a header may ask for another user.
    var mayImpersonate: Bool { fields.contains { begins($0.name, "impersonate-") } }
}
