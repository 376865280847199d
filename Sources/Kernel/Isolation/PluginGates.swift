import PluginAPI
import Synchronization

/// The interfaces of the host as one generation of a plugin gets them: open, behind a gate, or refused.
final class PluginGates: Sendable {
    /// What becomes of a question for an interface.
    enum Answer: Equatable {
        case table(UnsafePointer<hostd_interface>)
        /// Every call is answered with FORBIDDEN and this sentence. `slots`: the descriptor of what is refused.
        case refused(String, slots: UnsafePointer<CChar>)
        case unknown
    }

    let plugin: String
    let policy: GrantPolicy
    /// Leases of the store, which outlive a generation.
    private let leases: OwnedHandles
    private let gates = Mutex<[String: any Sendable & InterfaceOwner]>([:])

    init(plugin: String, policy: GrantPolicy, leases: OwnedHandles = OwnedHandles()) {
        self.plugin = plugin
        self.policy = policy
        self.leases = leases
    }

    /// `base`: the interface as plugins in the host's own process get it; nil when nobody knows it.
    func answer(_ id: String, base: UnsafePointer<hostd_interface>?) -> Answer {
        guard let base else { return .unknown }
        switch policy.offer(of: id) {
        case .open: return .table(base)
        case .refused(let refusal): return .refused(refusal.message(plugin: plugin), slots: base.pointee.slots)
        case .gated:
            let gate = gates.withLock { gates in
                if let known = gates[id] { return known as (any InterfaceOwner)? }
                let made = make(id, base)
                gates[id] = made
                return made
            }
            return (gate?.interface).map { .table($0) } ?? .unknown
        }
    }

    private func make(_ id: String, _ base: UnsafePointer<hostd_interface>) -> (any Sendable & InterfaceOwner)? {
        switch id {
        case HOSTD_STORE_1: StoreGate(plugin: plugin, policy: policy, base: base, leases: leases)
        case HOSTD_API_1: APIGate(plugin: plugin, policy: policy, base: base)
        case HOSTD_EVENTS_1: EventsGate(plugin: plugin, policy: policy, base: base)
        case HOSTD_TIMERS_1: TimersGate(plugin: plugin, policy: policy, base: base)
        case HOSTD_RECONCILE_1: ReconcileGate(plugin: plugin, policy: policy, base: base)
        case HOSTD_ELECTION_1: ElectionGate(plugin: plugin, policy: policy, base: base)
        case HOSTD_METRICS_1: MetricsGate(plugin: plugin, policy: policy, base: base)
        case HOSTD_ROLES_1: RolesGate(plugin: plugin, policy: policy, base: base)
        case HOSTD_PLUGINS_1: PluginsGate(plugin: plugin, policy: policy, base: base)
        case HOSTD_ENVIRONMENT_1: EnvironmentGate(plugin: plugin, policy: policy, base: base)
        default: nil
        }
    }

    /// What the plugin requires and can never call, for a warning before it finds out.
    func missing(among required: [String]) -> [String] {
        required.compactMap { id in
            if case .refused(let refusal) = policy.offer(of: id) { refusal.missing.description } else { nil }
        }
    }
}

/// Something that has a table.
protocol InterfaceOwner: AnyObject {
    var interface: UnsafePointer<hostd_interface>? { get }
}

extension Gate: InterfaceOwner {}
