import Glibc
import Objects
import PluginAPI
import PluginKit
import PodNetworking
import Synchronization

/// Provider of hostd.network/1: links and addresses by standard CNI plugins, and the routing of services by nf_tables.
public final class CNIPlugin: Plugin {
    public static let description = PluginDescription(
        name: "cni", version: "1.0.0",
        summary: "Pods' addresses and links by CNI plugins, and service routing by nftables",
        provides: [HOSTD_NETWORK_1, HOSTD_STATE_1],
        // Programs run.
        costs: [HOSTD_NETWORK_1: "status:200ms;attach:500ms;check:500ms"],
        sharedOnly: "it runs CNI plugins, which make links and rules as root in hostd's own namespaces")
    public static var optionsSchema: String { CNISettings.optionsSchema }

    private let host: Host
    private enum State {
        case new
        /// With the state of the provider before, in a swap.
        case configured(CNISettings, NetworkState?)
        case active(CNISettings, ActiveCNI)
    }
    private let state = Mutex(State.new)
    private let tables = Mutex<[String: RoleTableAddress]>([:])

    /// SAFETY: a table is immutable once made and lives as long as the image.
    private struct RoleTableAddress: @unchecked Sendable { let pointer: UnsafePointer<hostd_interface> }

    public init(host: Host) throws { self.host = host }

    public func configure(_ configuration: PluginConfiguration) throws {
        let settings = try CNISettings(configuration)
        state.withLock { $0 = .configured(settings, nil) }
    }

    public func activate() throws {
        guard case .configured(let settings, let imported) = state.withLock({ $0 }) else {
            throw PluginError.wrongState("the CNI plugin is not configured, or active already")
        }
        do {
            let network = try ActiveCNI(settings: settings, imported: imported, log: host.log)
            state.withLock { $0 = .active(settings, network) }
            do { try announce(settings) } catch {
                state.withLock { $0 = .configured(settings, nil) }
                try network.end()
                throw error
            }
        } catch {
            throw Self.pluginError(error)
        }
    }

    private func announce(_ settings: CNISettings) throws {
        try host.events().publish(
            HOSTD_TOPIC_NETWORK,
            [
                "addresses": [.string(settings.gateway.description)], "bridge": .string(settings.bridge),
                "podRange": .string(settings.podRange.description),
            ], retain: true)
    }

    /// Links and routing stay for the pods that go on running, unless workloads are to end with the host.
    public func deactivate() throws {
        guard case .active(let settings, let network) = state.withLock({ $0 }) else { return }
        state.withLock { $0 = .configured(settings, nil) }
        do {
            if try host.environment().stopsWorkloads() {
                try network.removeEverything()
            } else {
                try network.end()
            }
        } catch { throw Self.pluginError(error) }
    }

    public func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        tables.withLock { tables in
            if let table = tables[id] { return table.pointer }
            let made: UnsafePointer<hostd_interface>
            switch id {
            case HOSTD_NETWORK_1: made = RoleTable.network(self)
            case HOSTD_STATE_1: made = RoleTable.state(self)
            default: return nil
            }
            tables[id] = RoleTableAddress(pointer: made)
            return made
        }
    }

    private func active() throws -> ActiveCNI {
        guard case .active(_, let network) = state.withLock({ $0 }) else {
            throw PluginError.unavailable("the CNI plugin is not active")
        }
        return network
    }

    /// The error that crosses for what went wrong inside.
    static func pluginError(_ error: any Error) -> PluginError {
        (error as? CNIError)?.pluginError ?? NetworkError.pluginError(error)
    }
}

extension CNIPlugin: NetworkProvider {
    public func status(_ request: JSON, deadline: UInt64) throws -> JSON {
        guard case .active(_, let network) = state.withLock({ $0 }) else {
            return [
                "name": .string(Self.description.name), "version": .string(Self.description.version), "ready": false,
                "reason": "the CNI plugin is not active",
            ]
        }
        do { return try network.status(Self.description, deadline: deadline) } catch { throw Self.pluginError(error) }
    }

    public func attach(_ request: JSON, deadline: UInt64) throws -> JSON {
        try answer { network in
            let uid = request["podUID"].stringValue ?? ""
            let request = try AttachmentRequest(request)
            if request.wantsBandwidth && !network.limitsBandwidth {
                host.log.warning(
                    "a pod asks for a bandwidth limit, which no plugin of the network makes",
                    ["pod": .string("\(request.podNamespace)/\(request.podName)")])
            }
            return try network.pods.attach(request, uid: uid, deadline: deadline)
        }
    }

    public func check(_ request: JSON, deadline: UInt64) throws -> JSON {
        try answer { network in
            try network.pods.check(try AttachmentRequest(request), deadline: deadline)
            return [:]
        }
    }

    public func detach(_ request: JSON, deadline: UInt64) throws -> JSON {
        try answer { network in
            try network.pods.detach(
                sandbox: try AttachmentRequest.sandboxID(request),
                namespace: request["networkNamespace"].stringValue, deadline: deadline)
            return [:]
        }
    }

    public func collectGarbage(_ request: JSON, deadline: UInt64) throws -> JSON {
        try answer { network in
            guard case .array(let valid) = request["validSandboxIDs"] else {
                throw NetworkError.invalid("validSandboxIDs must be an array")
            }
            let removed = try network.pods.collectGarbage(
                keeping: Set(valid.compactMap(\.stringValue)), grace: NetworkProviderMessages.grace(request),
                deadline: deadline)
            return ["removed": JSON(removed)]
        }
    }

    public func servicesSet(_ request: JSON, deadline: UInt64) throws -> JSON {
        try answer { network in
            let update = try ServiceUpdate(request, log: host.log)
            try network.setServices(update)
            return update.answer
        }
    }

    public func policiesSet(_ request: JSON, deadline: UInt64) throws -> JSON {
        throw PluginError.notSupported(
            "the CNI plugin takes the rules that follow from network policies: call policy_rules_set")
    }

    public func policyRulesSet(_ request: JSON, deadline: UInt64) throws -> JSON {
        try answer { network in
            try network.setPolicyRules(try PolicyUpdate(request))
            return [:]
        }
    }

    private func answer(_ body: (ActiveCNI) throws -> JSON) throws -> JSON {
        do { return try body(try active()) } catch { throw Self.pluginError(error) }
    }
}

extension CNIPlugin: StateProvider {
    public func exportState() throws -> [UInt8] {
        do { return try active().state().serialized } catch { throw Self.pluginError(error) }
    }

    public func importState(_ bytes: [UInt8]) throws {
        let imported = try NetworkState(parsing: bytes)
        try state.withLock { state in
            guard case .configured(let settings, _) = state else {
                throw PluginError.wrongState("the CNI plugin takes a state over before it is activated")
            }
            state = .configured(settings, imported)
        }
    }
}
