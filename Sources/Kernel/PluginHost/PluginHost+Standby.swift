import PluginAPI

/// Swaps between plugins that both are in the configuration. Everything here runs on the life-cycle thread.
extension PluginHost {
    /// Lets `next` serve the roles of `entry` that it provides. One that is active is only selected; one on standby is
    /// activated and takes over, and `entry` goes to standby, unless its role keeps what it started.
    func handOver(_ entry: PluginEntry, to next: PluginEntry, role: String?, _ options: SwapOptions)
        throws(PluginFailure)
    {
        let (old, new) = (entry.current, next.current)
        if let failure = new.failure {
            throw PluginFailure(
                .request, code: HOSTD_ERROR_WRONG_STATE, "plugin \(next.name) has failed: \(failure.description)")
        }
        let roles = try commonRoles(old, new, role)
        try recorded(next, from: old, to: new, options.trigger) { () throws(PluginFailure) in
            var outcome = Handover.Outcome()
            if new.isActive {
                prefer(next, for: roles, hasState: false)
            } else if roles.contains(where: { RoleCatalog.retaining.contains($0) }) || !old.isActive {
                try fromStandby(next) { () throws(PluginFailure) in
                    try begin(new)
                    prefer(next, for: roles, hasState: false)
                }
            } else {
                try fromStandby(next) { () throws(PluginFailure) in
                    try requireRoles(of: new, replacing: old)
                    let handover = Handover(
                        host: self, old: old, new: new, drainLimit: options.drainLimit,
                        discardsState: options.discardsState)
                    outcome = try handover.run { hasState in
                        old.isStandby = true
                        prefer(next, for: roles, hasState: hasState)
                    }
                }
                toStandby(entry)
            }
            next.previous = .plugin(entry.name)
            return outcome
        }
    }

    /// What the old one is asked for and the new one provides.
    private func commonRoles(
        _ old: PluginInstance, _ new: PluginInstance, _ role: String?
    ) throws(PluginFailure) -> [String] {
        let wanted = role.map { [$0] } ?? (old.description?.provides ?? []).filter { selected($0) === old }
        let roles = wanted.filter { $0 != HOSTD_STATE_1 && new.provides($0) }
        guard !roles.isEmpty else {
            throw PluginFailure(
                .require, code: HOSTD_ERROR_WRONG_STATE,
                "plugin \(new.name) does not provide \(list(wanted)); it provides \(list(new.description?.provides ?? []))"
            )
        }
        return roles
    }

    /// Configures a plugin on standby and lets `body` activate it; when that fails it is on standby again.
    private func fromStandby(_ entry: PluginEntry, _ body: () throws(PluginFailure) -> Void) throws(PluginFailure) {
        let new = entry.current
        do throws(PluginFailure) {
            try configure(new)
            try body()
        } catch {
            discard(new)
            open(standby: entry)
            throw error
        }
    }

    /// Selects a plugin for roles, in place of the order of `roles:`, and lets callers reach it.
    private func prefer(_ entry: PluginEntry, for roles: [String], hasState: Bool) {
        let instance = entry.current
        instance.isStandby = false
        let others = state.withLock { state in
            for role in roles { state.selections[role] = entry.name }
            if !state.activated.contains(entry.name) { state.activated.append(entry.name) }
            return state.entries.map(\.name)
        }
        rebind(Set(instance.targets.keys).union(roles), of: Set(others))
        watchers.announce(changes(of: instance, isActive: true, hasState: hasState))
        changed(entry.name)
    }

    /// Ends a plugin that another one took over from, and keeps it ready.
    private func toStandby(_ entry: PluginEntry) {
        let old = entry.current
        rebind(Set(old.targets.keys), of: [entry.name])
        watchers.announce(changes(of: old, isActive: false))
        state.withLock { $0.activated.removeAll { $0 == entry.name } }
        retire(old, of: entry)
        open(standby: entry)
    }

    /// Opens and checks a generation that waits to be activated.
    func open(standby entry: PluginEntry) {
        let waiting = PluginInstance(settings: entry.current.settings)
        waiting.isStandby = true
        entry.replaceCurrent(by: waiting)
        do throws(PluginFailure) {
            try open(waiting)
            try checkOptions(of: waiting)
        } catch {
            record(error, of: waiting)
        }
        changed(entry.name)
    }

    /// As a failure of the plugin, where there is no file to point into.
    func checkOptions(of instance: PluginInstance) throws(PluginFailure) {
        do throws(ConfigurationError) { try instance.checkOptions(file: configuration.file) } catch {
            throw PluginFailure(.options, code: HOSTD_ERROR_INVALID_ARGUMENT, "\(error.keyPath): \(error.message)")
        }
    }
}
