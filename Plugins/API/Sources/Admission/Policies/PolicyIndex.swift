import Objects
import PluginKit
import Synchronization

/// The stored policies of one kind with their bindings, kept by watches. Asking whether there is any costs one atomic load.
final class PolicyIndex: Sendable {
    /// Kinds of policies, by resource.
    enum Kind: String, Sendable {
        case validating = "validatingadmissionpolicies.admissionregistration.k8s.io"
        case mutating = "mutatingadmissionpolicies.admissionregistration.k8s.io"

        var bindings: String {
            switch self {
            case .validating: "validatingadmissionpolicybindings.admissionregistration.k8s.io"
            case .mutating: "mutatingadmissionpolicybindings.admissionregistration.k8s.io"
            }
        }
    }

    struct Entry: Sendable {
        let policy: AdmissionPolicy
        let binding: AdmissionPolicyBinding
    }

    let kind: Kind
    private struct State {
        var policies: [String: AdmissionPolicy] = [:]
        var bindings: [String: AdmissionPolicyBinding] = [:]
        var entries: [Entry] = []
    }
    private let state = Mutex(State())
    private let hasEntries = Atomic(false)

    init(_ kind: Kind) { self.kind = kind }

    /// Bound policies in the order of their names, then of their bindings'.
    var entries: [Entry] {
        guard hasEntries.load(ordering: .acquiring) else { return [] }
        return state.withLock { $0.entries }
    }

    /// Takes in a policy, or its end.
    func update(policy name: String, _ object: JSON?) {
        let policy = object.map { AdmissionPolicy($0, isMutation: kind == .mutating) }
        change { $0.policies[name] = policy }
    }

    /// Takes in a binding, or its end.
    func update(binding name: String, _ object: JSON?) {
        change { $0.bindings[name] = object.map(AdmissionPolicyBinding.init) }
    }

    private func change(_ apply: (inout State) -> Void) {
        state.withLock { state in
            apply(&state)
            state.entries = state.bindings.values.compactMap { binding in
                state.policies[binding.policyName].map { Entry(policy: $0, binding: binding) }
            }.sorted { ($0.policy.name, $0.binding.name) < ($1.policy.name, $1.binding.name) }
            hasEntries.store(!state.entries.isEmpty, ordering: .releasing)
        }
    }

    /// What keeps the index; started by whoever runs the server.
    func informers(_ host: Host) throws(PluginError) -> [Informer] {
        [
            try Informer(
                host, resource: kind.rawValue,
                handler: { [self] event in
                    switch event {
                    case .added(let object), .updated(_, let object): update(policy: object.name, object)
                    case .deleted(let object): update(policy: object.name, nil)
                    case .synchronized: break
                    }
                }),
            try Informer(
                host, resource: kind.bindings,
                handler: { [self] event in
                    switch event {
                    case .added(let object), .updated(_, let object): update(binding: object.name, object)
                    case .deleted(let object): update(binding: object.name, nil)
                    case .synchronized: break
                    }
                }),
        ]
    }
}
