import CEL
import Glibc
import Objects
import PluginKit

/// One webhook at one write: whether it is to be asked, and what it answers. [blocking]
struct WebhookCall: Sendable {
    /// What came of asking.
    struct Outcome: Sendable {
        /// The operations of a patch; nil without one, or when the webhook did not answer and may be passed over.
        var patch: JSON?
        var warnings: [String] = []
        /// Its refusal, or that it did not answer.
        var failure: APIStatus?
    }

    let tools: PolicyTools
    let webhook: AdmissionWebhook
    let matched: Resource
    /// Which round of asking it is, and which webhook of it: for the audit log.
    var round = 0
    var index = 0

    /// The call, if the webhook is about the write.
    /// - Throws: a write that the webhook cannot be asked about.
    init?(
        _ webhook: AdmissionWebhook, _ request: AdmissionRequest, _ tools: PolicyTools, _ namespaces: NamespaceLabels
    ) throws(APIStatus) {
        let found: Resource?
        do throws(APIStatus) {
            found = try webhook.scope.match(request, tools.resources, namespaces)
        } catch {
            guard webhook.scope.problem != nil else { throw error }
            throw .internalError(
                "admission webhook \"\(webhook.name)\" cannot be asked: \(webhook.scope.problem ?? "")")
        }
        guard let matched = found else { return nil }
        self.tools = tools
        self.webhook = webhook
        self.matched = matched
        guard try conditionsHold(request, namespaces) else { return nil }
        if try request.context.request.isDryRun, !webhook.allowsDryRun {
            throw .badRequest("admission webhook \"\(webhook.name)\" does not support dry run")
        }
    }

    /// Whether webhooks are asked about objects of a resource at all: not about themselves, nor about policies.
    static func concerns(_ request: AdmissionRequest) -> Bool {
        request.resource.group != "admissionregistration.k8s.io"
    }

    private func conditionsHold(
        _ request: AdmissionRequest, _ namespaces: NamespaceLabels
    ) throws(APIStatus) -> Bool {
        if webhook.conditions.isEmpty { return true }
        let activation = try PolicyRun.activation(
            request, as: matched, tools, namespaces, readsNamespace: webhook.readsNamespace)
        let evaluation = PolicyEvaluation(activation, budget: CELCost.perMatchConditions)
        do throws(PolicyFailure) {
            return try evaluation.hold(webhook.conditions)
        } catch {
            // Without an answer of the conditions the webhook's own policy for failures decides.
            guard webhook.failsClosed else { return false }
            throw request.forbidden(error.message)
        }
    }

    /// Asks the webhook. Of several that are asked about one write, each may be by a thread of its own.
    func outcome(_ request: AdmissionRequest, isMutating: Bool) -> Outcome {
        let began = monotonicNanoseconds()
        let outcome: Outcome
        do throws(APIStatus) {
            outcome = try answer(request, isMutating: isMutating)
        } catch {
            outcome = Outcome(failure: error)
        }
        tools.metrics?.webhook(
            webhook.name, isMutating ? .admit : .validate, request.operation.rawValue,
            isRejected: outcome.failure != nil, since: began)
        return outcome
    }

    /// - Throws: that it did not answer.
    private func answer(_ request: AdmissionRequest, isMutating: Bool) throws(APIStatus) -> Outcome {
        let uid = makeUID()
        var review = try ReviewRequest.json(request, as: matched, uid: uid)
        review["object"] = ReviewRequest.object(of: request, as: matched)
        review["oldObject"] = ReviewRequest.old(of: request, as: matched)
        let answer: WebhookAnswer
        do throws(UpstreamError) {
            answer = try ask(review, uid, isMutating: isMutating)
        } catch {
            guard webhook.failsClosed else {
                let kind = isMutating ? "mutation" : "validating"
                request.context.request.audit?.annotate(
                    "failed-open.\(kind).webhook.admission.k8s.io/round_\(round)_index_\(index)", webhook.name)
                return Outcome()
            }
            throw .internalError("failed calling webhook \"\(webhook.name)\": \(error.clientText)")
        }
        var outcome = Outcome(patch: answer.patch)
        outcome.warnings = answer.response["warnings"].arrayValue.compactMap(\.stringValue)
        for (key, value) in answer.response["auditAnnotations"].objectValue ?? [:] {
            request.context.request.audit?.annotate("\(webhook.name)/\(key)", value.stringValue ?? "")
        }
        if answer.response["allowed"].boolValue != true { outcome.failure = refusal(answer.response["status"]) }
        return outcome
    }

    private func ask(_ review: JSON, _ uid: String, isMutating: Bool) throws(UpstreamError) -> WebhookAnswer {
        guard let version = webhook.reviewVersion else {
            throw UpstreamError(
                "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)"
            )
        }
        guard let target = webhook.target else {
            throw UpstreamError("failed to call webhook: its clientConfig names neither a service nor an https URL")
        }
        let deadline = monotonicNanoseconds() + UInt64(webhook.timeoutSeconds) * 1_000_000_000
        let body: JSON = [
            "kind": "AdmissionReview", "apiVersion": .string("admission.k8s.io/\(version)"), "request": review,
        ]
        let answer: JSON
        do throws(UpstreamError) {
            answer = try WebhookClient(store: tools.store).post(body, to: target, deadline: deadline)
        } catch {
            throw UpstreamError("failed to call webhook: \(error)")
        }
        return try WebhookAnswer(answer, to: uid, version: version, isMutating: isMutating)
    }

    private func refusal(_ result: JSON) -> APIStatus {
        let denied = "admission webhook \"\(webhook.name)\" denied the request"
        let (message, reason) = (result["message"].stringValue ?? "", result["reason"].stringValue ?? "")
        let text = message.isEmpty ? reason : message
        let code = Int(clamping: result["code"].integerValue ?? 0)
        var status = APIStatus(
            code: (400...599).contains(code) ? code : 400, reason: reason,
            message: text.isEmpty ? "\(denied) without explanation" : "\(denied): \(text)")
        let details = result["details"]
        status.name = details["name"].stringValue ?? ""
        status.group = details["group"].stringValue ?? ""
        status.kind = details["kind"].stringValue ?? ""
        status.uid = details["uid"].stringValue ?? ""
        status.retryAfterSeconds = Int(clamping: details["retryAfterSeconds"].integerValue ?? 0)
        status.causes = details["causes"].arrayValue.map {
            .init(
                reason: $0["reason"].stringValue ?? "", message: $0["message"].stringValue ?? "",
                field: $0["field"].stringValue ?? "")
        }
        return status
    }
}
