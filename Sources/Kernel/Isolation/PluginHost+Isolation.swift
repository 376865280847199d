import Objects
import PluginAPI
import Synchronization

/// The supervisors of a host's isolated plugins, by entry.
final class PluginSupervisors: Sendable {
    private let byName = Mutex<[String: PluginSupervisor]>([:])
    private let pauses = Mutex(RestartBackOff())

    /// How entries are started again that are isolated from now on.
    var backOff: RestartBackOff {
        get { pauses.withLock { $0 } }
        set { pauses.withLock { $0 = newValue } }
    }

    func known(_ name: String) -> PluginSupervisor? { byName.withLock { $0[name] } }

    /// The supervisor of an entry, with its settings of now.
    func supervisor(_ setting: PluginSupervisor.Setting, of host: PluginHost) -> PluginSupervisor {
        byName.withLock { byName in
            if let known = byName[setting.name] {
                known.update(setting)
                return known
            }
            let made = PluginSupervisor(setting, backOff: backOff, host: host)
            byName[setting.name] = made
            return made
        }
    }
}

extension PluginHost {
    /// Opens a plugin in a process of its own.
    func openIsolated(
        _ path: String, _ settings: HostConfiguration.PluginSettings, _ context: HostContext
    ) throws(PluginFailure) -> any PluginImage {
        let configuration = configuration
        let names = configuration.plugins.filter { $0.isolation.mode == .process }.map(\.name)
        let setting = PluginSupervisor.Setting(
            name: settings.name, isolation: settings.isolation,
            user: PluginUsers.user(of: settings.name, among: names),
            program: search.libexecDirectory + "/hostd-plugin-process", groupParent: configuration.settings.cgroupParent
        )
        return try IsolatedPlugin(
            path: path, supervisor: supervisors.supervisor(setting, of: self)
        ) { id in context.table(id) }
    }

    /// Takes the roles of a generation whose process has ended from it at once, while its restart waits. Without effect while
    /// hostd starts or stops.
    func markFallen(_ name: String, _ failure: PluginFailure, of image: any PluginImage) {
        do throws(PluginFailure) {
            try lifecycle.enqueue { [self] refusal in
                guard refusal == nil, let entry = entry(name), entry.current.image === image else { return }
                fall(entry, after: failure)
            }
        } catch {
            log.debug("a plugin is not marked as fallen now", ["reason": .string(error.message)])
        }
    }

    /// Calls that a generation has had; nil when it is not the one in charge or has no state to hand on.
    func callsSinceActivation(of name: String, _ image: any PluginImage) -> UInt64? {
        guard let instance = entry(name)?.current, instance.image === image, instance.provides(HOSTD_STATE_1) else {
            return nil
        }
        return instance.targets.filter { $0.key != HOSTD_STATE_1 }.values.reduce(0) { $0 &+ $1.figures().calls }
    }

    /// Has the state of a generation exported, with its roles held meanwhile unless it can do without; nil when that cannot be.
    func takeCheckpoint(_ name: String, of image: any PluginImage, _ done: @escaping @Sendable ([UInt8]?) -> Void) {
        do throws(PluginFailure) {
            try lifecycle.enqueue { [self] refusal in
                guard refusal == nil, let instance = entry(name)?.current, instance.image === image, instance.isActive
                else {
                    return done(nil)
                }
                done(exportState(of: instance))
            }
        } catch {
            done(nil)
        }
    }

    /// How long calls may take to leave for a checkpoint. Nanoseconds.
    private static let checkpointPatience: UInt64 = 200_000_000

    private func exportState(of instance: PluginInstance) -> [UInt8]? {
        do throws(PluginFailure) {
            guard let table = try instance.stateTable else { return nil }
            if let state = try LiveTransfer.copy(of: table) { return state }
            setHeld(true, instance)
            defer { setHeld(false, instance) }
            let deadline = monotonicNow() + Self.checkpointPatience
            guard instance.targets.values.allSatisfy({ $0.drainCalls(deadline: deadline) }) else { return nil }
            return try StateTransfer.export(table)
        } catch {
            log.warning(
                "the state of a plugin could not be kept for its next process",
                ["plugin": .string(instance.name), "reason": .string(error.message)])
            return nil
        }
    }
}
