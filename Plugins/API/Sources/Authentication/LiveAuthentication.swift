import Objects
import PluginKit
import Synchronization

/// Who may name users, as it is in force: put together from the settings, and again when their file changes. A token that is
/// being checked is checked by those who were asked.
final class LiveAuthentication: Sendable {
    /// In Kubernetes' order.
    let authenticators: Replaceable<[any TokenAuthenticator]>
    let anonymous: Replaceable<AnonymousAccess>

    private let settings: AuthenticationSettings
    private let store: StoreClient
    private let audience: String
    private let log: Log
    private let webhook: TokenWebhook?
    private let file: FollowedFile?
    /// By the entries that they are from: an issuer that stays keeps the keys that are known.
    private let issuers = Mutex<[JSON: TokenIssuer]>([:])

    /// - Parameter audience: What the API itself is called in tokens.
    init(_ settings: AuthenticationSettings, store: StoreClient, audience: String, host: Host) throws(PluginError) {
        self.settings = settings
        self.store = store
        self.audience = audience
        log = host.log
        webhook = settings.webhook.map { webhook in
            TokenWebhook(
                webhook.connection, keep: webhook.keep, apiAudience: audience, client: WebhookClient(store: store),
                log: host.log)
        }
        if let file = settings.file {
            self.file = try FollowedFile(
                file.path, of: "authentication", thread: "api-authn-file", host: host
            ) { () throws(PluginError) in try file.read() }
        } else {
            file = nil
        }
        authenticators = Replaceable([])
        anonymous = Replaceable(settings.named.anonymous)
        apply(settings.named)
    }

    /// Follows the file, where there is one.
    func start() throws(PluginError) {
        guard let content = settings.file else { return }
        try file?.start { [weak self] bytes throws(PluginError) in
            let named = try content.settings(bytes)
            self?.apply(named)
        }
    }

    /// Idempotent. [blocking]
    func stop() { file?.stop() }

    private func apply(_ named: AuthenticationSettings.Named) {
        let client = WebhookClient(store: store)
        let found = issuers.withLock { known -> [TokenIssuer] in
            let all = named.issuers.map { issuer in
                known[issuer.source]
                    ?? TokenIssuer(
                        .init(
                            url: issuer.url, audiences: issuer.audiences, requiredClaims: issuer.requiredClaims,
                            claimRules: issuer.claimRules, userRules: issuer.userRules, mapping: issuer.mapping,
                            keys: IssuerKeys(
                                issuer: issuer.url, discovery: issuer.discovery, authority: issuer.authority,
                                client: client, log: log),
                            distributed: DistributedClaims(
                                authority: issuer.authority, audiences: issuer.audiences, client: client, log: log)),
                        apiAudience: audience)
            }
            known = Dictionary(zip(named.issuers.map(\.source), all), uniquingKeysWith: { first, _ in first })
            return all
        }
        var chain: [any TokenAuthenticator] = []
        if settings.acceptsBootstrapTokens { chain.append(BootstrapTokens(store: store, audience: audience)) }
        chain += found
        if let webhook { chain.append(webhook) }
        authenticators.replace(with: chain)
        anonymous.replace(with: named.anonymous)
    }
}
