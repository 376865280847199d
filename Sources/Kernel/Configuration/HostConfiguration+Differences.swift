import Objects

extension HostConfiguration {
    /// What changed, in words, one a change: "plugins.network.options: changed". A running hostd takes none of it live:
    /// each part of a configuration decides how its plugins were started.
    public func differences(from old: HostConfiguration) -> [String] {
        var changes: [String] = []
        for (key, value) in settings.json.objectValue ?? [:] where value != old.settings.json[key] {
            let before = old.settings.json[key].stringValue ?? ""
            changes.append("settings.\(key): \(before) becomes \(value.stringValue ?? "")")
        }
        if store.engine != old.store.engine {
            changes.append("store.engine: \(old.store.engine) becomes \(store.engine)")
        }
        if store.options != old.store.options { changes.append("store.options: changed") }
        changes += pluginDifferences(from: old)
        for role in Set(preferences.keys).union(old.preferences.keys).sorted()
        where preferences[role] != old.preferences[role] {
            changes.append("roles.\(role): changed")
        }
        return changes
    }

    private func pluginDifferences(from old: HostConfiguration) -> [String] {
        var changes = old.plugins.filter { plugin in !plugins.contains { $0.name == plugin.name } }.map {
            "plugins.\($0.name): removed"
        }
        for plugin in plugins {
            guard let before = old.plugins.first(where: { $0.name == plugin.name }) else {
                changes.append("plugins.\(plugin.name): added")
                continue
            }
            if plugin.library != before.library { changes.append("plugins.\(plugin.name).library: \(plugin.library)") }
            if plugin.isOptional != before.isOptional {
                changes.append("plugins.\(plugin.name).optional: \(plugin.isOptional)")
            }
            if plugin.options.json != before.options.json { changes.append("plugins.\(plugin.name).options: changed") }
        }
        if changes.isEmpty, plugins.map(\.name) != old.plugins.map(\.name) { changes.append("plugins: another order") }
        return changes
    }
}
