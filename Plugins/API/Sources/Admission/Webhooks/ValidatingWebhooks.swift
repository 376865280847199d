import Objects
import PluginKit

/// ValidatingAdmissionWebhook: asks the stored webhooks whether a write may be.
struct ValidatingWebhooks: AdmissionPlugin {
    let name = "ValidatingAdmissionWebhook"
    let index: WebhookIndex
    var isTimed: Bool { !index.webhooks.isEmpty }
    let tools: PolicyTools
    /// Asks the webhooks of a write at the same time.
    let pool: WorkerPool

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        let webhooks = index.webhooks
        guard !webhooks.isEmpty, PolicyRun.concerns(request) else { return }
        let namespaces = NamespaceLabels(store: tools.store)
        var calls: [WebhookCall] = []
        for (index, webhook) in webhooks.enumerated() {
            guard var call = try WebhookCall(webhook, request, tools, namespaces) else { continue }
            call.index = index
            calls.append(call)
        }
        let asked = request
        let outcomes = Concurrently.map(calls, on: pool) { $0.outcome(asked, isMutating: false) }
        for outcome in outcomes { request.warnings += outcome.warnings }
        // Of several that refuse, the client is told of the first in their order.
        if let failure = outcomes.compactMap(\.failure).first { throw failure }
    }
}

/// MutatingAdmissionWebhook: lets the stored webhooks change what is written, one after the other.
struct MutatingWebhooks: AdmissionPlugin {
    let name = "MutatingAdmissionWebhook"
    let index: WebhookIndex
    var isTimed: Bool { !index.webhooks.isEmpty }
    let tools: PolicyTools
    let rules: any ObjectRules

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        let webhooks = index.webhooks
        guard !webhooks.isEmpty, PolicyRun.concerns(request) else { return }
        let namespaces = NamespaceLabels(store: tools.store)
        var left: [(index: Int, webhook: AdmissionWebhook, object: JSON)] = []
        for (index, webhook) in webhooks.enumerated() {
            guard var call = try WebhookCall(webhook, request, tools, namespaces) else { continue }
            call.index = index
            try apply(call, &request)
            left.append((index, webhook, request.object))
        }
        // Who asks for it looks again at what others have changed since, once.
        for (index, webhook, object) in left where webhook.reinvokes && object != request.object {
            guard var call = try WebhookCall(webhook, request, tools, namespaces) else { continue }
            (call.round, call.index) = (1, index)
            try apply(call, &request)
        }
    }

    private func apply(_ call: WebhookCall, _ request: inout AdmissionRequest) throws(APIStatus) {
        let before = request.object
        let outcome = call.outcome(request, isMutating: true)
        request.warnings += outcome.warnings
        if let failure = outcome.failure { throw failure }
        guard let response = outcome.response else { return }
        defer { note(call, isMutated: request.object != before, response, request) }
        guard let text = response["patch"].stringValue, !text.isEmpty else { return }
        guard request.operation != .delete else {
            throw .internalError(
                "admission webhook \"\(call.webhook.name)\" attempted to modify the object, which is not supported for this operation"
            )
        }
        let changed: JSON
        do {
            guard let bytes = Base64.decode(text) else { throw UpstreamError("response.patch is no base64") }
            changed = try JSONPatch.apply(
                try JSON(parsing: bytes), to: ReviewRequest.object(of: request, as: call.matched))
        } catch {
            throw .internalError("failed to apply the patch of webhook \"\(call.webhook.name)\": \(error)")
        }
        if request.operation == .connect {
            request.object = changed
            return
        }
        var object = Conversion.toWorking(changed, call.matched)
        guard object.name == request.object.name, object.namespace == request.object.namespace else {
            throw .internalError(
                "admission webhook \"\(call.webhook.name)\" attempted to change the object's name or namespace")
        }
        guard object.kind == request.object.kind, object.apiVersion == request.object.apiVersion else {
            throw .internalError("admission webhook \"\(call.webhook.name)\" attempted to change the object's kind")
        }
        rules.applyDefaults(&object, request.resource)
        request.object = object
    }

    /// Tells the audit log what a webhook did.
    private func note(_ call: WebhookCall, isMutated: Bool, _ response: JSON, _ request: AdmissionRequest) {
        guard let audit = request.context.request.audit else { return }
        var told: JSON = [
            "configuration": .string(call.webhook.configuration), "webhook": .string(call.webhook.name),
            "mutated": .bool(isMutated),
        ]
        let place = "round_\(call.round)_index_\(call.index)"
        audit.annotate("mutation.webhook.admission.k8s.io/\(place)", told.serializedString())
        // What the patch could not be read of has failed the request already.
        guard isMutated, let bytes = Base64.decode(response["patch"].stringValue ?? ""),
            let patch = try? JSON(parsing: bytes)
        else { return }
        told.removeValue(forKey: "mutated")
        told["patch"] = patch
        told["patchType"] = "JSONPatch"
        audit.annotate("patch.webhook.admission.k8s.io/\(place)", told.serializedString(), from: .request)
    }
}
