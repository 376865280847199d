import Glibc
import Objects

/// Finds out who sends a request: whom a trusted proxy names, whom a client certificate of our authority or a bearer token
/// stands for; otherwise anonymous.
struct Authenticator: Sendable {
    let tokens: BearerTokens
    let authorizer: Authorizer
    let anonymous: Replaceable<AnonymousAccess>
    private let recent = RecentTokens()

    init(tokens: BearerTokens, authorizer: Authorizer, anonymous: Replaceable<AnonymousAccess>) {
        self.tokens = tokens
        self.authorizer = authorizer
        self.anonymous = anonymous
    }

    /// - Parameter mayWait: Whether others may be asked about a token or a permission. [blocking] then, and only then.
    /// - Returns: nil when somebody has to be asked and may not.
    /// - Throws: 401 when credentials are shown of which none counts.
    func identify(_ exchange: HTTPExchange, mayWait: Bool) throws(APIStatus) -> Identity? {
        guard let user = try user(of: exchange, mayWait: mayWait) else { return nil }
        guard exchange.head.mayImpersonate else { return Identity(user: user) }
        // What the caller may is asked of the authorizers, too.
        if authorizer.mayWait, !mayWait { return nil }
        guard let other = try Impersonation(exchange.head.allHeaders) else { return Identity(user: user) }
        return try other.check(user, authorizer, action: try Self.action(exchange.head))
    }

    /// What a request is, for those who ask whether it may be made in another's name.
    private static func action(_ head: HTTPRequestHead) throws(APIStatus) -> Authorizer.Attributes {
        let request = try APIRequest(
            method: .init(head.method, contentType: nil), target: head.target, user: .anonymous, isInternal: false)
        let info = RequestInfo(request)
        guard info.isResource else { return .init(verb: info.verb, path: info.path) }
        return .init(
            verb: info.verb, group: info.group, version: info.version, resource: info.resource,
            subresource: info.subresource, namespace: info.namespace, name: info.name)
    }

    /// Kubernetes' order: whom a proxy names, whom a certificate stands for, whom a token stands for. The first that counts
    /// decides; credentials that do not count only matter when nothing else does.
    /// - Parameter mayWait: As of `identify`.
    func user(of exchange: HTTPExchange, mayWait: Bool) throws(APIStatus) -> UserInfo? {
        var isRefused = false
        switch certified(exchange) {
        case .known(let user): return user
        case .refused: isRefused = true
        case .unknown: break
        }
        let now = Int64(time(nil))
        if let token = recentToken(exchange.head), let user = tokens.authority.user(of: token, now: now) { return user }
        switch shownToken(exchange.head) {
        case .absent: break
        case .malformed: isRefused = true
        case .text(let token):
            switch tokens.verdict(token, now: now, mayWait: mayWait) {
            case .known(var user, _):
                remember(token, exchange.head)
                user.groups = UserInfo.authenticated(user.groups)
                return user
            case .mustWait: return nil
            // Why a token does not count is not for whoever shows it.
            case .unknown, .refused: isRefused = true
            }
        }
        guard !isRefused, anonymous.current.isOpen(exchange.head.target) else { throw .unauthorized }
        return .anonymous
    }

    private enum Certified {
        case unknown
        case known(UserInfo)
        case refused
    }

    private func certified(_ exchange: HTTPExchange) -> Certified {
        guard let certificate = exchange.certificate else { return .unknown }
        guard certificate.isTrusted else { return .refused }
        guard certificate.isOfProxy else { return certificate.user.map { .known($0) } ?? .unknown }
        // A proxy's certificate is none of a client's: without a name it stands for nobody.
        guard var user = FrontProxy.user(exchange.head.allHeaders, by: certificate) else { return .refused }
        user.groups = UserInfo.authenticated(user.groups)
        return .known(user)
    }

    private func recentToken(_ head: HTTPRequestHead) -> TokenAuthority.Verified? {
        guard let field = head.field("authorization") else { return nil }
        return head.bytes.withUnsafeBytes { recent.find(UnsafeRawBufferPointer(rebasing: $0[field.value])) }
    }

    /// Keeps a token that the Authorization header shows, if it is one of this server's.
    private func remember(_ token: String, _ head: HTTPRequestHead) {
        guard let field = head.field("authorization"), let verified = tokens.authority.known(token) else { return }
        head.bytes.withUnsafeBytes { recent.keep(verified, UnsafeRawBufferPointer(rebasing: $0[field.value])) }
    }

    private enum ShownToken {
        case absent
        case text(String)
        case malformed
    }

    private func shownToken(_ head: HTTPRequestHead) -> ShownToken {
        if let value = head.header("authorization") {
            let parts = value.utf8.split(separator: UInt8(ascii: " "), maxSplits: 2, omittingEmptySubsequences: false)
            if parts.count > 1, !parts[1].isEmpty, Substring(parts[0]).lowercased() == "bearer" {
                return .text(String(Substring(parts[1])))
            }
        }
        return Self.subprotocolToken(head)
    }

    static let subprotocolPrefix = "base64url.bearer.authorization.k8s.io."

    /// Browsers cannot set headers on a WebSocket; they put the token among its subprotocols, beside at least one that the
    /// server can choose.
    private static func subprotocolToken(_ head: HTTPRequestHead) -> ShownToken {
        guard let upgrade = head.header("upgrade"), upgrade.lowercased() == "websocket",
            HTTPRequestHead.list(head.header("connection") ?? "", contains: "upgrade")
        else { return .absent }
        let offered = head.headers("sec-websocket-protocol").flatMap { $0.split(separator: ",") }.map { part in
            String(part).trimmingWhitespace()
        }
        let shown = offered.filter { $0.hasPrefix(subprotocolPrefix) }
        guard let first = shown.first else { return .absent }
        guard shown.count == 1, shown.count < offered.count,
            let bytes = Base64.decode(first.dropFirst(subprotocolPrefix.count), .url),
            let token = String(validating: bytes, as: UTF8.self)
        else { return .malformed }
        return token.isEmpty ? .absent : .text(token)
    }
}

/// Whose request it is.
struct Identity: Sendable {
    var user: UserInfo
    /// Who has asked to act as the user; nil for the user's own requests.
    var impersonator: UserInfo?
    /// The permission by which they may, where it is one of `ConstrainedImpersonation`; empty elsewhere.
    var constraint = ""
}
