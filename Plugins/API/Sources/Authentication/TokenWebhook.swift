import Objects
import PluginKit

/// Asks another server about tokens, by a TokenReview.
/// See https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication.
final class TokenWebhook: TokenAuthenticator {
    private struct Question: Hashable, Sendable {
        var token: TokenDigest
        var audiences: [String]
    }

    private let connection: WebhookConnectionSettings
    private let client: WebhookClient
    /// How long answers are kept, in nanoseconds.
    private let keep: UInt64
    private let log: Log
    private let apiAudience: String
    private let cache = VerdictCache<Question, TokenVerdict>()

    init(
        _ connection: WebhookConnectionSettings, keep: UInt64, apiAudience: String, client: WebhookClient, log: Log
    ) {
        self.connection = connection
        self.keep = keep
        self.apiAudience = apiAudience
        self.client = client
        self.log = log
    }

    func verdict(_ token: String, audiences: [String], now: Int64, mayWait: Bool) -> TokenVerdict {
        let question = Question(token: TokenDigest(token), audiences: audiences)
        let start = monotonicNanoseconds()
        if let known = cache.value(question, now: start) { return known }
        guard mayWait else { return .mustWait }
        let review: JSON = [
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": ["creationTimestamp": .null],
            "spec": ["token": .string(token), "audiences": .array(audiences.map { .string($0) })],
        ]
        do throws(UpstreamError) {
            let answer = try connection.post(review, client)
            guard answer["kind"].stringValue == "TokenReview" else {
                throw UpstreamError("the answer is no TokenReview")
            }
            let verdict = Self.verdict(answer["status"], audiences: audiences, apiAudience: apiAudience)
            cache.keep(verdict, for: question, now: monotonicNanoseconds(), duration: keep)
            return verdict
        } catch {
            log.warning("the webhook for tokens does not answer", ["reason": .string(error.description)])
            return .refused("the webhook for tokens does not answer: \(error)")
        }
    }

    /// What a review's status says.
    static func verdict(_ status: JSON, audiences: [String], apiAudience: String) -> TokenVerdict {
        guard status["authenticated"].boolValue == true else {
            let reason = status["error"].stringValue ?? ""
            return reason.isEmpty ? .unknown : .refused(reason)
        }
        // A server that says nothing of audiences does not know them: the token is then for the API alone.
        let named = status["audiences"].arrayValue.compactMap(\.stringValue)
        let matching = (named.isEmpty ? [apiAudience] : named).filter(audiences.contains)
        guard !matching.isEmpty else { return .unknown }
        let json = status["user"]
        var user = UserInfo(
            name: json["username"].stringValue ?? "", uid: json["uid"].stringValue ?? "",
            groups: json["groups"].arrayValue.compactMap(\.stringValue))
        for (key, values) in json["extra"].objectValue ?? [:] {
            user.extra[key] = values.arrayValue.compactMap(\.stringValue)
        }
        return .known(user, audiences: matching)
    }
}
