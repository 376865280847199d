import CEL
import Objects
import PluginKit

/// Asks another server what users may do, by a SubjectAccessReview.
/// See https://kubernetes.io/docs/reference/access-authn-authz/webhook/.
final class AccessWebhook: AccessAuthorizer {
    private struct Question: Hashable, Sendable {
        var user: UserInfo
        var wanted: Authorizer.Attributes
    }

    struct Parts {
        var name: String
        var connection: any ReviewConnection
        /// Whether it is asked in version v1beta1, where groups are called otherwise.
        var isBeta = false
        /// How long answers are kept, in nanoseconds.
        var allowedKeep: UInt64
        var refusedKeep: UInt64
        /// Whether an access is denied that it does not answer about; else the next authorizer decides.
        var deniesOnFailure: Bool
        var conditions: [AccessCondition]
    }

    let asksOthers = true
    private let parts: Parts
    private let client: WebhookClient
    private let log: Log
    private let cache = VerdictCache<Question, AccessDecision>()

    init(_ parts: Parts, client: WebhookClient, log: Log) {
        self.parts = parts
        self.client = client
        self.log = log
    }

    func decide(_ user: UserInfo, _ wanted: Authorizer.Attributes, mayWait: Bool) -> AccessDecision {
        let question = Question(user: user, wanted: wanted)
        if let known = cache.value(question, now: monotonicNanoseconds()) { return known }
        let spec = Self.spec(user, wanted)
        do throws(CELError) {
            guard try holds(spec) else { return .noOpinion(reason: "") }
        } catch {
            return failure("a match condition of authorizer \(parts.name) resulted in error: \(error)")
        }
        guard mayWait else { return .mustWait }
        let review: JSON = [
            "apiVersion": parts.isBeta ? "authorization.k8s.io/v1beta1" : "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview", "metadata": ["creationTimestamp": .null],
            "spec": parts.isBeta ? Self.beta(spec) : spec,
        ]
        do throws(UpstreamError) {
            let answer = try parts.connection.post(review, client)
            guard answer["kind"].stringValue == "SubjectAccessReview" else {
                throw UpstreamError("the answer is no SubjectAccessReview")
            }
            return keep(try Self.decision(answer["status"]), question)
        } catch {
            log.warning(
                "an authorizing webhook does not answer",
                ["name": .string(parts.name), "reason": .string(error.description)])
            return failure("authorizer \(parts.name) does not answer: \(error)")
        }
    }

    func listing(of user: UserInfo) -> AccessListing {
        .unknown("webhook authorizer does not support user rule resolution")
    }

    private func failure(_ reason: String) -> AccessDecision {
        parts.deniesOnFailure ? .denied(reason: reason) : .noOpinion(reason: reason)
    }

    private func keep(_ decision: AccessDecision, _ question: Question) -> AccessDecision {
        // What only one request can have asked like that is not worth its memory.
        let wanted = question.wanted
        let size =
            [wanted.path, wanted.name, wanted.namespace, wanted.resource].reduce(0) { $0 + $1.utf8.count }
            + wanted.fields.size + wanted.labels.size
        guard size <= 2048 else { return decision }
        let isAllowed = if case .allowed = decision { true } else { false }
        cache.keep(
            decision, for: question, now: monotonicNanoseconds(),
            duration: isAllowed ? parts.allowedKeep : parts.refusedKeep)
        return decision
    }

    /// What a review's status says.
    static func decision(_ status: JSON) throws(UpstreamError) -> AccessDecision {
        let reason = status["reason"].stringValue ?? ""
        switch (status["allowed"].boolValue ?? false, status["denied"].boolValue ?? false) {
        case (true, true): throw UpstreamError("the answer both allows and denies")
        case (true, false): return .allowed(reason: reason)
        case (false, true): return .denied(reason: reason)
        case (false, false): return .noOpinion(reason: reason)
        }
    }

    /// The `spec` of a SubjectAccessReview.
    static func spec(_ user: UserInfo, _ wanted: Authorizer.Attributes) -> JSON {
        var spec: JSON = ["user": .string(user.name), "groups": .array(user.groups.map { .string($0) })]
        if !user.uid.isEmpty { spec["uid"] = .string(user.uid) }
        if !user.extra.isEmpty { spec["extra"] = user.json["extra"] }
        if !wanted.path.isEmpty {
            spec["nonResourceAttributes"] = ["path": .string(wanted.path), "verb": .string(wanted.verb)]
            return spec
        }
        var attributes: JSONObject = ["verb": .string(wanted.verb)]
        for (key, value) in [
            ("namespace", wanted.namespace), ("group", wanted.group), ("version", wanted.version),
            ("resource", wanted.resource), ("subresource", wanted.subresource), ("name", wanted.name),
        ] where !value.isEmpty { attributes[key] = .string(value) }
        if !wanted.fields.isEmpty { attributes["fieldSelector"] = wanted.fields.json }
        if !wanted.labels.isEmpty { attributes["labelSelector"] = wanted.labels.json }
        spec["resourceAttributes"] = .object(attributes)
        return spec
    }

    private static func beta(_ spec: JSON) -> JSON {
        var spec = spec
        spec["group"] = spec["groups"]
        spec.removeValue(forKey: "groups")
        return spec
    }

    private func holds(_ spec: JSON) throws(CELError) -> Bool {
        var failure: CELError?
        for condition in parts.conditions {
            do throws(CELError) {
                if !(try condition.holds(spec)) { return false }
            } catch {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        return true
    }
}

/// A condition for asking a webhook, over the `spec` of the review as variable `request`.
struct AccessCondition: Sendable {
    private let program: CELProgram

    /// - Throws: what is wrong with its text.
    init(_ source: String) throws(CELIssues) {
        program = try CELEnvironment(variables: [.init("request", CELSchema.dyn)]).compile(source)
    }

    var resultType: CELType { program.resultType }

    func holds(_ spec: JSON) throws(CELError) -> Bool {
        let activation: CELActivation = ["request": CELValue(natural: spec)]
        guard case .bool(let holds) = try program.evaluate(activation).value else {
            throw CELError("must evaluate to bool")
        }
        return holds
    }
}
