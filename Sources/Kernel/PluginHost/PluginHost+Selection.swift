import Objects
import PluginAPI

/// Which provider a role's callers reach.
extension PluginHost {
    /// Plugins that provide a role and have not failed, most preferred first.
    func candidates(for role: String) -> [PluginInstance] {
        let (selection, preferred) = state.withLock { ($0.selections[role], $0.configuration.preferences[role] ?? []) }
        let names = (selection.map { [$0] } ?? []) + preferred.filter { $0 != selection }
        let providers = instances.filter { $0.provides(role) && $0.failure == nil && !$0.isStandby }
        return names.compactMap { name in providers.first { $0.name == name } }
            + providers.filter { !names.contains($0.name) }
    }

    /// Points a role's binding, if there is one, at its most preferred provider, once that one is active.
    func select(_ role: String) { switching.withLock { _ in bindSelected(role) } }

    /// As `select`, with `switching` held.
    private func bindSelected(_ role: String) {
        guard let binding = state.withLock({ $0.bindings[role] }) else { return }
        if role == HOSTD_STORE_1 {
            let engine = configuration.store.engine
            binding.bind(
                engine == "embedded"
                    ? state.withLock { $0.embeddedStore }
                    : instance(engine).flatMap { $0.isActive ? $0.targets[role] : nil })
        } else {
            point(binding, to: selected(role), role)
        }
    }

    /// Points the binding of a named provider at its generation in charge. With `switching` held.
    func bindProvider(_ role: String, _ plugin: String) {
        guard let binding = state.withLock({ $0.providerBindings["\(role) \(plugin)"] }) else { return }
        point(binding, to: instance(plugin), role)
    }

    private func point(_ binding: RoleBinding, to instance: PluginInstance?, _ role: String) {
        guard let instance, instance.isActive && !instance.isStandby || instance.isHeld else {
            binding.bind(nil)
            return binding.release()
        }
        if instance.isHeld { binding.hold(limit: Self.holdLimit) }
        binding.bind(instance.targets[role])
        if !instance.isHeld { binding.release() }
    }

    /// Lets new calls to a generation wait, or go on, in all bindings that lead to it.
    func setHeld(_ isHeld: Bool, _ instance: PluginInstance) {
        switching.withLock { _ in
            instance.isHeld = isHeld
            for role in instance.description?.provides ?? [] {
                if selected(role) === instance { bindSelected(role) }
                bindProvider(role, instance.name)
            }
        }
    }

    /// Points every binding of these roles where it belongs now, selected and named.
    func rebind(_ roles: Set<String>, of plugins: Set<String>) {
        switching.withLock { _ in
            for role in roles {
                bindSelected(role)
                for plugin in plugins { bindProvider(role, plugin) }
            }
        }
    }

    /// One who is still on its way to active keeps its place; one who ended or failed does not.
    func selected(_ role: String) -> PluginInstance? {
        candidates(for: role).first { instance in
            instance.isActive || instance.isHeld || instance.stateName == "opened" || instance.stateName == "configured"
        }
    }

    public func activeProviders(of role: String) -> [String] {
        if role == HOSTD_STORE_1, configuration.store.engine == "embedded" {
            return state.withLock { $0.embeddedStore != nil } ? ["embedded"] : []
        }
        return candidates(for: role).filter(\.isActive).map(\.name)
    }

    func watchRoles(_ sink: @escaping hostd_sink, _ context: UnsafeMutableRawPointer?) throws(StoreError) -> UInt64 {
        try watchers.add(sink, context)
    }

    func unwatchRoles(_ watch: UInt64) { watchers.remove(watch) }

    func changes(of instance: PluginInstance, isActive: Bool, hasState: Bool = false) -> [RoleWatchers.Change] {
        (instance.description?.provides ?? []).map { role in
            RoleWatchers.Change(
                role: role, plugin: instance.name, isActive: isActive, generation: instance.generation,
                hasState: hasState)
        }
    }
}
