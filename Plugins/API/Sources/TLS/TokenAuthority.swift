import COpenSSL
import Objects
import PluginKit
import Synchronization

/// Makes and checks the tokens of service accounts: JSON web tokens signed with ES256 (RFC 7515, RFC 7518).
final class TokenAuthority: Sendable {
    static let issuer = "https://kubernetes.default.svc.cluster.local"
    private static let cacheLimit = 4096

    /// A token whose signature holds; whether what it is bound to still exists is looked at each time.
    final class Verified: Sendable {
        /// Whom it stands for; nil when its claims contradict each other.
        let user: UserInfo?
        let audiences: [String]
        let bound: [Bound]
        let expiry: Int64

        init(user: UserInfo?, audiences: [String], bound: [Bound], expiry: Int64) {
            self.user = user
            self.audiences = audiences
            self.bound = bound
            self.expiry = expiry
        }
    }

    /// What a token is bound to: a key in the store, and what must stand there.
    final class Bound: Sendable {
        enum Mark: Sendable {
            /// The object's uid.
            case uid(String)
            /// The token itself, which a secret holds, in base 64.
            case token(String)
        }

        let key: String
        let mark: Mark
        /// The revision at which it was last found there.
        let seen = Atomic<UInt64>(0)

        init(_ key: String, _ uid: String) {
            self.key = key
            mark = .uid(uid)
        }

        /// A secret that holds a token.
        init(secret key: String, holds token: String) {
            self.key = key
            mark = .token(Base64.encode(Array(token.utf8)))
        }

        /// Whether it stands in the bytes of a stored object.
        func isIn(_ value: UnsafeRawBufferPointer) -> Bool {
            switch mark {
            case .uid(let uid):
                !uid.isEmpty
                    && StoredObject.metadata(value).map { Array($0).contains(text: "\"uid\":\"\(uid)\"") } ?? false
            case .token(let token): Array(value).contains(text: "\"token\":\"\(token)\"")
            }
        }
    }

    let issuer: String
    private let signingKey: SigningKey
    private let store: StoreClient
    private let cache = Mutex<[String: Verified]>([:])
    private let staticTokens: [String: UserInfo]

    init(
        key: [UInt8], issuer: String = TokenAuthority.issuer, store: StoreClient, staticTokens: [String: UserInfo] = [:]
    ) throws(HTTPServerError) {
        signingKey = try SigningKey(pem: key)
        self.issuer = issuer
        self.store = store
        self.staticTokens = staticTokens
    }

    // MARK: - Making

    /// What a token is about.
    struct Subject {
        var namespace: String
        var name: String
        var uid: String
        /// The object that the token is bound to: kind "Pod", "Secret" or "Node", name and uid.
        var bound: (kind: String, name: String, uid: String)?
        /// The node of the pod that it is bound to.
        var node: (name: String, uid: String)?
    }

    func issue(_ subject: Subject, audiences: [String], lifetime: Int64, now: Int64) throws(HTTPServerError) -> String {
        var identity: JSONObject = [
            "namespace": .string(subject.namespace),
            "serviceaccount": ["name": .string(subject.name), "uid": .string(subject.uid)],
        ]
        if let bound = subject.bound {
            identity[bound.kind.lowercased()] = ["name": .string(bound.name), "uid": .string(bound.uid)]
        }
        if let node = subject.node { identity["node"] = ["name": .string(node.name), "uid": .string(node.uid)] }
        let claims: JSON = [
            "aud": .array(audiences.map { .string($0) }), "exp": .integer(now + lifetime), "iat": .integer(now),
            "iss": .string(issuer), "jti": .string(makeUID()), "kubernetes.io": .object(identity), "nbf": .integer(now),
            "sub": .string("system:serviceaccount:\(subject.namespace):\(subject.name)"),
        ]
        return try sign(claims)
    }

    private func sign(_ claims: JSON) throws(HTTPServerError) -> String {
        let header: JSON = ["alg": "ES256", "kid": .string(signingKey.identifier), "typ": "JWT"]
        let text = Base64.encode(header.serialized(), .url) + "." + Base64.encode(claims.serialized(), .url)
        return text + "." + Base64.encode(try signingKey.sign(Array(text.utf8)), .url)
    }

    /// Who has issued the tokens that lie in secrets, in their own words.
    private static let secretIssuer = "kubernetes/serviceaccount"
    private static let secretClaim = "kubernetes.io/serviceaccount/"

    /// A token without an end, which counts as long as its secret holds it.
    func issueForSecret(
        namespace: String, secret: String, account: String, uid: String
    ) throws(HTTPServerError) -> String {
        let claims: JSON = [
            "iss": .string(Self.secretIssuer), .init(Self.secretClaim + "namespace"): .string(namespace),
            .init(Self.secretClaim + "secret.name"): .string(secret),
            .init(Self.secretClaim + "service-account.name"): .string(account),
            .init(Self.secretClaim + "service-account.uid"): .string(uid),
            "sub": .string("system:serviceaccount:\(namespace):\(account)"),
        ]
        return try sign(claims)
    }

    // MARK: - Checking

    /// Who a bearer token stands for; nil when it does not count (any more).
    func authenticate(_ token: String, audiences: [String]? = nil, now: Int64) -> UserInfo? {
        identify(token, audiences: audiences ?? [issuer], now: now)?.user
    }

    /// Who a bearer token stands for, and which of the audiences it is for; nil when it does not count (any more).
    func identify(_ token: String, audiences: [String], now: Int64) -> (user: UserInfo, audiences: [String])? {
        if !staticTokens.isEmpty, let user = staticTokens[token] {
            return audiences.contains(issuer) ? (user, [issuer]) : nil
        }
        guard let token = verified(token, now: now), let user = token.user else { return nil }
        let matching = audiences.filter(token.audiences.contains)
        guard !matching.isEmpty, token.bound.allSatisfy(exists) else { return nil }
        return (user, matching)
    }

    /// A token that has been found to be of this authority's making; nil for one that was not asked about lately.
    func known(_ token: String) -> Verified? { cache.withLock { $0[token] } }

    /// Whom a token stands for at the API itself; nil when it does not count (any more).
    func user(of token: Verified, now: Int64) -> UserInfo? {
        guard token.expiry > now, let user = token.user, token.audiences.contains(issuer),
            token.bound.allSatisfy(exists)
        else { return nil }
        return user
    }

    /// What the claims of a token that lies in a secret say.
    private static func read(ofSecret claims: JSON, _ token: String, issuer: String) -> Verified {
        func claim(_ name: String) -> String { claims[secretClaim + name].stringValue ?? "" }
        let (namespace, name, uid) = (claim("namespace"), claim("service-account.name"), claim("service-account.uid"))
        let user = UserInfo(
            name: "system:serviceaccount:\(namespace):\(name)", uid: uid,
            groups: ["system:serviceaccounts", "system:serviceaccounts:\(namespace)", "system:authenticated"])
        return Verified(
            user: claims["sub"].stringValue == user.name ? user : nil, audiences: [issuer],
            bound: [
                Bound("serviceaccounts/\(namespace)/\(name)", uid),
                Bound(secret: "secrets/\(namespace)/\(claim("secret.name"))", holds: token),
            ], expiry: .max)
    }

    /// What the claims of a token say.
    private static func read(_ claims: JSON, expiry: Int64) -> Verified {
        let identity = claims["kubernetes.io"]
        let namespace = identity["namespace"].stringValue ?? ""
        let account = identity["serviceaccount"]
        let name = account["name"].stringValue ?? ""
        let uid = account["uid"].stringValue ?? ""
        var bound = [Bound("serviceaccounts/\(namespace)/\(name)", uid)]
        var user = UserInfo(
            name: "system:serviceaccount:\(namespace):\(name)", uid: uid,
            groups: ["system:serviceaccounts", "system:serviceaccounts:\(namespace)", "system:authenticated"])
        func member(_ kind: String) -> (name: String, uid: String)? {
            guard let object = identity[kind].objectValue else { return nil }
            return (object["name"]?.stringValue ?? "", object["uid"]?.stringValue ?? "")
        }
        let pod = member("pod")
        if let pod {
            bound.append(Bound("pods/\(namespace)/\(pod.name)", pod.uid))
            user.extra["authentication.kubernetes.io/pod-name"] = [pod.name]
            user.extra["authentication.kubernetes.io/pod-uid"] = [pod.uid]
        }
        if let secret = member("secret") { bound.append(Bound("secrets/\(namespace)/\(secret.name)", secret.uid)) }
        if let node = member("node") {
            user.extra["authentication.kubernetes.io/node-name"] = [node.name]
            if !node.uid.isEmpty { user.extra["authentication.kubernetes.io/node-uid"] = [node.uid] }
            // A pod's token lasts as long as the pod, whatever became of its node.
            if pod == nil { bound.append(Bound("nodes//\(node.name)", node.uid)) }
        }
        if let identifier = claims["jti"].stringValue, !identifier.isEmpty {
            user.extra[ClientCertificate.credentialKey] = ["JTI=\(identifier)"]
        }
        return Verified(
            user: claims["sub"].stringValue == user.name ? user : nil,
            audiences: claims["aud"].arrayValue.compactMap(\.stringValue), bound: bound, expiry: expiry)
    }

    /// Whether the object that a token is bound to is still that one. What must stand in its stored bytes is written there as it
    /// is here; they are looked through once for each version of the object.
    private func exists(_ bound: Bound) -> Bool {
        guard let record = try? store.get(bound.key) else { return false }
        if bound.seen.load(ordering: .relaxed) == record.revision { return true }
        guard record.withValue({ bound.isIn($0) }) else { return false }
        bound.seen.store(record.revision, ordering: .relaxed)
        return true
    }

    private func verified(_ token: String, now: Int64) -> Verified? {
        if let known = cache.withLock({ $0[token] }) { return known.expiry > now ? known : nil }
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, token.utf8.count <= 16384, let header = Self.decode(parts[0]),
            header["alg"].stringValue == "ES256", let claims = Self.decode(parts[1]),
            let signature = Base64.decode(parts[2], .url),
            signingKey.verify(signature, of: Array((parts[0] + "." + parts[1]).utf8))
        else { return nil }
        let verified: Verified
        if claims["iss"].stringValue == Self.secretIssuer {
            verified = Self.read(ofSecret: claims, token, issuer: issuer)
        } else {
            guard claims["iss"].stringValue == issuer, let expiry = claims["exp"].integerValue, expiry > now,
                claims["nbf"].integerValue.map({ $0 <= now + 60 }) ?? true
            else { return nil }
            verified = Self.read(claims, expiry: expiry)
        }
        cache.withLock { cache in
            if cache.count >= Self.cacheLimit { cache = cache.filter { $0.value.expiry > now } }
            if cache.count >= Self.cacheLimit { cache.removeAll() }
            cache[token] = verified
        }
        return verified
    }

    private static func decode(_ part: Substring) -> JSON? {
        guard let bytes = Base64.decode(part, .url) else { return nil }
        return try? JSON(parsing: bytes)
    }

    /// The key by which others may check tokens: a JSON web key set (RFC 7517).
    var keySet: JSON {
        let (x, y) = signingKey.coordinates
        return [
            "keys": [
                [
                    "use": "sig", "kty": "EC", "kid": .string(signingKey.identifier), "crv": "P-256", "alg": "ES256",
                    "x": .string(Base64.encode(x, .url)), "y": .string(Base64.encode(y, .url)),
                ]
            ]
        ]
    }

    /// The OpenID provider's configuration. It is read under the issuer's name, from pods as a rule, and so is the key set:
    /// the address that the API listens on may be one of this machine alone.
    var configuration: JSON {
        [
            "issuer": .string(issuer), "jwks_uri": .string(issuer + "/openid/v1/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"],
        ]
    }
}

/// An ECDSA key on P-256 that signs as JSON web signatures do: the two numbers one behind the other, 32 bytes each.
final class SigningKey: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the key is not changed after `init`, and OpenSSL locks what its use changes.
    private let key: OpaquePointer
    /// Names the key in tokens.
    let identifier: String
    let coordinates: (x: [UInt8], y: [UInt8])

    init(pem: [UInt8]) throws(HTTPServerError) {
        guard let key = PEM.privateKey(pem) else { throw .tls("the service-account key is not valid PEM") }
        self.key = key
        var point = [UInt8](repeating: 0, count: 65)
        var size = 0
        guard EVP_PKEY_get_octet_string_param(key, "pub", &point, point.count, &size) == 1, size == 65, point[0] == 4
        else {
            EVP_PKEY_free(key)
            throw .tls("the service-account key is no ECDSA key on P-256")
        }
        coordinates = (Array(point[1..<33]), Array(point[33..<65]))
        var digest = [UInt8](repeating: 0, count: 32)
        var digestSize: UInt32 = 0
        EVP_Digest(point, point.count, &digest, &digestSize, EVP_sha256(), nil)
        identifier = Base64.encode(digest, .url)
    }

    deinit { EVP_PKEY_free(key) }

    func sign(_ message: [UInt8]) throws(HTTPServerError) -> [UInt8] {
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        var size = 128
        var der = [UInt8](repeating: 0, count: size)
        ERR_clear_error()
        guard EVP_DigestSignInit(context, nil, EVP_sha256(), nil, key) == 1,
            EVP_DigestSign(context, &der, &size, message, message.count) == 1
        else { throw .tls(OpenSSLError.last()) }
        let parsed = der.withUnsafeBufferPointer { buffer -> OpaquePointer? in
            var position = buffer.baseAddress
            return d2i_ECDSA_SIG(nil, &position, size)
        }
        guard let parsed else { throw .tls(OpenSSLError.last()) }
        defer { ECDSA_SIG_free(parsed) }
        var signature = [UInt8](repeating: 0, count: 64)
        signature.withUnsafeMutableBufferPointer { buffer in
            _ = BN_bn2binpad(ECDSA_SIG_get0_r(parsed), buffer.baseAddress, 32)
            _ = BN_bn2binpad(ECDSA_SIG_get0_s(parsed), buffer.baseAddress! + 32, 32)
        }
        return signature
    }

    func verify(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        guard signature.count == 64, let parsed = ECDSA_SIG_new() else { return false }
        defer { ECDSA_SIG_free(parsed) }
        let r = BN_bin2bn(Array(signature[..<32]), 32, nil)
        let s = BN_bin2bn(Array(signature[32...]), 32, nil)
        guard ECDSA_SIG_set0(parsed, r, s) == 1 else {
            BN_free(r)
            BN_free(s)
            return false
        }
        var der: UnsafeMutablePointer<UInt8>?
        let size = i2d_ECDSA_SIG(parsed, &der)
        guard size > 0, let der else { return false }
        defer { CRYPTO_free(der, "", 0) }
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        ERR_clear_error()
        defer { ERR_clear_error() }
        guard EVP_DigestVerifyInit(context, nil, EVP_sha256(), nil, key) == 1 else { return false }
        return EVP_DigestVerify(context, der, Int(size), message, message.count) == 1
    }
}
