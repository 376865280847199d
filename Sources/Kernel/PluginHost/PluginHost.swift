import CInterposer
import Objects
import PluginAPI
import Synchronization

/// Opens, configures, activates, binds and ends plugins. The life cycle (`open` … `stop`) runs on one thread; everything
/// else may be used from any.
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
        var services = Services()
        var embeddedStore: RoleTarget?
        var bindings: [String: RoleBinding] = [:]
        /// Tables of named providers: "role plugin" → binding.
        var providerBindings: [String: RoleBinding] = [:]
        /// Names in the order in which they were activated.
        var activated: [String] = []
        var rolesService: RolesService?
        var environment: HostEnvironment?
    }

    public let configuration: HostConfiguration
    let log: Log
    let search: PluginSearch
    let instances: [PluginInstance]
    let watchers = RoleWatchers()
    let steps: StepWatch
    let state: Mutex<State>

    /// How long calls and operations may take to leave a plugin that ends. Nanoseconds.
    static let drainLimit: UInt64 = 5_000_000_000

    public init(configuration: HostConfiguration, search: PluginSearch, log: Log) {
        self.configuration = configuration
        self.search = search
        self.log = log
        instances = configuration.plugins.map { PluginInstance(settings: $0) }
        state = Mutex(State())
        steps = StepWatch(log: log)
        ViolationReports.send(to: log)
    }

    /// Every provider that has a table, by plugin and role.
    var allTargets: [(plugin: String, role: String, target: RoleTarget)] {
        let store = state.withLock { $0.embeddedStore }.map { [("embedded", HOSTD_STORE_1, $0)] } ?? []
        return store + instances.flatMap { instance in instance.targets.map { (instance.name, $0.key, $0.value) } }
    }

    func instance(_ name: String) -> PluginInstance? { instances.first { $0.name == name } }

    // MARK: Opening

    /// Opens and describes every plugin. Failures stay with their plugins.
    public func open() {
        for instance in instances {
            let context = HostContext(name: instance.name, log: log) { [unowned self] id in self.interface(id) }
            do throws(PluginFailure) {
                try steps.during(.open, of: instance.name) { () throws(PluginFailure) in
                    try instance.openImage(
                        search, configurationFile: configuration.file, host: UnsafePointer(context.host))
                }
                log.debug("opened a plugin", ["plugin": .string(instance.name), "path": .string(instance.path)])
            } catch {
                record(error, of: instance)
            }
        }
    }

    /// Checks the options of every plugin that could be opened: all mistakes, in the order of the file.
    public func optionMistakes() -> [ConfigurationError] {
        instances.filter { $0.open != nil }.compactMap { instance -> ConfigurationError? in
            do throws(ConfigurationError) {
                try instance.checkOptions(file: configuration.file)
                return nil
            } catch {
                return error
            }
        }
    }

    /// Checks that plugins which `roles:` prefers for a role provide it, and that the store's plugin provides the store.
    public func preferenceMistakes() -> [ConfigurationError] {
        var wanted = configuration.preferences
        if configuration.store.engine != "embedded" {
            wanted[HOSTD_STORE_1, default: []].append(configuration.store.engine)
        }
        return wanted.sorted { $0.key < $1.key }.flatMap { role, names in
            names.compactMap { name -> ConfigurationError? in
                guard let description = instance(name)?.description, !description.provides.contains(role) else {
                    return nil
                }
                return ConfigurationError(
                    file: configuration.file, mark: .none, keyPath: "roles.\(role)",
                    message: "the plugin \(name) does not provide this role; it provides \(list(description.provides))")
            }
        }
    }

    func record(_ failure: PluginFailure, of instance: PluginInstance) {
        instance.fail(failure)
        // The next one in order may be active already.
        for role in instance.description?.provides ?? [] { select(role) }
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
        if instance.isActive { made.bind(target) }
        return state.withLock { state in
            if let known = state.providerBindings[key] { return known.table }
            state.providerBindings[key] = made
            return made.table
        }
    }

    // MARK: Selection

    /// Plugins that provide a role and have not failed, most preferred first.
    func candidates(for role: String) -> [PluginInstance] {
        let preferred = configuration.preferences[role] ?? []
        let providers = instances.filter { $0.provides(role) && $0.failure == nil }
        return preferred.compactMap { name in providers.first { $0.name == name } }
            + providers.filter { !preferred.contains($0.name) }
    }

    /// Points a role's binding, if there is one, at its most preferred provider, once that one is active.
    func select(_ role: String) {
        let target: RoleTarget?
        if role == HOSTD_STORE_1 {
            let engine = configuration.store.engine
            target =
                engine == "embedded"
                ? state.withLock { $0.embeddedStore }
                : instance(engine).flatMap { $0.isActive ? $0.targets[role] : nil }
        } else {
            let candidates = candidates(for: role)
            // One who is still on its way to active keeps its place; one who ended or failed does not.
            let chosen = candidates.first { $0.isActive || $0.stateName == "opened" || $0.stateName == "configured" }
            target = chosen.flatMap { $0.isActive ? $0.targets[role] : nil }
        }
        state.withLock { $0.bindings[role] }?.bind(target)
    }

    public func activeProviders(of role: String) -> [String] {
        if role == HOSTD_STORE_1, configuration.store.engine == "embedded" {
            return state.withLock { $0.embeddedStore != nil } ? ["embedded"] : []
        }
        return candidates(for: role).filter(\.isActive).map(\.name)
    }

    func watchRoles(_ sink: @escaping hostd_sink, _ context: UnsafeMutableRawPointer?) throws(StoreError) -> UInt64 {
        try watchers.add(sink, context) {
            instances.filter(\.isActive).flatMap { instance in changes(of: instance, isActive: true) }
        }
    }

    func unwatchRoles(_ watch: UInt64) { watchers.remove(watch) }

    func changes(of instance: PluginInstance, isActive: Bool) -> [RoleWatchers.Change] {
        (instance.description?.provides ?? []).map { role in
            RoleWatchers.Change(role: role, plugin: instance.name, isActive: isActive, generation: instance.generation)
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
