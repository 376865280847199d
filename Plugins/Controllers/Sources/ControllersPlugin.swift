import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The controllers of the cluster: each keeps one kind of object true to what it asks for. Of several that share a store, one
/// leads (`Leadership`).
public final class ControllersPlugin: Plugin {
    public static let description = PluginDescription(
        name: "controllers", version: "0.1.0",
        summary: "Deployments, ReplicaSets, namespaces, endpoints, garbage collection, volumes, nodes, scheduling",
        requires: [HOSTD_API_1, HOSTD_STORE_1], optional: [HOSTD_SCHEDULER_1, HOSTD_VOLUME_1, HOSTD_DEVICE_1],
        handover: .exclusive)
    public static var optionsSchema: String { ElectionOptions.schema }

    private enum State {
        case created
        case configured(PluginConfiguration)
        case alone(PluginConfiguration, RunningControllers)
        case elected(PluginConfiguration, Leadership)
    }

    private let host: Host
    private let state = Mutex(State.created)

    public init(host: Host) throws { self.host = host }

    public func configure(_ configuration: PluginConfiguration) throws {
        _ = try ElectionOptions(configuration.options)
        state.withLock { $0 = .configured(configuration) }
    }

    public func activate() throws {
        guard case .configured(let configuration) = state.withLock({ $0 }) else {
            throw PluginError.wrongState("controllers: activate without configure")
        }
        let options = try ElectionOptions(configuration.options)
        guard try options.holdsElection(over: host.store().status()) else {
            let running = try RunningControllers(host, configuration, fence: nil)
            return state.withLock { $0 = .alone(configuration, running) }
        }
        let host = host
        let leadership = try Leadership(host, options) { fence in
            try RunningControllers(host, configuration, fence: fence)
        }
        state.withLock { $0 = .elected(configuration, leadership) }
    }

    public func deactivate() throws {
        switch state.withLock({ $0 }) {
        case .created, .configured: break
        case .alone(let configuration, let running):
            running.stop(isOrderly: true)
            state.withLock { $0 = .configured(configuration) }
        case .elected(let configuration, let leadership):
            leadership.end()
            state.withLock { $0 = .configured(configuration) }
        }
    }

    public func interface(_ id: String) -> UnsafePointer<hostd_interface>? { nil }
}
