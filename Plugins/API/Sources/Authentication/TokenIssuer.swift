import CEL
import Objects
import PluginKit

/// One trusted issuer of OpenID Connect ID tokens: checks them and makes users of their claims, as the settings say.
/// The settings are those of `jwt` in Kubernetes' AuthenticationConfiguration.
/// See https://kubernetes.io/docs/reference/access-authn-authz/authentication/#using-authentication-configuration.
final class TokenIssuer: TokenAuthenticator {
    /// How long a checked token is not checked again.
    private static let keepNanoseconds: UInt64 = 10_000_000_000
    /// How far the clocks of issuer and server may be apart for `nbf`, in seconds.
    private static let leeway: Int64 = 300

    let url: String
    private let audiences: [String]
    private let requiredClaims: [(claim: String, value: String)]
    private let claimRules: [Rule]
    private let userRules: [Rule]
    private let mapping: ClaimMapping
    private let keys: IssuerKeys
    private let distributed: DistributedClaims
    /// What the API itself is called, which is what such a token's user is authenticated for.
    private let apiAudience: String
    private let cache = VerdictCache<TokenDigest, TokenVerdict>()

    /// A condition of claims or user, and what is said when it does not hold.
    struct Rule: Sendable {
        let expression: ClaimExpression
        let message: String
    }

    struct Parts {
        var url: String
        var audiences: [String]
        var requiredClaims: [(claim: String, value: String)]
        var claimRules: [Rule]
        var userRules: [Rule]
        var mapping: ClaimMapping
        var keys: IssuerKeys
        var distributed: DistributedClaims
    }

    init(_ parts: Parts, apiAudience: String) {
        url = parts.url
        audiences = parts.audiences
        requiredClaims = parts.requiredClaims
        claimRules = parts.claimRules
        userRules = parts.userRules
        mapping = parts.mapping
        keys = parts.keys
        distributed = parts.distributed
        self.apiAudience = apiAudience
    }

    func verdict(_ token: String, audiences: [String], now: Int64, mayWait: Bool) -> TokenVerdict {
        guard audiences.contains(apiAudience) else { return .unknown }
        let start = monotonicNanoseconds()
        let digest = TokenDigest(token)
        if let known = cache.value(digest, now: start) { return known }
        guard let parsed = JSONWebToken(token), parsed.claims["iss"].stringValue == url else { return .unknown }
        do throws(Refusal) {
            let expiry = try Self.checkTimes(parsed.claims, now: now)
            switch keys.check(parsed, mayWait: mayWait) {
            case .mustWait: return .mustWait
            case .notSigned(let reason): return .refused("oidc: \(reason)")
            case .signed: break
            }
            guard let claims = try expanded(parsed.claims, now: now, mayWait: mayWait) else { return .mustWait }
            let verdict = TokenVerdict.known(try user(claims), audiences: [apiAudience])
            let left = UInt64(max(expiry - now, 0)) * 1_000_000_000
            cache.keep(verdict, for: digest, now: start, duration: min(left, Self.keepNanoseconds))
            return verdict
        } catch {
            return .refused("oidc: \(error.reason)")
        }
    }

    /// Why a token does not count.
    struct Refusal: Error { let reason: String }

    /// The claims with groups that are elsewhere; nil when they would have to be asked for, and may not.
    private func expanded(_ claims: JSON, now: Int64, mayWait: Bool) throws(Refusal) -> JSON? {
        guard case .claim(let name, _) = mapping.groups else { return claims }
        return try distributed.expand(claims, name, now: now, mayWait: mayWait)
    }

    /// - Returns: when the token ends, in seconds since 1970.
    static func checkTimes(_ claims: JSON, now: Int64) throws(Refusal) -> Int64 {
        guard let expiry = seconds(claims["exp"]) else { throw Refusal(reason: "the token has no exp") }
        guard expiry > now else { throw Refusal(reason: "token is expired") }
        if let start = seconds(claims["nbf"]), start > now + leeway {
            throw Refusal(reason: "the token is not valid yet")
        }
        return expiry
    }

    private static func seconds(_ value: JSON) -> Int64? {
        if let whole = value.integerValue { return whole }
        return value.doubleValue.flatMap { Int64(exactly: $0.rounded(.down)) }
    }

    static func checkAudience(_ claims: JSON, _ audiences: [String]) throws(Refusal) {
        let named = claims["aud"].stringValue.map { [$0] } ?? claims["aud"].arrayValue.compactMap(\.stringValue)
        guard named.contains(where: audiences.contains) else {
            throw Refusal(reason: "expected audience in \(audiences) got \(named)")
        }
    }

    /// Whom claims whose signature holds stand for.
    func user(_ claims: JSON) throws(Refusal) -> UserInfo {
        try Self.checkAudience(claims, audiences)
        for (claim, value) in requiredClaims {
            guard claims[claim].exists else { throw Refusal(reason: "required claim \(claim) not present in ID token") }
            guard claims[claim].stringValue == value else {
                throw Refusal(reason: "required claim \(claim) value does not match")
            }
        }
        try check(claimRules, claims)
        let user = try mapping.user(claims)
        try check(userRules, user.json)
        return user
    }

    private func check(_ rules: [Rule], _ value: JSON) throws(Refusal) {
        for rule in rules {
            do throws(CELError) {
                if case .bool(true) = try rule.expression.evaluate(value) { continue }
            } catch {
                throw Refusal(reason: "validation expression '\(rule.expression.source)' failed: \(error)")
            }
            throw Refusal(
                reason: rule.message.isEmpty
                    ? "validation expression '\(rule.expression.source)' failed" : rule.message)
        }
    }
}

/// An expression over one variable: `claims` of a token, or the `user` that was made of them.
struct ClaimExpression: Sendable {
    enum Subject: String, Sendable {
        case claims, user

        /// Claims may be anything; a user is what TokenReviews have.
        fileprivate var schema: CELSchema { self == .user ? PolicyDeclarations.user : .dyn }
    }

    let source: String
    let subject: Subject
    private let program: CELProgram

    /// - Throws: what is wrong with its text.
    init(_ source: String, _ subject: Subject) throws(CELIssues) {
        self.source = source
        self.subject = subject
        let environment = CELEnvironment(variables: [.init(subject.rawValue, subject.schema)])
        program = try environment.compile(source)
    }

    var resultType: CELType { program.resultType }

    /// Whether it selects this field of its subject.
    func selects(_ field: String) -> Bool { program.selects(field, of: subject.rawValue) }

    func evaluate(_ value: JSON) throws(CELError) -> CELValue {
        var activation = CELActivation()
        activation[subject.rawValue] = try CELValue(value, subject.schema)
        return try program.evaluate(activation).value
    }
}
