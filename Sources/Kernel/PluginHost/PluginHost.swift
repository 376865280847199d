import CInterposer
import Objects
import PluginAPI
import Synchronization

/// Opens, configures, activates, binds, swaps and ends plugins. `open` … `start` and `stop` are called by one thread; in
/// between, all changes happen on the thread of `lifecycle`. Everything else may be used from any.
public final class PluginHost: Sendable {
    /// What the kernel itself offers to plugins, by id.
    public struct Services: @unchecked Sendable {
        // SAFETY: immutable pointers to tables whose slots may be called from any thread.
        public var tables: [String: UnsafePointer<hostd_interface>]
        /// The embedded engine of hostd.store/1; nil when a plugin provides the role.
        public var store: UnsafePointer<hostd_interface>?

        public init(
            tables: [String: UnsafePointer<hostd_interface>] = [:], store: UnsafePointer<hostd_interface>? = nil
        ) {
            self.tables = tables
            self.store = store
        }
    }

    /// Directories that plugins are told of.
    public struct Paths: Sendable {
        public var data: String
        public var libexec: String

        public init(data: String, libexec: String) {
            self.data = data
            self.libexec = libexec
        }
    }

    struct State {
        var configuration: HostConfiguration
        var entries: [PluginEntry]
        /// Providers that a swap chose in place of the order of `roles:`: role → plugin.
        var selections: [String: String] = [:]
        /// Where swaps are kept; nil = they end with the process.
        var swaps: SwapStore?
        var paths = Paths(data: "", libexec: "")
        var services = Services()
        var embeddedStore: RoleTarget?
        var bindings: [String: RoleBinding] = [:]
        /// Tables of named providers: "role plugin" → binding.
        var providerBindings: [String: RoleBinding] = [:]
        /// Names in the order in which they were activated.
        var activated: [String] = []
        var rolesService: RolesService?
        var pluginsService: PluginsService?
        /// Gets the last figures of a provider that goes.
        var onRetire: (@Sendable (_ plugin: String, _ role: String, _ target: RoleTarget) -> Void)?
        var environment: HostEnvironment?
    }

    let log: Log
    let search: PluginSearch
    let lifecycle = LifecycleThread()
    let watchers = RoleWatchers()
    let pluginWatchers = MessageWatchers(threadName: "plugins")
    let steps: StepWatch
    let watchdog: CallWatchdog
    let supervisors = PluginSupervisors()
    let probe: ImageProbe
    let drafts = DraftInterfaces()
    let state: Mutex<State>
    /// Held while bindings get another target, or are held or released.
    let switching = Mutex<Void>(())

    /// How long calls and operations may take to leave a plugin that ends. Nanoseconds.
    static let drainLimit: UInt64 = 5_000_000_000
    /// How long a call waits for the end of a swap. Nanoseconds.
    static let holdLimit: UInt64 = 5_000_000_000

    /// `dataDirectory`: where swaps of earlier, which go on to count, and probed files are written down; nil = nowhere.
    public init(configuration: HostConfiguration, search: PluginSearch, dataDirectory: String? = nil, log: Log) {
        self.search = search
        self.log = log
        let swaps = dataDirectory.map { SwapStore(directory: $0) }
        let kept = swaps ?? SwapStore()
        probe = ImageProbe(
            program: "\(search.libexecDirectory)/hostd-plugin-process", directory: dataDirectory ?? "", log: log)
        state = Mutex(
            State(
                configuration: configuration, entries: Self.entries(of: configuration, kept, log),
                selections: Self.selections(of: configuration, kept), swaps: swaps))
        steps = StepWatch(log: log)
        watchdog = CallWatchdog(log: log)
        ViolationReports.send(to: log)
    }

    public var configuration: HostConfiguration { state.withLock { $0.configuration } }
    var entries: [PluginEntry] { state.withLock { $0.entries } }
    /// The generations in charge, in the order of the configuration.
    var instances: [PluginInstance] { entries.map(\.current) }
    func entry(_ name: String) -> PluginEntry? { entries.first { $0.name == name } }
    func instance(_ name: String) -> PluginInstance? { entry(name)?.current }

    /// Every provider that has a table, by plugin and role.
    var allTargets: [(plugin: String, role: String, target: RoleTarget)] {
        let store = state.withLock { $0.embeddedStore }.map { [("embedded", HOSTD_STORE_1, $0)] } ?? []
        return store + instances.flatMap { instance in instance.targets.map { (instance.name, $0.key, $0.value) } }
    }

    func record(_ failure: PluginFailure, of instance: PluginInstance) {
        instance.fail(failure)
        // The next one in order may be active already.
        for role in instance.description?.provides ?? [] { select(role) }
        changed(instance.name)
        log.write(
            instance.settings.isOptional ? .warning : .error, "host", "plugin \(instance.name) failed",
            [
                "plugin": .string(instance.name), "step": .string(failure.step.rawValue),
                "code": .string(statusName(failure.code)), "reason": .string(failure.message),
            ])
    }

    // MARK: Interfaces

    /// The table of a service or role for plugins; nil when nobody knows the id.
    func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        let native = state.withLock { state -> UnsafePointer<hostd_interface>? in
            switch id {
            case HOSTD_ROLES_1: state.rolesService?.table
            case HOSTD_PLUGINS_1: state.pluginsService?.table
            case HOSTD_ENVIRONMENT_1: state.environment?.table
            default: state.services.tables[id]
            }
        }
        if let native { return native }
        if RoleCatalog.services[id] != nil { return nil }
        return binding(of: id)?.table
    }

    /// The binding of a role that the headers or a plugin declare, made when it is first asked for.
    func binding(of role: String) -> RoleBinding? {
        if let known = state.withLock({ $0.bindings[role] }) { return known }
        guard let descriptor = descriptor(of: role), let made = RoleBinding(id: role, descriptor: descriptor) else {
            return nil
        }
        let binding = state.withLock { state -> RoleBinding in
            if let known = state.bindings[role] { return known }  // Another thread was faster; ours is never seen.
            state.bindings[role] = made
            return made
        }
        select(role)
        return binding
    }

    private func descriptor(of role: String) -> SlotDescriptor? {
        if let slots = RoleCatalog.roles[role] { return try? SlotDescriptor(slots) }
        for instance in instances where instance.provides(role) {
            if let target = instance.targets[role] { return target.descriptor }
            if let plugin = instance.open, let (_, descriptor) = try? plugin.interface(role) { return descriptor }
        }
        return nil
    }

    /// The table of one named provider. Valid for ever; answers UNAVAILABLE while the plugin is not active.
    func providerTable(of role: String, plugin: String) -> UnsafePointer<hostd_interface>? {
        guard let instance = instance(plugin), instance.provides(role), let target = instance.targets[role] else {
            return nil
        }
        let key = "\(role) \(plugin)"
        if let known = state.withLock({ $0.providerBindings[key] }) { return known.table }
        guard let made = RoleBinding(id: role, descriptor: target.descriptor) else { return nil }
        return switching.withLock { _ in
            let (binding, isNew) = state.withLock { state -> (RoleBinding, Bool) in
                if let known = state.providerBindings[key] { return (known, false) }
                state.providerBindings[key] = made
                return (made, true)
            }
            if isNew { bindProvider(role, plugin) }
            return binding.table
        }
    }
}

/// Carries the interposer's reports of breaches into the log.
enum ViolationReports {
    private static let destination = Mutex<Log?>(nil)

    static func send(to log: Log) {
        destination.withLock { $0 = log }
        interposer_set_reporter { role, slot, what in
            let (role, slot, what) = (String(cString: role), String(cString: slot), String(cString: what))
            ViolationReports.destination.withLock { $0 }?.error(
                "a provider broke the plugin ABI",
                ["role": .string(role), "slot": .string(slot), "breach": .string(what)])
        }
    }
}
