import Objects
import PluginKit

/// ValidatingAdmissionWebhook: asks the stored webhooks whether a write may be.
struct ValidatingWebhooks: AdmissionPlugin {
    let name = "ValidatingAdmissionWebhook"
    let index: WebhookIndex
    let tools: PolicyTools

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        let webhooks = index.webhooks
        guard !webhooks.isEmpty, PolicyRun.concerns(request) else { return }
        let namespaces = NamespaceLabels(store: tools.store)
        for webhook in webhooks {
            guard let call = try WebhookCall(webhook, request, tools, namespaces) else { continue }
            _ = try call.response(&request)
        }
    }
}

/// MutatingAdmissionWebhook: lets the stored webhooks change what is written, one after the other.
struct MutatingWebhooks: AdmissionPlugin {
    let name = "MutatingAdmissionWebhook"
    let index: WebhookIndex
    let tools: PolicyTools
    let rules: any ObjectRules

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        let webhooks = index.webhooks
        guard !webhooks.isEmpty, PolicyRun.concerns(request) else { return }
        let namespaces = NamespaceLabels(store: tools.store)
        var left: [(webhook: AdmissionWebhook, object: JSON)] = []
        for webhook in webhooks {
            guard let call = try WebhookCall(webhook, request, tools, namespaces) else { continue }
            try apply(call, &request)
            left.append((webhook, request.object))
        }
        // Who asks for it looks again at what others have changed since, once.
        for (webhook, object) in left where webhook.reinvokes && object != request.object {
            guard let call = try WebhookCall(webhook, request, tools, namespaces) else { continue }
            try apply(call, &request)
        }
    }

    private func apply(_ call: WebhookCall, _ request: inout AdmissionRequest) throws(APIStatus) {
        guard let response = try call.response(&request), let text = response["patch"].stringValue, !text.isEmpty else {
            return
        }
        guard request.operation != .delete else {
            throw .internalError(
                "admission webhook \"\(call.webhook.name)\" attempted to modify the object, which is not supported for this operation"
            )
        }
        let changed: JSON
        do {
            guard let bytes = Base64.decode(text) else { throw WebhookError("response.patch is no base64") }
            changed = try JSONPatch.apply(
                try JSON(parsing: bytes), to: ReviewRequest.object(request.object, as: call.matched))
        } catch {
            throw .internalError("failed to apply the patch of webhook \"\(call.webhook.name)\": \(error)")
        }
        var object = Conversion.toWorking(changed, call.matched)
        guard object.name == request.object.name, object.namespace == request.object.namespace else {
            throw .internalError(
                "admission webhook \"\(call.webhook.name)\" attempted to change the object's name or namespace")
        }
        rules.applyDefaults(&object, request.resource)
        request.object = object
    }
}
