import Glibc
import Objects

/// Finds out who sends a request: a client certificate of our authority, or a bearer token; otherwise anonymous.
struct Authenticator: Sendable {
    let tokens: TokenAuthority

    /// - Throws: 401 when credentials are shown that do not count.
    func identify(_ exchange: HTTPExchange) throws(APIStatus) -> UserInfo {
        var user = try authenticate(exchange)
        if !user.groups.contains("system:unauthenticated"), !user.groups.contains("system:authenticated") {
            user.groups.append("system:authenticated")
        }
        return user
    }

    private func authenticate(_ exchange: HTTPExchange) throws(APIStatus) -> UserInfo {
        if let value = exchange.head.header("authorization") {
            let parts = value.split(separator: " ", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == "bearer" {
                guard let user = tokens.authenticate(String(parts[1]), now: Int64(time(nil))) else { throw .unauthorized }
                return user
            }
        }
        if let token = Self.subprotocolToken(exchange.head) {
            guard let user = tokens.authenticate(token, now: Int64(time(nil))) else { throw .unauthorized }
            return user
        }
        guard let certificate = exchange.certificate else { return .anonymous }
        guard certificate.isTrusted, !certificate.commonName.isEmpty else { throw .unauthorized }
        return UserInfo(name: certificate.commonName, groups: certificate.organizations)
    }

    /// Browsers cannot set headers on a WebSocket; they put the token among its subprotocols.
    private static func subprotocolToken(_ head: HTTPRequestHead) -> String? {
        guard let list = head.header("sec-websocket-protocol") else { return nil }
        let prefix = "base64url.bearer.authorization.k8s.io."
        for part in list.split(separator: ",") {
            let name = part.drop { $0 == " " }
            guard name.hasPrefix(prefix), let bytes = Base64.decode(name.dropFirst(prefix.count), .url) else { continue }
            return String(decoding: bytes, as: UTF8.self)
        }
        return nil
    }
}
