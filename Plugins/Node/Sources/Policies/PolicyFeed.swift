import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Keeps what the network enforces equal to NetworkPolicies, pods and namespaces: everything once, then what changed.
///
/// Pods and namespaces are watched only once there is a policy. A network that enforces none is told of nothing more, and
/// each policy gets an event that says so.
final class PolicyFeed: Sendable {
    private struct State {
        var tables = PolicyTables()
        /// Whether the network is told: the list of policies is complete.
        var isReady = false
        /// Whether pods and namespaces are watched.
        var isObserving = false
        var isFull = true
        /// What the network says when it enforces nothing.
        var refusal: String?
        /// Policies whose authors do not know that yet, by key.
        var unreported: [String: JSON] = [:]
    }

    private let network: any NetworkProvider
    private let flush: @Sendable () -> Void
    private let observe: @Sendable () throws -> Void
    private let report: @Sendable (_ policy: JSON, _ reason: String, _ message: String) -> Void
    private let state = Mutex(State())
    private let turn = Mutex<Void>(())

    /// - Parameters:
    ///   - flush: asks for a call of `send`, from another thread.
    ///   - observe: starts to watch pods and namespaces, and tells everything of them before it returns.
    ///   - report: tells a policy's author of a trouble.
    init(
        network: any NetworkProvider, flush: @escaping @Sendable () -> Void,
        observe: @escaping @Sendable () throws -> Void,
        report: @escaping @Sendable (_ policy: JSON, _ reason: String, _ message: String) -> Void
    ) {
        self.network = network
        self.flush = flush
        self.observe = observe
        self.report = report
    }

    // MARK: - What is watched

    func policyChanged(_ policy: JSON) {
        let source: PolicySource
        do { source = try PolicySource(policy) } catch {
            report(policy, "NotEnforced", "the policy cannot be read, and has no effect: \(error)")
            return policyRemoved(policy)
        }
        mark { state in
            state.tables.setPolicy(source)
            state.unreported[source.key] = ["apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"]
            state.unreported[source.key]?["metadata"] = [
                "namespace": policy["metadata"]["namespace"], "name": policy["metadata"]["name"],
                "uid": policy["metadata"]["uid"], "resourceVersion": policy["metadata"]["resourceVersion"],
            ]
        }
    }

    func policyRemoved(_ policy: JSON) {
        let key = "\(policy.namespace)/\(policy.name)"
        mark { state in
            state.tables.removePolicy(key)
            state.unreported[key] = nil
        }
    }

    func podChanged(_ pod: JSON) { mark { $0.tables.setPod(PolicyPod(pod)) } }
    func podRemoved(_ pod: JSON) { mark { $0.tables.removePod(pod.uid) } }
    func namespaceChanged(_ namespace: JSON) {
        mark { $0.tables.setNamespace(namespace.name, labels: namespace.labels) }
    }
    func namespaceRemoved(_ namespace: JSON) { mark { $0.tables.removeNamespace(namespace.name) } }

    func sliceChanged(_ slice: JSON) { setDNS(slice, Self.endpoints(slice)) }
    func sliceRemoved(_ slice: JSON) { setDNS(slice, []) }

    private func setDNS(_ slice: JSON, _ endpoints: Set<PolicyGroup.Member>) {
        guard slice.namespace == PolicyTables.dnsNamespace,
            slice.labels[ServiceFeed.serviceNameLabel].stringValue == PolicyTables.dnsService
        else { return }
        mark { $0.tables.setDNS(slice: slice.name, endpoints) }
    }

    private static func endpoints(_ slice: JSON) -> Set<PolicyGroup.Member> {
        let addresses = slice["endpoints"].arrayValue.flatMap(\.["addresses"].arrayValue).compactMap(\.stringValue)
        var found: Set<PolicyGroup.Member> = []
        for port in slice["ports"].arrayValue {
            guard let number = port["port"].integerValue else { continue }
            for address in addresses where PolicyPod.isIPv4(address) {
                found.insert(
                    .endpoint(address: address, transport: port["protocol"].stringValue ?? "TCP", port: number))
            }
        }
        return found
    }

    /// All policies are known.
    func ready() {
        state.withLock { $0.isReady = true }
        flush()
    }

    /// The network has forgotten everything: it restarted or was replaced.
    func resend() {
        state.withLock { state in
            state.isFull = true
            state.refusal = nil
        }
        flush()
    }

    private func mark(_ change: (inout State) -> Void) {
        let isReady = state.withLock { state in
            change(&state)
            return state.isReady
        }
        if isReady { flush() }
    }

    // MARK: - What the network is told

    /// A pod has got its addresses and starts now: the policies that isolate it hold when this returns.
    /// - Throws: when they could not be made to hold, and there are any.
    func isolate(_ pod: Pod, addresses: [String]) throws {
        guard let address = addresses.first(where: PolicyPod.isIPv4) else { return }
        let (isIsolated, isReady) = state.withLock { state -> (Bool, Bool) in
            guard state.tables.hasPolicies else { return (false, false) }
            state.tables.give(address, to: PolicyPod(pod.object))
            return (state.tables.isIsolated(pod.uid), state.isReady)
        }
        if isIsolated { try send() } else if isReady { flush() }
    }

    /// Tells the network what changed since the last call.
    func send() throws {
        try turn.withLock { _ in
            if state.withLock({ $0.isReady && !$0.isObserving && $0.tables.hasPolicies }) {
                try observe()
                state.withLock { $0.isObserving = true }
            }
            let request = state.withLock { state -> JSON? in
                guard state.isReady, state.refusal == nil else { return nil }
                defer { state.isFull = false }
                return state.tables.take(full: state.isFull)
            }
            if let request { try tell(request) }
        }
        reportRefusal()
    }

    private func tell(_ request: JSON) throws {
        do {
            _ = try network.policyRulesSet(request, deadline: WallClock.deadline(seconds: 30))
        } catch let error as PluginError where error.code == HOSTD_ERROR_NOT_SUPPORTED {
            state.withLock { state in
                state.isFull = true
                state.refusal = error.message
            }
        } catch {
            state.withLock { $0.isFull = true }
            throw error
        }
    }

    private func reportRefusal() {
        let (policies, refusal) = state.withLock { state -> ([JSON], String?) in
            guard let refusal = state.refusal else { return ([], nil) }
            defer { state.unreported = [:] }
            return (state.unreported.sorted { $0.key < $1.key }.map(\.value), refusal)
        }
        for policy in policies {
            report(policy, "NotEnforced", "the policy has no effect: \(refusal ?? "")")
        }
    }
}
