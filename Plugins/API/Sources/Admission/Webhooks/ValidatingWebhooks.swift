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
        guard !webhooks.isEmpty, WebhookCall.concerns(request) else { return }
        let namespaces = NamespaceLabels(store: tools.store)
        var calls: [WebhookCall] = []
        for webhook in webhooks {
            guard var call = try WebhookCall(webhook, request, tools, namespaces) else { continue }
            call.index = calls.count
            calls.append(call)
        }
        let asked = request
        let outcomes = Concurrently.map(calls, on: pool) { $0.outcome(asked, isMutating: false) }
        for outcome in outcomes { request.warnings += outcome.warnings }
        // Of several that refuse, the client is told of the first in their order.
        if let failure = outcomes.compactMap(\.failure).first { throw failure }
    }
}
