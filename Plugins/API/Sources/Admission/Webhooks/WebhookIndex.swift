import Objects
import PluginKit
import Synchronization

/// The stored webhooks of one kind, kept by a watch. Asking whether there is any costs one atomic load.
final class WebhookIndex: Sendable {
    enum Kind: String, Sendable {
        case validating = "validatingwebhookconfigurations.admissionregistration.k8s.io"
        case mutating = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
    }

    let kind: Kind
    private struct State {
        var configurations: [String: [AdmissionWebhook]] = [:]
        var webhooks: [AdmissionWebhook] = []
    }
    private let state = Mutex(State())
    private let hasWebhooks = Atomic(false)

    init(_ kind: Kind) { self.kind = kind }

    /// In the order of their configurations' names, then as they stand there.
    var webhooks: [AdmissionWebhook] {
        guard hasWebhooks.load(ordering: .acquiring) else { return [] }
        return state.withLock { $0.webhooks }
    }

    /// Whether writes of a resource may have to wait for a webhook.
    func concerns(_ resource: Resource) -> Bool {
        webhooks.contains { webhook in
            webhook.scope.rules.contains { $0.mayMatch(resource) }
        }
    }

    /// Takes in a configuration, or its end.
    func update(_ name: String, _ object: JSON?) {
        let webhooks = object.map { object in
            object["webhooks"].arrayValue.map { AdmissionWebhook($0, configuration: name) }
        }
        state.withLock { state in
            state.configurations[name] = webhooks
            state.webhooks = state.configurations.sorted { $0.key < $1.key }.flatMap(\.value)
            hasWebhooks.store(!state.webhooks.isEmpty, ordering: .releasing)
        }
    }

    /// What keeps the index; started by whoever runs the server.
    func informer(_ host: Host) throws(PluginError) -> Informer {
        try Informer(
            host, resource: kind.rawValue,
            handler: { [self] event in
                switch event {
                case .added(let object), .updated(_, let object): update(object.name, object)
                case .deleted(let object): update(object.name, nil)
                case .synchronized: break
                }
            })
    }
}

extension MatchResources.Rule {
    /// Whether the rule can be about objects of a resource or of one of its subresources.
    func mayMatch(_ resource: Resource) -> Bool {
        resources.contains { entry in
            let plural = entry.prefix { $0 != "/" }
            return plural == "*" || plural == resource.plural
        }
    }
}
