import Objects
import PluginKit

/// MutatingAdmissionWebhook: lets the stored webhooks change what is written, one after the other.
struct MutatingWebhooks: AdmissionPlugin {
    let name = "MutatingAdmissionWebhook"
    let index: WebhookIndex
    var isTimed: Bool { !index.webhooks.isEmpty }
    let tools: PolicyTools
    let rules: any ObjectRules

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        let webhooks = index.webhooks
        guard !webhooks.isEmpty, WebhookCall.concerns(request) else { return }
        let rounds = request.startRounds()
        rounds.start(\.webhooks, request.object)
        let namespaces = NamespaceLabels(store: tools.store)
        for (index, webhook) in webhooks.enumerated() {
            guard var call = try WebhookCall(webhook, request, tools, namespaces) else { continue }
            if rounds.isSecond, !rounds.webhooks.isDue(webhook.key) { continue }
            (call.round, call.index) = (rounds.isSecond ? 1 : 0, index)
            if try ask(call, &request) { rounds.changed(\.webhooks) }
            if webhook.reinvokes { rounds.webhooks.wasAsked(webhook.key) }
        }
        rounds.webhooks.outcome = request.object
    }

    /// - Returns: whether the object is another one now.
    private func ask(_ call: WebhookCall, _ request: inout AdmissionRequest) throws(APIStatus) -> Bool {
        let before = request.object
        var patch: JSON?
        defer { note(call, patch, isMutated: request.object != before, request) }
        let outcome = call.outcome(request, isMutating: true)
        request.warnings += outcome.warnings
        if let failure = outcome.failure { throw failure }
        guard let operations = outcome.patch, !operations.isEmpty else { return false }
        guard request.operation != .delete else {
            throw .internalError(
                "admission webhook \"\(call.webhook.name)\" attempted to modify the object, which is not supported for this operation"
            )
        }
        try apply(operations, call, &request)
        patch = operations
        return request.object != before
    }

    private func apply(_ patch: JSON, _ call: WebhookCall, _ request: inout AdmissionRequest) throws(APIStatus) {
        let changed: JSON
        do {
            changed = try JSONPatch.apply(patch, to: ReviewRequest.object(of: request, as: call.matched))
        } catch {
            throw .internalError("failed to apply the patch of webhook \"\(call.webhook.name)\": \(error)")
        }
        if request.isOfOwnKind {
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
        do throws(APIStatus) {
            // Fields that nobody knows go without a word.
            _ = try rules.prune(&object, request.resource)
        } catch {
            throw .internalError(error.message)
        }
        rules.applyDefaults(&object, request.resource)
        request.object = object
    }

    /// Tells the audit log what a webhook did.
    private func note(_ call: WebhookCall, _ patch: JSON?, isMutated: Bool, _ request: AdmissionRequest) {
        guard let audit = request.context.request.audit else { return }
        var told: JSON = [
            "configuration": .string(call.webhook.configuration), "webhook": .string(call.webhook.name),
            "mutated": .bool(isMutated),
        ]
        let place = "round_\(call.round)_index_\(call.index)"
        audit.annotate("mutation.webhook.admission.k8s.io/\(place)", told.serializedString())
        guard let patch else { return }
        told.removeValue(forKey: "mutated")
        told["patch"] = patch
        told["patchType"] = "JSONPatch"
        audit.annotate("patch.webhook.admission.k8s.io/\(place)", told.serializedString(), from: .request)
    }
}
