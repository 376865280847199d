/// What an authenticator says of a bearer token.
enum TokenVerdict: Sendable, Equatable {
    /// It is none of this authenticator's.
    case unknown
    /// Whom it stands for, and for which of the audiences that were asked for.
    case known(UserInfo, audiences: [String])
    /// It is one of this authenticator's and does not count, for this reason.
    case refused(String)
    /// Somebody has to be asked, which takes its time: only with `mayWait`.
    case mustWait
}

/// A kind of bearer tokens, such as those of one issuer.
protocol TokenAuthenticator: Sendable {
    /// - Parameters:
    ///   - audiences: For at least one of these the token must be; never empty.
    ///   - now: Seconds since 1970.
    ///   - mayWait: Whether others may be asked. [blocking] then, and only then.
    func verdict(_ token: String, audiences: [String], now: Int64, mayWait: Bool) -> TokenVerdict
}

/// All bearer tokens that count: the authenticators in their order, of which the first that knows a token decides.
/// See https://kubernetes.io/docs/reference/access-authn-authz/authentication/.
struct BearerTokens: Sendable {
    /// The server's own tokens, which are looked at first.
    let authority: TokenAuthority
    /// Those who are asked then.
    let others: Replaceable<[any TokenAuthenticator]>

    /// - Parameter audiences: nil = those of the API itself.
    func verdict(_ token: String, audiences: [String]? = nil, now: Int64, mayWait: Bool) -> TokenVerdict {
        let wanted = audiences.flatMap { $0.isEmpty ? nil : $0 } ?? [authority.issuer]
        if let (user, audiences) = authority.identify(token, audiences: wanted, now: now) {
            return .known(user, audiences: audiences)
        }
        var reasons: [String] = []
        for authenticator in others.current {
            switch authenticator.verdict(token, audiences: wanted, now: now, mayWait: mayWait) {
            case .unknown: continue
            case .refused(let reason): reasons.append(reason)
            case .known(let user, let audiences): return .known(user, audiences: audiences)
            case .mustWait: return .mustWait
            }
        }
        return reasons.isEmpty ? .unknown : .refused(reasons.joined(separator: ", "))
    }
}
