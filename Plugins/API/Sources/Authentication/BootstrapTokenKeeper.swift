import COpenSSL
import Objects
import PluginKit
import Synchronization

/// Deletes the secrets of bootstrap tokens that have expired, and signs the ConfigMap `cluster-info` of kube-public with those
/// that are for that, so that whoever joins with such a token knows that it is this cluster.
/// See https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/.
final class BootstrapTokenKeeper: Sendable {
    private static let secrets = "/api/v1/namespaces/kube-system/secrets"
    private static let information = "cluster-info"
    /// A key of the queue that names no secret.
    private static let signing = "/cluster-info"
    static let prefix = "jws-kubeconfig-"

    private let host: Host
    private struct State {
        var queue: WorkQueue?
        var tokens: Informer?
        var information: Informer?
    }
    private let state = Mutex(State())

    init(host: Host) { self.host = host }

    func start(_ pipeline: RequestPipeline) throws(PluginError) {
        let queue = try WorkQueue(host, name: "api-bootstrap-tokens", workers: 1) { [weak self] key in
            try self?.handle(key, pipeline) ?? .done
        }
        let tokens = try Informer(
            host, resource: "secrets", selector: ".type=bootstrap.kubernetes.io/token", namespace: "kube-system",
            handler: { event in
                switch event {
                case .added(let object), .updated(_, let object): queue.add(object.name)
                case .deleted: break
                case .synchronized: return
                }
                queue.add(Self.signing)
            })
        let information = try Informer(
            host, resource: "configmaps", selector: ".metadata.name=\(Self.information)", namespace: "kube-public",
            handler: { event in
                switch event {
                case .added, .updated: queue.add(Self.signing)
                case .deleted, .synchronized: break
                }
            })
        state.withLock { state in
            (state.queue, state.tokens, state.information) = (queue, tokens, information)
        }
        try tokens.start()
        try information.start()
    }

    /// Idempotent. [blocking]
    func stop() {
        let (queue, tokens, information) = state.withLock { ($0.queue, $0.tokens, $0.information) }
        tokens?.stop()
        information?.stop()
        queue?.stop()
    }

    private func handle(_ key: String, _ pipeline: RequestPipeline) throws -> Requeue {
        let (tokens, information) = state.withLock { ($0.tokens, $0.information) }
        let now = Timestamp.now()
        guard key != Self.signing else {
            guard let object = information?.get(namespace: "kube-public", name: Self.information),
                let signed = Self.signed(object, by: tokens?.list() ?? [], now: now.seconds)
            else { return .done }
            try pipeline.replace(
                signed, "/api/v1/namespaces/kube-public/configmaps/\(Self.information)", by: "bootstrap-signer")
            return .done
        }
        guard let secret = tokens?.get(namespace: "kube-system", name: key), let end = Self.end(secret) else {
            return .done
        }
        guard end <= now.seconds else { return .after(nanoseconds: UInt64(end - now.seconds) * 1_000_000_000) }
        try pipeline.remove(secret, "\(Self.secrets)/\(key)", by: "token-cleaner")
        return .done
    }

    // MARK: - Deciding

    private static func data(_ secret: JSON, _ key: String) -> String {
        guard let bytes = secret["data"][key].stringValue.flatMap({ Base64.decode($0) }) else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// When a token expires, in seconds since 1970; nil for one that does not. An end that cannot be read has passed.
    static func end(_ secret: JSON) -> Int64? {
        let text = data(secret, "expiration")
        return text.isEmpty ? nil : (try? Timestamp(parsing: text))?.seconds ?? 0
    }

    /// The ConfigMap with the signatures of the tokens that sign, and no others; nil when it has them.
    static func signed(_ information: JSON, by secrets: [JSON], now: Int64) -> JSON? {
        guard let content = information["data"]["kubeconfig"].stringValue else { return nil }
        var wanted: [String: String] = [:]
        for secret in secrets where data(secret, "usage-bootstrap-signing") == "true" && end(secret) ?? .max > now {
            let (identifier, key) = (data(secret, "token-id"), data(secret, "token-secret"))
            guard secret.name == "bootstrap-token-\(identifier)", BootstrapTokens.parts("\(identifier).\(key)") != nil,
                let signature = signature(content, identifier, key)
            else { continue }
            wanted[prefix + identifier] = signature
        }
        var object = information
        for (key, _) in information["data"].objectValue ?? [:] where key.hasPrefix(prefix) && wanted[key] == nil {
            object["data"].removeValue(forKey: key)
        }
        for (key, value) in wanted { object["data"][key] = .string(value) }
        guard object != information else { return nil }
        return object
    }

    /// A JSON web signature without its content (RFC 7515, appendix F), by HMAC with SHA-256.
    static func signature(_ content: String, _ identifier: String, _ key: String) -> String? {
        let header = Base64.encode(Array(#"{"alg":"HS256","kid":"\#(identifier)"}"#.utf8), .url)
        let message = Array("\(header).\(Base64.encode(Array(content.utf8), .url))".utf8)
        let key = Array(key.utf8)
        var code = [UInt8](repeating: 0, count: 32)
        guard hostd_openssl_hmac_sha256(key, Int32(key.count), message, message.count, &code) == 1 else { return nil }
        return "\(header)..\(Base64.encode(code, .url))"
    }
}
