import Objects
import PluginAPI

/// Taking a changed configuration into use. Everything here runs on the life-cycle thread.
extension PluginHost {
    /// What became of a changed configuration.
    public struct ReloadOutcome: Sendable {
        /// "plugins.scheduler: swapped".
        public var applied: [String] = []
        public var failed: [(plugin: String, reason: String)] = []
        /// Changes that wait: "settings.listen: …".
        public var atNextStart: [String] = []

        /// {applied, failed: [{plugin, reason}], atNextStart}
        public var json: JSON {
            [
                "applied": .array(applied.map { .string($0) }),
                "failed": .array(
                    failed.map { ["plugin": .string($0.plugin), "reason": .string($0.reason)] }),
                "atNextStart": .array(atNextStart.map { .string($0) }),
            ]
        }
    }

    /// Applies the differences between a configuration and the one in use, one after the other; what fails leaves its
    /// plugin as it was, and is tried again by the next call. Waits for the end. Any thread.
    public func reload(_ new: HostConfiguration) throws(PluginFailure) -> ReloadOutcome {
        try lifecycle.perform { [self] () throws(PluginFailure) in
            var outcome = ReloadOutcome()
            outcome.atNextStart = new.differencesForNextStart(from: configuration)
            let old = configuration
            state.withLock { state in
                var taken = new
                // These decided how everything was started.
                (taken.settings, taken.store) = (old.settings, old.store)
                state.configuration = taken
            }
            add(new, &outcome)
            change(new, &outcome)
            reorder(new)
            reselect(from: old, &outcome)
            remove(new, &outcome)
            saveSwaps()
            return outcome
        }
    }

    private func failed(_ entry: String, _ failure: PluginFailure, _ outcome: inout ReloadOutcome) {
        outcome.failed.append((entry, failure.description))
    }

    // MARK: New entries

    private func add(_ new: HostConfiguration, _ outcome: inout ReloadOutcome) {
        var added: [PluginEntry] = []
        for settings in new.plugins where entry(settings.name) == nil {
            let entry = PluginEntry(settings: settings, current: PluginInstance(settings: settings))
            entry.current.isStandby = settings.isStandby
            do throws(PluginFailure) {
                try open(entry.current)
                try checkOptions(of: entry.current)
                state.withLock { $0.entries.append(entry) }
                added.append(entry)
            } catch {
                discard(entry.current)
                failed(settings.name, error, &outcome)
            }
        }
        let starting = order(of: added.map(\.current).filter { !$0.isStandby })
        for instance in starting {
            do throws(PluginFailure) {
                try configure(instance)
                try activate(instance)
            } catch {
                instance.fail(error)
            }
        }
        for entry in added {
            guard let failure = entry.current.failure else {
                outcome.applied.append("plugins.\(entry.name): added")
                changed(entry.name)
                continue
            }
            state.withLock { $0.entries.removeAll { $0 === entry } }
            discard(entry.current)
            failed(entry.name, failure, &outcome)
        }
    }

    // MARK: Entries that changed

    private func change(_ new: HostConfiguration, _ outcome: inout ReloadOutcome) {
        for settings in new.plugins {
            guard let entry = entry(settings.name), !outcome.applied.contains("plugins.\(settings.name): added") else {
                continue
            }
            let file = entry.fileSettings
            if file.isOptional != settings.isOptional {
                entry.current.setOptional(settings.isOptional)
                outcome.applied.append("plugins.\(settings.name).optional: \(settings.isOptional)")
            }
            do throws(PluginFailure) {
                if file.json != settings.json {
                    try change(entry, to: settings)
                    outcome.applied.append("plugins.\(settings.name): swapped")
                }
                if file.isStandby != settings.isStandby, settings.isStandby != entry.current.isStandby {
                    outcome.atNextStart.append("plugins.\(settings.name).standby: \(settings.isStandby)")
                }
                entry.fileSettings = settings
            } catch {
                failed(settings.name, error, &outcome)
            }
        }
    }

    private func change(_ entry: PluginEntry, to settings: HostConfiguration.PluginSettings) throws(PluginFailure) {
        guard entry.current.isStandby else { return try swap(entry, to: settings, SwapOptions(trigger: .reload)) }
        let trial = PluginInstance(settings: settings)
        trial.isStandby = true
        do throws(PluginFailure) {
            try open(trial)
            try checkOptions(of: trial)
        } catch {
            discard(trial)
            throw error
        }
        let old = entry.current
        entry.replaceCurrent(by: trial)
        discard(old)
        changed(entry.name)
    }

    /// Brings the entries into the order of the file.
    private func reorder(_ new: HostConfiguration) {
        let names = new.plugins.map(\.name)
        state.withLock { state in
            let known = names.compactMap { name in state.entries.first { $0.name == name } }
            state.entries = known + state.entries.filter { !names.contains($0.name) }
        }
    }

    // MARK: Roles

    private func reselect(from old: HostConfiguration, _ outcome: inout ReloadOutcome) {
        let new = configuration.preferences
        for role in Set(new.keys).union(old.preferences.keys).sorted() where new[role] != old.preferences[role] {
            let before = selected(role)
            // The file counts again.
            state.withLock { $0.selections[role] = nil }
            select(role)
            outcome.applied.append("roles.\(role): \(list(new[role] ?? []))")
            guard let now = selected(role), now !== before, now.isActive else { continue }
            watchers.announce(changes(of: now, isActive: true).filter { $0.role == role })
        }
    }

    // MARK: Entries that are gone

    private func remove(_ new: HostConfiguration, _ outcome: inout ReloadOutcome) {
        for entry in entries where !new.plugins.contains(where: { $0.name == entry.name }) {
            do throws(PluginFailure) {
                try requireRoles(of: nil, replacing: entry.current)
                guard configuration.store.engine != entry.name else {
                    throw PluginFailure(.request, code: HOSTD_ERROR_WRONG_STATE, "it is the engine of the store")
                }
                state.withLock { state in
                    state.entries.removeAll { $0 === entry }
                    state.activated.removeAll { $0 == entry.name }
                    state.selections = state.selections.filter { $0.value != entry.name }
                }
                rebind(Set(entry.current.targets.keys), of: [entry.name])
                watchers.announce(changes(of: entry.current, isActive: false))
                retire(entry.current, of: entry)
                outcome.applied.append("plugins.\(entry.name): removed")
                changed(entry.name)
            } catch {
                failed(entry.name, error, &outcome)
            }
        }
    }
}
