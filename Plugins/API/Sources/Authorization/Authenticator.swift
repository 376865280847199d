import Glibc
import Objects

/// Finds out who sends a request: a client certificate of our authority, or a bearer token; otherwise anonymous.
struct Authenticator: Sendable {
    let tokens: BearerTokens
    let authorizer: Authorizer

    /// - Parameter mayWait: Whether others may be asked about a token or a permission. [blocking] then, and only then.
    /// - Returns: nil when somebody has to be asked and may not.
    /// - Throws: 401 when credentials are shown that do not count.
    func identify(_ exchange: HTTPExchange, mayWait: Bool) throws(APIStatus) -> Identity? {
        guard var user = try authenticate(exchange, mayWait) else { return nil }
        if !user.groups.contains("system:unauthenticated"), !user.groups.contains("system:authenticated") {
            user.groups.append("system:authenticated")
        }
        guard exchange.head.mayImpersonate else { return Identity(user: user) }
        // What the caller may is asked of the authorizers, too.
        if authorizer.mayWait, !mayWait { return nil }
        return Identity(user: try impersonated(exchange.head, by: user), impersonator: user)
    }

    private func authenticate(_ exchange: HTTPExchange, _ mayWait: Bool) throws(APIStatus) -> UserInfo? {
        if let value = exchange.head.header("authorization") {
            let parts = value.split(separator: " ", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == "bearer" {
                return try bearer(String(parts[1]), mayWait)
            }
        }
        if let token = Self.subprotocolToken(exchange.head) { return try bearer(token, mayWait) }
        guard let certificate = exchange.certificate else { return .anonymous }
        guard certificate.isTrusted, !certificate.commonName.isEmpty else { throw .unauthorized }
        return UserInfo(name: certificate.commonName, groups: certificate.organizations)
    }

    private func bearer(_ token: String, _ mayWait: Bool) throws(APIStatus) -> UserInfo? {
        switch tokens.verdict(token, now: Int64(time(nil)), mayWait: mayWait) {
        case .known(let user, _): return user
        case .mustWait: return nil
        // Why a token does not count is not for whoever shows it.
        case .unknown, .refused: throw .unauthorized
        }
    }

    /// Acts as another user, where the headers ask for it and the caller may.
    /// See https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation.
    private func impersonated(_ head: HTTPRequestHead, by caller: UserInfo) throws(APIStatus) -> UserInfo {
        guard let name = head.header("impersonate-user") else {
            guard head.field("impersonate-group") == nil, head.field("impersonate-uid") == nil else {
                throw .badRequest("requested impersonation of a group or uid without Impersonate-User")
            }
            return caller
        }
        var user = UserInfo(
            name: name, uid: head.header("impersonate-uid") ?? "", groups: head.headers("impersonate-group"))
        let parts = name.split(separator: ":", omittingEmptySubsequences: false)
        if parts.count == 4, name.hasPrefix("system:serviceaccount:") {
            try check(caller, "serviceaccounts", String(parts[3]), namespace: String(parts[2]))
            if user.groups.isEmpty { user.groups = ["system:serviceaccounts", "system:serviceaccounts:\(parts[2])"] }
        } else {
            try check(caller, "users", name)
        }
        for group in user.groups where parts.count != 4 { try check(caller, "groups", group) }
        let isAnonymous = name == UserInfo.anonymous.name
        let group = isAnonymous ? "system:unauthenticated" : "system:authenticated"
        if !user.groups.contains(group) { user.groups.append(group) }
        return user
    }

    private func check(
        _ caller: UserInfo, _ resource: String, _ name: String, namespace: String = ""
    ) throws(APIStatus) {
        let wanted = Authorizer.Attributes(verb: "impersonate", resource: resource, namespace: namespace, name: name)
        guard authorizer.allows(caller, wanted) else {
            let place = namespace.isEmpty ? "at the cluster scope" : "in the namespace \"\(namespace)\""
            throw APIStatus(
                code: 403, reason: "Forbidden",
                message: "\(resource) \"\(name)\" is forbidden: User \"\(caller.name)\" cannot impersonate resource "
                    + "\"\(resource)\" in API group \"\" \(place)")
        }
    }

    /// Browsers cannot set headers on a WebSocket; they put the token among its subprotocols.
    private static func subprotocolToken(_ head: HTTPRequestHead) -> String? {
        guard let list = head.header("sec-websocket-protocol") else { return nil }
        let prefix = "base64url.bearer.authorization.k8s.io."
        for part in list.split(separator: ",") {
            let name = part.drop { $0 == " " }
            guard name.hasPrefix(prefix), let bytes = Base64.decode(name.dropFirst(prefix.count), .url) else {
                continue
            }
            return String(decoding: bytes, as: UTF8.self)
        }
        return nil
    }
}

/// Whose request it is.
struct Identity: Sendable {
    var user: UserInfo
    /// Who has asked to act as the user; nil for the user's own requests.
    var impersonator: UserInfo?
}

extension HTTPRequestHead {
    /// Whether a header asks for another user.
    var mayImpersonate: Bool {
        field("impersonate-user") != nil || field("impersonate-group") != nil || field("impersonate-uid") != nil
    }
}
