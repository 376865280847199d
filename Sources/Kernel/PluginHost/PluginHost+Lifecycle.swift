import Glibc
import Objects
import PluginAPI

extension PluginHost {
    /// Why the host cannot go on.
    public struct StartFailure: Error, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Configures and activates everything, providers first; leaves off between two plugins when `isCancelled` says so.
    /// Throws when a plugin that is not optional fails and nobody
    /// else provides its roles; what was started is still to be ended by `stop` then.
    public func start(
        services: Services, environment: HostEnvironment, paths: Paths, isCancelled: () -> Bool = { false }
    ) throws(StartFailure) {
        attach(services, environment)
        try checkFailures()
        let plan = ActivationOrder.plan(
            instances.compactMap { instance in
                guard instance.failure == nil, let description = instance.description else { return nil }
                return ActivationOrder.Node(
                    name: instance.name, provides: description.provides, requires: description.requires,
                    optional: description.optional)
            }, available: available)
        for (name, reason) in plan.refused.sorted(by: { $0.key < $1.key }) {
            if let instance = instance(name) {
                record(PluginFailure(.require, code: HOSTD_ERROR_UNAVAILABLE, reason), of: instance)
            }
        }
        try checkFailures()
        let order = plan.order.compactMap { instance($0) }
        for instance in order {
            do { try configure(instance, paths) } catch { record(error, of: instance) }
            try checkFailures()
        }
        for instance in order where instance.failure == nil && !isCancelled() {
            do { try activate(instance) } catch { record(error, of: instance) }
            try checkFailures()
        }
    }

    private func attach(_ services: Services, _ environment: HostEnvironment) {
        let roles = RolesService(self)
        var store: RoleTarget?
        if let table = services.store, let descriptor = try? SlotDescriptor(HOSTD_STORE_1_SLOTS) {
            store = RoleTarget(descriptor: descriptor, table: table)
        }
        state.withLock { state in
            state.services = services
            state.environment = environment
            state.rolesService = roles
            state.embeddedStore = store
        }
        select(HOSTD_STORE_1)
    }

    /// Roles and services that need no plugin.
    private var available: Set<String> {
        var ids = Set(RoleCatalog.services.keys)
        if configuration.store.engine == "embedded" { ids.insert(HOSTD_STORE_1) }
        return ids
    }

    private func configure(_ instance: PluginInstance, _ paths: Paths) throws(PluginFailure) {
        try requireProviders(of: instance) { $0.failure == nil }
        let directory = "\(paths.data)/plugins/\(instance.name)"
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw PluginFailure(.configure, "cannot make the directory \(directory): \(errorText(errno))")
        }
        var settings = configuration.settings.json
        settings["listen"] = .string(state.withLock { $0.environment?.listen } ?? configuration.settings.listen)
        let places: JSON = [
            "data": .string(paths.data), "plugin": .string(directory), "libexec": .string(paths.libexec),
        ]
        try steps.during(.configure, of: instance.name) { () throws(PluginFailure) in
            try instance.configure(settings: settings, paths: places)
        }
        for role in instance.description?.provides ?? [] where role != HOSTD_STATE_1 { _ = binding(of: role) }
    }

    private func activate(_ instance: PluginInstance) throws(PluginFailure) {
        try requireProviders(of: instance) { $0.isActive }
        let start = monotonicNow()
        try steps.during(.activate, of: instance.name) { () throws(PluginFailure) in try instance.activate() }
        bindRoles(of: instance)
        state.withLock { $0.activated.append(instance.name) }
        let milliseconds = Double((monotonicNow() - start) / 10_000) / 100
        log.info(
            "plugin \(instance.name) is active",
            [
                "plugin": .string(instance.name), "version": .string(instance.description?.version ?? ""),
                "milliseconds": .number(milliseconds),
            ])
    }

    /// A provider that failed after the order was made takes those with it who require it.
    private func requireProviders(
        of instance: PluginInstance, _ isUsable: (PluginInstance) -> Bool
    ) throws(PluginFailure) {
        let missing = (instance.description?.requires ?? []).filter { role in
            !available.contains(role) && !instance.provides(role)
                && !instances.contains { $0.provides(role) && isUsable($0) }
        }
        guard missing.isEmpty else {
            let causes = instances.filter { other in missing.contains { other.provides($0) } }.map(\.name)
            throw PluginFailure(
                .require, code: HOSTD_ERROR_UNAVAILABLE,
                "requires \(list(missing)), whose provider \(list(causes)) failed")
        }
    }

    private func bindRoles(of instance: PluginInstance) {
        for (role, target) in instance.targets {
            state.withLock { $0.providerBindings["\(role) \(instance.name)"] }?.bind(instance.isActive ? target : nil)
            select(role)
        }
        watchers.announce(changes(of: instance, isActive: instance.isActive))
    }

    /// Throws when a failure means that hostd cannot do what its configuration says.
    private func checkFailures() throws(StartFailure) {
        let fatal = instances.filter { instance in
            guard instance.failure != nil, !instance.settings.isOptional else { return false }
            guard let description = instance.description, !description.provides.isEmpty else { return true }
            return description.provides.contains { candidates(for: $0).isEmpty }
        }
        guard !fatal.isEmpty else { return }
        let reasons = fatal.map { "\($0.name) (\($0.failure.map { "\($0)" } ?? ""))" }
        throw StartFailure(
            description: "cannot go on without \(fatal.count == 1 ? "plugin" : "the plugins") \(list(reasons)); "
                + "repair what is named, or mark the plugin `optional: true`")
    }

    // MARK: The end

    /// Deactivates in reverse order of activation, then destroys. Afterwards no plugin code runs.
    public func stop() {
        let activated = state.withLock { state in
            defer { state.activated = [] }
            return state.activated
        }
        for name in activated.reversed() {
            if let instance = instance(name) { deactivate(instance) }
        }
        for instance in instances.reversed() {
            do { try instance.destroy() } catch {
                log.warning("plugin \(instance.name) cannot be released", ["reason": .string(error.message)])
            }
        }
    }

    /// Takes the plugin's roles away from callers, waits for calls to leave, and ends its work.
    private func deactivate(_ instance: PluginInstance) {
        let targets = instance.targets
        let start = monotonicNow()
        for (role, target) in targets {
            state.withLock { $0.providerBindings["\(role) \(instance.name)"] }?.bind(nil)
            unbind(role, from: target)
        }
        for (role, target) in targets where !target.drainCalls(deadline: start + Self.drainLimit) {
            log.warning(
                "calls are still inside a plugin that ends",
                ["plugin": .string(instance.name), "role": .string(role), "calls": .integer(Int64(target.calls))])
        }
        do throws(PluginFailure) {
            try steps.during(.deactivate, of: instance.name) { () throws(PluginFailure) in try instance.deactivate() }
        } catch {
            record(error, of: instance)
        }
        watchers.announce(changes(of: instance, isActive: false))
        let deadline = monotonicNow() + Self.drainLimit
        for (role, target) in targets {
            let isDrained = target.drainOperations(deadline: deadline) && target.drainCalls(deadline: deadline)
            if !isDrained {
                log.warning(
                    "a plugin ended without finishing its operations",
                    [
                        "plugin": .string(instance.name), "role": .string(role),
                        "operations": .integer(Int64(target.operations)),
                    ])
            }
        }
        log.debug("plugin \(instance.name) is deactivated")
    }

    /// Gives a role to the next active provider, or to nobody.
    private func unbind(_ role: String, from target: RoleTarget) {
        guard let binding = state.withLock({ $0.bindings[role] }), binding.target === target else { return }
        let next = candidates(for: role).first { $0.isActive && $0.targets[role] !== target }
        binding.bind(next?.targets[role])
    }
}
