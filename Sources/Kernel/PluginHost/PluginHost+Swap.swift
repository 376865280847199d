import Objects
import PluginAPI

/// Replacing a generation while hostd runs. Everything here runs on the life-cycle thread.
extension PluginHost {
    /// How a swap is to be done.
    struct SwapOptions {
        var trigger: SwapRecord.Trigger
        var discardsState = false
        var drainLimit = PluginHost.drainLimit
        /// Options of another plugin's image are its defaults, not those of the plugin before.
        var keepsOptions = true
    }

    /// Puts a new generation, made from `settings`, in charge of an entry. When any step fails, the old one stays, and
    /// the failure is kept in `lastSwap` besides being thrown.
    func swap(
        _ entry: PluginEntry, to settings: HostConfiguration.PluginSettings, _ options: SwapOptions
    ) throws(PluginFailure) {
        let old = entry.current
        let new = PluginInstance(settings: settings)
        try recorded(entry, from: old, to: new, options.trigger) { () throws(PluginFailure) in
            let outcome: Handover.Outcome
            do throws(PluginFailure) {
                try prepare(new, replacing: old, options)
                let handover = Handover(
                    host: self, old: old, new: new, drainLimit: options.drainLimit,
                    discardsState: options.discardsState)
                outcome = try handover.run { hasState in put(new, inPlaceOf: old, in: entry, hasState: hasState) }
            } catch {
                discard(new)
                throw error
            }
            entry.previous = .generation(old.settings, version: old.description?.version ?? "")
            retire(old, of: entry, drainLimit: options.drainLimit)
            return outcome
        }
    }

    /// Opens, checks and configures a new generation beside the old one.
    private func prepare(
        _ new: PluginInstance, replacing old: PluginInstance, _ options: SwapOptions
    ) throws(PluginFailure) {
        guard configuration.store.engine != old.name else {
            throw PluginFailure(
                .request, code: HOSTD_ERROR_NOT_SUPPORTED,
                "the engine of the store is chosen at the start and cannot be swapped while hostd runs")
        }
        try open(new)
        if !options.keepsOptions, new.description?.name != old.description?.name {
            new.setOptions(.emptyMapping(at: .none))
        }
        try checkOptions(of: new)
        try requireRoles(of: new, replacing: old)
        try configure(new)
    }

    /// Nobody who works may lose a role that it requires.
    func requireRoles(of new: PluginInstance?, replacing old: PluginInstance) throws(PluginFailure) {
        let users = instances.filter { $0.isActive && $0.name != old.name && $0.name != new?.name }
        let lost = (old.description?.provides ?? []).filter { role in
            new?.provides(role) != true && !candidates(for: role).contains { $0.isActive && $0.name != old.name }
                && users.contains { $0.description?.requires.contains(role) == true }
        }
        guard lost.isEmpty else {
            let names = users.filter { user in lost.contains { user.description?.requires.contains($0) == true } }
            throw PluginFailure(
                .require, code: HOSTD_ERROR_WRONG_STATE,
                "\(list(lost)) would have no provider, and \(list(names.map(\.name))) "
                    + "\(names.count == 1 ? "requires" : "require") it")
        }
    }

    /// The commit of a swap: callers reach the new generation from here on.
    func put(_ new: PluginInstance, inPlaceOf old: PluginInstance, in entry: PluginEntry, hasState: Bool) {
        let wasActive = old.isActive || old.generation > 0
        entry.replaceCurrent(by: new)
        state.withLock { state in
            if !state.activated.contains(entry.name) { state.activated.append(entry.name) }
        }
        rebind(Set(old.targets.keys).union(new.targets.keys), of: [entry.name])
        let gone = changes(of: old, isActive: false).filter { wasActive && !new.provides($0.role) }
        watchers.announce(gone + changes(of: new, isActive: true, hasState: hasState))
    }

    /// Releases a generation that never came into use.
    func discard(_ new: PluginInstance) {
        do throws(PluginFailure) {
            if new.isActive { try end(new) }
            for target in new.targets.values { target.retire() }
            try new.destroy()
        } catch {
            log.warning(
                "a plugin that was not taken into use cannot be released",
                ["plugin": .string(new.name), "reason": .string(error.message)])
        }
    }

    /// Ends a generation that callers do not reach any more.
    func retire(_ old: PluginInstance, of entry: PluginEntry, drainLimit: UInt64 = PluginHost.drainLimit) {
        var isEmpty = drainCalls(of: old, deadline: monotonicNow() + drainLimit)
        do throws(PluginFailure) { try end(old) } catch {
            log.warning(
                "a plugin that was replaced did not end well",
                ["plugin": .string(old.name), "reason": .string(error.message)])
        }
        isEmpty = drainOperations(of: old, deadline: monotonicNow() + drainLimit) && isEmpty
        do throws(PluginFailure) {
            try old.destroy()
            retireTargets(of: old)
        } catch {
            log.warning(
                "a plugin that was replaced cannot be released",
                ["plugin": .string(old.name), "reason": .string(error.message)])
            entry.keep(old)
        }
    }

    /// `body` gets the last figures of each provider that goes.
    func onRetire(_ body: @escaping @Sendable (_ plugin: String, _ role: String, _ target: RoleTarget) -> Void) {
        state.withLock { $0.onRetire = body }
    }

    private func retireTargets(of old: PluginInstance) {
        let onRetire = state.withLock { $0.onRetire }
        for (role, target) in old.targets {
            onRetire?(old.name, role, target)
            target.retire()
        }
    }

    /// Runs a swap and keeps what became of it.
    func recorded(
        _ entry: PluginEntry, from old: PluginInstance, to new: PluginInstance, _ trigger: SwapRecord.Trigger,
        _ body: () throws(PluginFailure) -> Handover.Outcome
    ) throws(PluginFailure) {
        let start = monotonicNow()
        var outcome = Handover.Outcome()
        var failure: PluginFailure?
        do throws(PluginFailure) { outcome = try body() } catch { failure = error }
        let record = SwapRecord(
            time: .now(), failure: failure, from: side(of: old), to: side(of: new), trigger: trigger,
            nanoseconds: monotonicNow() - start, gapNanoseconds: outcome.gap)
        entry.lastSwap = record
        if record.failure == nil { saveSwaps() }
        changed(entry.name)
        report(record, of: entry)
        if let failure { throw failure }
    }

    private func side(of instance: PluginInstance) -> SwapRecord.Side {
        SwapRecord.Side(library: instance.settings.library, version: instance.description?.version ?? "")
    }

    private func report(_ record: SwapRecord, of entry: PluginEntry) {
        var fields: JSONObject = [
            "plugin": .string(entry.name), "from": .string(record.from.library), "to": .string(record.to.library),
            "trigger": .string(record.trigger.rawValue), "milliseconds": JSON(record.nanoseconds / 1_000_000),
        ]
        if let failure = record.failure {
            fields["step"] = .string(failure.step.rawValue)
            fields["reason"] = .string(failure.message)
            log.warning("plugin \(entry.name) was not swapped: the one before stays in charge", fields)
        } else {
            fields["heldMicroseconds"] = JSON(record.gapNanoseconds / 1000)
            fields["generation"] = .integer(entry.current.generation)
            log.info("plugin \(entry.name) was swapped", fields)
        }
    }
}
