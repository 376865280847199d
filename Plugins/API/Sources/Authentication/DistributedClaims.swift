import Objects
import PluginKit
import Synchronization

/// Claims that a token does not carry but says where to get (OpenID Connect Core 1.0, section 5.6.2): groups, when there are many.
/// What is got is a token itself, signed by the issuer that it names.
final class DistributedClaims: Sendable {
    /// For one call, in nanoseconds.
    private static let timeout: UInt64 = 10_000_000_000
    /// Most other issuers whose keys are kept.
    private static let limit = 64

    /// Trusted where the claims and the keys of their issuers are got, in PEM; empty: the authorities of the system.
    private let authority: [UInt8]
    private let audiences: [String]
    private let client: WebhookClient
    private let log: Log
    private let keys = Mutex<[String: IssuerKeys]>([:])

    init(authority: [UInt8], audiences: [String], client: WebhookClient, log: Log) {
        self.authority = authority
        self.audiences = audiences
        self.client = client
        self.log = log
    }

    /// Where a claim is to be had.
    struct Source: Equatable {
        var url: String
        var accessToken: String
    }

    /// Where a claim is that the token itself does not have; nil when it names no place.
    static func source(of claim: String, in claims: JSON) throws(TokenIssuer.Refusal) -> Source? {
        guard !claims[claim].exists, let name = claims["_claim_names"][claim].stringValue else { return nil }
        let source = claims["_claim_sources"][name]
        guard source.exists else {
            throw .init(reason: "id token _claim_names contained a source \(name) missing in _claims_sources")
        }
        // Without an endpoint the source is a token itself (an aggregated claim), which Kubernetes takes no notice of.
        guard let url = source["endpoint"].stringValue, !url.isEmpty else { return nil }
        return Source(url: url, accessToken: source["access_token"].stringValue ?? "")
    }

    /// The claims with the value of one that lies elsewhere.
    /// - Parameter mayWait: Whether others may be asked. [blocking] then, and only then.
    /// - Returns: nil when others have to be asked and may not.
    func expand(
        _ claims: JSON, _ claim: String, now: Int64, mayWait: Bool
    ) throws(TokenIssuer.Refusal) -> JSON? {
        guard let source = try Self.source(of: claim, in: claims) else { return claims }
        guard mayWait else { return nil }
        do throws(TokenIssuer.Refusal) {
            var expanded = claims
            expanded[claim] = try value(of: claim, source, now: now)
            return expanded
        } catch {
            throw .init(reason: "could not expand distributed claims: \(error.reason)")
        }
    }

    private func value(of claim: String, _ source: Source, now: Int64) throws(TokenIssuer.Refusal) -> JSON {
        guard let target = WebhookTarget(url: source.url, authorities: authority) else {
            throw .init(reason: "the endpoint \"\(source.url)\" is no https URL")
        }
        let bytes: [UInt8]
        do throws(UpstreamError) {
            bytes = try client.text(
                target, deadline: monotonicNanoseconds() + Self.timeout,
                bearerToken: source.accessToken.isEmpty ? nil : source.accessToken)
        } catch {
            throw .init(reason: "error while getting distributed claim JWT: \(error)")
        }
        guard let token = JSONWebToken(String(decoding: bytes, as: UTF8.self).trimmingWhitespace()),
            let issuer = token.claims["iss"].stringValue
        else { throw .init(reason: "\(source.url) answered with no signed token") }
        switch keys(of: issuer).check(token, mayWait: true) {
        case .signed: break
        case .notSigned(let reason): throw .init(reason: "verify distributed claim token: \(reason)")
        case .mustWait: throw .init(reason: "verify distributed claim token: the keys of \(issuer) are not known")
        }
        _ = try TokenIssuer.checkTimes(token.claims, now: now)
        try TokenIssuer.checkAudience(token.claims, audiences)
        guard token.claims[claim].exists else {
            throw .init(reason: "could not find distributed claim: \"\(source.url)\"")
        }
        return token.claims[claim]
    }

    private func keys(of issuer: String) -> IssuerKeys {
        keys.withLock { keys in
            if let known = keys[issuer] { return known }
            if keys.count >= Self.limit { keys.removeAll() }
            let base = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
            let target = WebhookTarget(url: base + "/.well-known/openid-configuration", authorities: authority)
            let new = IssuerKeys(issuer: issuer, discovery: target, authority: authority, client: client, log: log)
            keys[issuer] = new
            return new
        }
    }
}
