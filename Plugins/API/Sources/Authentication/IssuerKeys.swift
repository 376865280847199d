import Objects
import PluginKit
import Synchronization

/// The keys of an issuer, found by its discovery document (OpenID Connect Discovery 1.0) and kept.
///
/// They are fetched when a token first needs them, again when one names a key that is not among them, and when they are an
/// hour old. An issuer is asked at most every ten seconds, whatever tokens name.
final class IssuerKeys: Sendable {
    private static let pause: UInt64 = 10_000_000_000
    private static let age: UInt64 = 3_600_000_000_000
    private static let timeout: UInt64 = 10_000_000_000
    private static let keyLimit = 256

    private let issuer: String
    /// Nil where the issuer's name is no https URL.
    private let discovery: WebhookTarget?
    private let authority: [UInt8]
    private let client: WebhookClient
    private let log: Log

    private struct State {
        var keys: [JSONWebKey] = []
        /// CLOCK_MONOTONIC, nanoseconds; nil = never.
        var fetched: UInt64?
        var tried: UInt64?
        var problem = ""
    }
    private let state = Mutex(State())
    /// Held by the one thread that fetches; the others wait for it and look again.
    private let fetching = Mutex(())

    init(issuer: String, discovery: WebhookTarget?, authority: [UInt8], client: WebhookClient, log: Log) {
        self.issuer = issuer
        self.discovery = discovery
        self.authority = authority
        self.client = client
        self.log = log
    }

    enum Answer {
        case signed
        case notSigned(String)
        case mustWait
    }

    /// Whether one of the issuer's keys has signed a token.
    func check(_ token: JSONWebToken, mayWait: Bool) -> Answer {
        var answer = look(token)
        guard case .mustWait = answer, mayWait else { return answer }
        fetching.withLock { _ in
            answer = look(token)
            guard case .mustWait = answer else { return }
            fetch()
        }
        if case .mustWait = answer { answer = look(token) }
        if case .mustWait = answer { return .notSigned("the issuer's keys are not known") }
        return answer
    }

    private func look(_ token: JSONWebToken) -> Answer {
        let now = monotonicNanoseconds()
        let state = state.withLock { $0 }
        let isFresh = state.fetched.map { now - $0 < Self.age } ?? false
        let mayAsk = state.tried.map { now - $0 >= Self.pause } ?? true
        if !isFresh, mayAsk { return .mustWait }
        if token.isSigned(by: state.keys) { return .signed }
        let isKnown = state.keys.contains { $0.identifier == token.keyIdentifier }
        if !isKnown, mayAsk { return .mustWait }
        return .notSigned(
            state.keys.isEmpty && !state.problem.isEmpty
                ? "the keys of issuer \(issuer) cannot be had: \(state.problem)" : "failed to verify id token signature"
        )
    }

    /// Asks the issuer. What was known stays when it does not answer.
    private func fetch() {
        let start = monotonicNanoseconds()
        do throws(UpstreamError) {
            guard let discovery else { throw UpstreamError("the issuer \"\(issuer)\" is no https URL") }
            let document = try client.get(discovery, deadline: start + Self.timeout)
            guard document["issuer"].stringValue == issuer else {
                throw UpstreamError(
                    "oidc: issuer did not match the issuer returned by provider, expected \"\(issuer)\" got "
                        + "\"\(document["issuer"].stringValue ?? "")\"")
            }
            guard let url = document["jwks_uri"].stringValue,
                let target = WebhookTarget(url: url, authorities: authority)
            else { throw UpstreamError("its jwks_uri is no https URL") }
            let set = try client.get(target, deadline: start + Self.timeout)
            let keys = set["keys"].arrayValue.prefix(Self.keyLimit).compactMap { JSONWebKey($0) }
            guard !keys.isEmpty else {
                throw UpstreamError("\(url) has no key that signatures of tokens can be checked by")
            }
            state.withLock { $0 = State(keys: keys, fetched: monotonicNanoseconds(), tried: start) }
        } catch {
            state.withLock {
                $0.tried = start
                $0.problem = error.description
            }
            log.warning(
                "the keys of an issuer of tokens cannot be had",
                ["issuer": .string(issuer), "reason": .string(error.description)])
        }
    }
}
