import Objects
import PluginKit

/// Bootstrap tokens, by which new nodes make themselves known: ID.SECRET, kept in the secret bootstrap-token-ID of kube-system.
/// See https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/.
struct BootstrapTokens: TokenAuthenticator {
    static let group = "system:bootstrappers"
    let store: StoreClient
    /// The API's own audience, the only one that these tokens are for.
    let audience: String

    func verdict(_ token: String, audiences: [String], now: Int64, mayWait: Bool) -> TokenVerdict {
        guard let (id, secret) = Self.parts(token), audiences.contains(audience) else { return .unknown }
        let object: JSON?
        do {
            object = try store.object("secrets/kube-system/bootstrap-token-\(id)")
        } catch {
            return .refused("the bootstrap token's secret cannot be read: \(error)")
        }
        guard let object else { return .unknown }
        do throws(Refusal) {
            return .known(try Self.user(object, id: id, secret: secret, now: now), audiences: [audience])
        } catch {
            return .refused(error.reason)
        }
    }

    /// Why a token does not count.
    struct Refusal: Error, Equatable { let reason: String }

    /// The two parts of a token; nil for every text that is none.
    static func parts(_ token: String) -> (id: String, secret: String)? {
        let bytes = token.utf8
        guard bytes.count == 23 else { return nil }
        for (index, byte) in bytes.enumerated() {
            let isFine = index == 6 ? byte == UInt8(ascii: ".") : (0x30...0x39 ~= byte || 0x61...0x7A ~= byte)
            guard isFine else { return nil }
        }
        return (String(token.prefix(6)), String(token.suffix(16)))
    }

    /// Whom the token of a secret stands for.
    static func user(_ object: JSON, id: String, secret: String, now: Int64) throws(Refusal) -> UserInfo {
        func data(_ key: String) -> String {
            guard let bytes = object["data"][key].stringValue.flatMap({ Base64.decode($0) }) else { return "" }
            return String(decoding: bytes, as: UTF8.self)
        }
        guard object.deletionTimestamp == nil, object["type"].stringValue == "bootstrap.kubernetes.io/token",
            isSame(data("token-secret"), secret), data("token-id") == id
        else { throw Refusal(reason: "invalid bearer token") }
        let expiration = data("expiration")
        if !expiration.isEmpty {
            // An end that cannot be read has passed.
            guard let end = try? Timestamp(parsing: expiration), end.seconds > now else {
                throw Refusal(reason: "the bootstrap token has expired")
            }
        }
        guard data("usage-bootstrap-authentication") == "true" else {
            throw Refusal(reason: "the bootstrap token is not for authentication")
        }
        var groups = [group]
        for name in data("auth-extra-groups").split(separator: ",") {
            guard isGroup(name) else {
                throw Refusal(
                    reason: "the bootstrap token's group \"\(name)\" must begin with \"\(group):\" and have only a-z, "
                        + "0-9, : and - behind it")
            }
            groups.append(String(name))
        }
        return UserInfo(name: "system:bootstrap:\(id)", groups: groups)
    }

    private static func isGroup(_ name: Substring) -> Bool {
        let prefix = group + ":"
        guard name.hasPrefix(prefix) else { return false }
        let rest = name.utf8.dropFirst(prefix.utf8.count)
        guard let last = rest.last, rest.count <= 256, last != UInt8(ascii: ":"), last != UInt8(ascii: "-") else {
            return false
        }
        return rest.allSatisfy {
            0x30...0x39 ~= $0 || 0x61...0x7A ~= $0 || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "-")
        }
    }

    /// Compares without telling by its time how much is the same.
    private static func isSame(_ left: String, _ right: String) -> Bool {
        let (left, right) = (Array(left.utf8), Array(right.utf8))
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
