import Objects
import PluginKit
import Synchronization

/// Fills secrets of type kubernetes.io/service-account-token: a token of the account that an annotation names, without an end,
/// for those who cannot ask for one. A secret of an account that is not there goes.
/// See https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets.
final class AccountTokenKeeper: Sendable {
    static let nameAnnotation = "kubernetes.io/service-account.name"
    static let uidAnnotation = "kubernetes.io/service-account.uid"

    /// What a secret needs.
    enum Step: Sendable, Equatable {
        case nothing
        case delete
        case update(JSON)
    }

    private let host: Host
    /// In PEM.
    private let authority: [UInt8]
    private struct State {
        var queue: WorkQueue?
        var secrets: Informer?
        var accounts: Informer?
    }
    private let state = Mutex(State())

    init(host: Host, authority: [UInt8]) {
        self.host = host
        self.authority = authority
    }

    func start(_ pipeline: RequestPipeline) throws(PluginError) {
        let queue = try WorkQueue(host, name: "api-account-tokens", workers: 1) { [weak self] key in
            try self?.handle(key, pipeline)
            return .done
        }
        let secrets = try Informer(
            host, resource: "secrets", selector: ".type=kubernetes.io/service-account-token",
            handler: { event in
                switch event {
                case .added(let object), .updated(_, let object): queue.add("\(object.namespace)/\(object.name)")
                case .deleted, .synchronized: break
                }
            })
        // Only which of them there are is kept.
        let accounts = try Informer(
            host, resource: "serviceaccounts",
            transform: { account in
                [
                    "metadata": [
                        "name": .string(account.name), "namespace": .string(account.namespace),
                        "uid": .string(account.uid),
                    ]
                ]
            },
            handler: { event in
                guard case .deleted(let account) = event else { return }
                for secret in secrets.list(namespace: account.namespace)
                where secret.annotations[Self.nameAnnotation].stringValue == account.name {
                    queue.add("\(secret.namespace)/\(secret.name)")
                }
            })
        state.withLock { state in (state.queue, state.secrets, state.accounts) = (queue, secrets, accounts) }
        try secrets.start()
        try accounts.start()
    }

    /// Idempotent. [blocking]
    func stop() {
        let (queue, secrets, accounts) = state.withLock { ($0.queue, $0.secrets, $0.accounts) }
        secrets?.stop()
        accounts?.stop()
        queue?.stop()
    }

    private func handle(_ key: String, _ pipeline: RequestPipeline) throws {
        let parts = key.split(separator: "/", maxSplits: 1).map(String.init)
        let secrets = state.withLock { $0.secrets }
        guard parts.count == 2, let secret = secrets?.get(namespace: parts[0], name: parts[1]) else { return }
        let name = secret.annotations[Self.nameAnnotation].stringValue ?? ""
        // As it is now: a cache may not have heard of it yet.
        let account = try pipeline.store.object("serviceaccounts/\(parts[0])/\(name)")
        let place = "/api/v1/namespaces/\(parts[0])/secrets/\(parts[1])"
        let step = try Self.step(secret, account, authority: authority) {
            try pipeline.tokens.issueForSecret(namespace: parts[0], secret: parts[1], account: name, uid: $0)
        }
        switch step {
        case .nothing: break
        case .delete: try pipeline.remove(secret, place, by: "tokens-controller")
        case .update(let changed): try pipeline.replace(changed, place, by: "tokens-controller")
        }
    }

    /// What a secret needs, as its account is.
    /// - Parameter token: Makes a token for the account of a uid.
    static func step(
        _ secret: JSON, _ account: JSON?, authority: [UInt8], token: (String) throws -> String
    ) rethrows -> Step {
        let uid = secret.annotations[uidAnnotation].stringValue ?? ""
        guard let account, account.deletionTimestamp == nil, uid.isEmpty || uid == account.uid else { return .delete }
        guard secret.deletionTimestamp == nil else { return .nothing }
        var changed = secret
        changed["metadata"]["annotations"][uidAnnotation] = .string(account.uid)
        let wanted = [
            ("ca.crt", Base64.encode(authority)), ("namespace", Base64.encode(Array(secret.namespace.utf8))),
        ]
        for (key, value) in wanted { changed["data"][key] = .string(value) }
        if (secret["data"]["token"].stringValue ?? "").isEmpty {
            changed["data"]["token"] = .string(Base64.encode(Array(try token(account.uid).utf8)))
        }
        return changed == secret ? .nothing : .update(changed)
    }
}
