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
        attach(services, environment, paths)
        do throws(StoreError) { try watchdog.start() } catch {
            log.warning("slow calls will not be named", ["reason": .string(error.message)])
        }
        probe.save()
        try checkFailures()
        let order = order(of: instances.filter { !$0.isStandby })
        try checkFailures()
        for instance in order {
            do { try configure(instance) } catch { record(error, of: instance) }
            try checkFailures()
        }
        for instance in order where instance.failure == nil && !isCancelled() {
            do { try activate(instance) } catch { record(error, of: instance) }
            try checkFailures()
        }
        lifecycle.open()
    }

    /// The order in which these are activated; those that can never be fail with the reason.
    func order(of instances: [PluginInstance]) -> [PluginInstance] {
        let present = self.instances.filter { other in other.isActive && !instances.contains { $0 === other } }
        let plan = ActivationOrder.plan(
            instances.compactMap { instance in
                guard instance.failure == nil, let description = instance.description else { return nil }
                return ActivationOrder.Node(
                    name: instance.name, provides: description.provides, requires: description.requires,
                    optional: description.optional)
            }, available: available.union(present.flatMap { $0.description?.provides ?? [] }))
        for instance in instances {
            guard let reason = plan.refused[instance.name] else { continue }
            record(PluginFailure(.require, code: HOSTD_ERROR_UNAVAILABLE, reason), of: instance)
        }
        return plan.order.compactMap { name in instances.first { $0.name == name } }
    }

    private func attach(_ services: Services, _ environment: HostEnvironment, _ paths: Paths) {
        let (roles, plugins) = (RolesService(self), PluginsService(self))
        var store: RoleTarget?
        if let table = services.store, let descriptor = try? SlotDescriptor(HOSTD_STORE_1_SLOTS) {
            store = RoleTarget(descriptor: descriptor, table: table)
            if let costs = try? SlotCosts(parsing: HOSTD_STORE_1_COSTS) { store?.setCosts(costs, owner: "embedded") }
        }
        state.withLock { state in
            state.services = services
            state.environment = environment
            state.paths = paths
            state.rolesService = roles
            state.pluginsService = plugins
            state.embeddedStore = store
        }
        select(HOSTD_STORE_1)
    }

    /// Roles and services that need no plugin.
    var available: Set<String> {
        var ids = Set(RoleCatalog.services.keys)
        if configuration.store.engine == "embedded" { ids.insert(HOSTD_STORE_1) }
        return ids
    }

    func configure(_ instance: PluginInstance) throws(PluginFailure) {
        try requireProviders(of: instance) { $0.failure == nil }
        let (configuration, paths) = state.withLock { ($0.configuration, $0.paths) }
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
        for (role, target) in instance.targets where role != HOSTD_STATE_1 {
            if let binding = binding(of: role), let reason = binding.descriptor.disagreement(of: target.descriptor) {
                throw PluginFailure(.interface, "\(role): \(reason)")
            }
        }
    }

    /// Activates, and lets callers reach it.
    func activate(_ instance: PluginInstance) throws(PluginFailure) {
        try requireProviders(of: instance) { $0.isActive }
        try begin(instance)
        rebind(Set(instance.targets.keys), of: [instance.name])
        watchers.announce(changes(of: instance, isActive: true))
        changed(instance.name)
        state.withLock { state in
            if !state.activated.contains(instance.name) { state.activated.append(instance.name) }
        }
    }

    /// Activates one generation; nobody reaches it yet.
    func begin(_ instance: PluginInstance) throws(PluginFailure) {
        guard let generation = entry(instance.name)?.nextGeneration() else { return }
        let start = monotonicNow()
        try steps.during(.activate, of: instance.name) { () throws(PluginFailure) in
            try instance.activate(generation: generation)
        }
        let milliseconds = Double((monotonicNow() - start) / 10_000) / 100
        log.info(
            "plugin \(instance.name) is active",
            [
                "plugin": .string(instance.name), "version": .string(instance.description?.version ?? ""),
                "milliseconds": .number(milliseconds),
            ])
    }

    /// A provider that failed after the order was made takes those with it who require it.
    func requireProviders(
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

    /// Throws when a failure means that hostd cannot do what its configuration says.
    private func checkFailures() throws(StartFailure) {
        let fatal = instances.filter { instance in
            guard instance.failure != nil, !instance.isStandby, !instance.settings.isOptional else { return false }
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
        lifecycle.close()
        let activated = state.withLock { state in
            defer { state.activated = [] }
            return state.activated
        }
        for name in activated.reversed() {
            if let instance = instance(name) { deactivate(instance) }
        }
        for entry in entries.reversed() {
            for instance in entry.takeLeftovers() + [entry.current] { release(instance) }
        }
        watchdog.stop()
    }

    private func release(_ instance: PluginInstance) {
        do { try instance.destroy() } catch {
            log.warning("plugin \(instance.name) cannot be released", ["reason": .string(error.message)])
        }
    }

    /// Takes the plugin's roles away from callers, waits for calls to leave, and ends its work.
    func deactivate(_ instance: PluginInstance) {
        for (role, target) in instance.targets {
            state.withLock { $0.providerBindings["\(role) \(instance.name)"] }?.bind(nil)
            unbind(role, from: target)
        }
        _ = drainCalls(of: instance, deadline: monotonicNow() + Self.drainLimit)
        do throws(PluginFailure) { try end(instance) } catch { record(error, of: instance) }
        watchers.announce(changes(of: instance, isActive: false))
        _ = drainOperations(of: instance, deadline: monotonicNow() + Self.drainLimit)
        log.debug("plugin \(instance.name) is deactivated")
    }

    /// Deactivates one generation, which nobody reaches any more.
    func end(_ instance: PluginInstance) throws(PluginFailure) {
        defer { endForgotten(of: instance) }
        try steps.during(.deactivate, of: instance.name) { () throws(PluginFailure) in try instance.deactivate() }
    }

    /// Rule 11: when `deactivate` returns, nothing of the plugin runs. What it forgot is ended in its place.
    private func endForgotten(of instance: PluginInstance) {
        for (service, slot, count) in instance.context?.endForgotten() ?? [] {
            instance.countForgotten(count)
            log.warning(
                "a plugin was deactivated and did not end what it had begun (rule 11)",
                [
                    "plugin": .string(instance.name), "service": .string(service), "slot": .string(slot),
                    "count": JSON(count),
                ])
        }
    }

    /// Waits for the calls inside; false, with a warning, when the deadline (monotonic nanoseconds) passed first.
    func drainCalls(of instance: PluginInstance, deadline: UInt64) -> Bool {
        instance.targets.reduce(true) { isDrained, entry in
            let (role, target) = entry
            if target.drainCalls(deadline: deadline) { return isDrained }
            log.warning(
                "calls are still inside a plugin that ends",
                ["plugin": .string(instance.name), "role": .string(role), "calls": .integer(Int64(target.calls))])
            return false
        }
    }

    /// In the same way for the operations that it owes a completion, after it was deactivated.
    func drainOperations(of instance: PluginInstance, deadline: UInt64) -> Bool {
        instance.targets.reduce(true) { isDrained, entry in
            let (role, target) = entry
            if target.drainOperations(deadline: deadline), target.drainCalls(deadline: deadline) { return isDrained }
            log.warning(
                "a plugin ended without finishing its operations",
                [
                    "plugin": .string(instance.name), "role": .string(role),
                    "operations": .integer(Int64(target.operations)),
                ])
            return false
        }
    }

    /// Gives a role to the next active provider, or to nobody.
    private func unbind(_ role: String, from target: RoleTarget) {
        guard let binding = state.withLock({ $0.bindings[role] }), binding.target === target else { return }
        let next = candidates(for: role).first { $0.isActive && $0.targets[role] !== target }
        binding.bind(next?.targets[role])
    }
}
