import Objects

extension PluginHost {
    /// Entries as they run now: what the configuration says, or what a swap of earlier put in its place.
    static func entries(of configuration: HostConfiguration, _ swaps: SwapStore, _ log: Log) -> [PluginEntry] {
        if let damage = swaps.damage {
            log.warning("the swaps of earlier are left out: \(swaps.file) cannot be read", ["reason": .string(damage)])
        }
        return configuration.plugins.map { settings in
            guard let kept = swaps.plugins[settings.name] else { return entry(settings, isStandby: settings.isStandby) }
            guard kept.fingerprint == SwapStore.fingerprint(settings.json),
                let present = try? settings.applying(kept.settings)
            else {
                log.info(
                    "the configuration of plugin \(settings.name) has changed and counts; a swap of earlier is forgotten",
                    ["plugin": .string(settings.name), "library": kept.settings["library"]])
                return entry(settings, isStandby: settings.isStandby)
            }
            let entry = PluginEntry(settings: settings, current: PluginInstance(settings: present))
            entry.current.isStandby = kept.isStandby
            entry.previous = kept.previous.flatMap { previous(of: settings, $0) }
            return entry
        }
    }

    private static func entry(_ settings: HostConfiguration.PluginSettings, isStandby: Bool) -> PluginEntry {
        let entry = PluginEntry(settings: settings, current: PluginInstance(settings: settings))
        entry.current.isStandby = isStandby
        return entry
    }

    private static func previous(of settings: HostConfiguration.PluginSettings, _ json: JSON) -> PluginEntry.Previous? {
        if let name = json["plugin"].stringValue { return .plugin(name) }
        guard let settings = try? settings.applying(json["settings"]) else { return nil }
        return .generation(settings, version: json["version"].stringValue ?? "")
    }

    /// Selections that still count.
    static func selections(of configuration: HostConfiguration, _ swaps: SwapStore) -> [String: String] {
        swaps.selections.filter { role, selection in
            selection.fingerprint == fingerprint(of: role, configuration)
                && configuration.plugins.contains { $0.name == selection.plugin }
        }.mapValues(\.plugin)
    }

    private static func fingerprint(of role: String, _ configuration: HostConfiguration) -> String {
        SwapStore.fingerprint(.array((configuration.preferences[role] ?? []).map { .string($0) }))
    }

    /// Writes down what differs from the configuration.
    func saveSwaps() {
        guard var swaps = state.withLock({ $0.swaps }) else { return }
        let configuration = configuration
        (swaps.plugins, swaps.selections, swaps.damage) = ([:], [:], nil)
        for entry in entries {
            let (file, present) = (entry.fileSettings, entry.current.settings)
            let isStandby = entry.current.isStandby
            guard file.json != present.json || isStandby != file.isStandby || entry.previous != nil else { continue }
            swaps.plugins[entry.name] = .init(
                fingerprint: SwapStore.fingerprint(file.json), settings: present.json, previous: json(entry.previous),
                isStandby: isStandby)
        }
        for (role, plugin) in state.withLock({ $0.selections }) {
            swaps.selections[role] = .init(plugin: plugin, fingerprint: Self.fingerprint(of: role, configuration))
        }
        if let reason = swaps.write() {
            log.warning("a swap will not outlive hostd", ["reason": .string(reason)])
        }
    }

    private func json(_ previous: PluginEntry.Previous?) -> JSON? {
        switch previous {
        case .generation(let settings, let version): ["settings": settings.json, "version": .string(version)]
        case .plugin(let name): ["plugin": .string(name)]
        case nil: nil
        }
    }
}
