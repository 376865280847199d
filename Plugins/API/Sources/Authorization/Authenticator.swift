import Glibc
import Objects

/// Finds out who sends a request: whom a trusted proxy names, a bearer token, or a client certificate of our authority;
/// otherwise anonymous.
struct Authenticator: Sendable {
    let tokens: BearerTokens
    let authorizer: Authorizer
    var anonymous = AnonymousAccess.standard

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
        guard let other = try Impersonation(exchange.head.allHeaders) else { return Identity(user: user) }
        try other.check(user, authorizer)
        return Identity(user: other.user, impersonator: user)
    }

    private func authenticate(_ exchange: HTTPExchange, _ mayWait: Bool) throws(APIStatus) -> UserInfo? {
        if let certificate = exchange.certificate, certificate.isOfProxy {
            guard certificate.isTrusted, let user = FrontProxy.user(exchange.head.allHeaders, by: certificate) else {
                throw .unauthorized
            }
            return user
        }
        if let value = exchange.head.header("authorization") {
            let parts = value.split(separator: " ", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == "bearer" {
                return try bearer(String(parts[1]), mayWait)
            }
        }
        if let token = Self.subprotocolToken(exchange.head) { return try bearer(token, mayWait) }
        guard let certificate = exchange.certificate else {
            guard anonymous.isOpen(exchange.head.target) else { throw .unauthorized }
            return .anonymous
        }
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
