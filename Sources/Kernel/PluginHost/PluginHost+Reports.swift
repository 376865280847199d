import Objects
import PluginAPI

extension PluginHost {
    /// All plugins with their state and figures, as hostd.plugins/1 `describe` promises; hostd.roles/1 promises less.
    public func describe() -> JSON {
        var plugins = entries.map { report(of: $0) }
        if let store = state.withLock({ $0.embeddedStore }) {
            plugins.insert(
                [
                    "name": "embedded", "version": .string(HostEnvironment.version), "path": "", "state": "active",
                    "reason": "", "optional": false, "description": "The embedded state store.",
                    "provides": [.string(HOSTD_STORE_1)], "requires": [], "generation": 1,
                    "roles": [report(of: HOSTD_STORE_1, store, isSelected: true)],
                ], at: 0)
        }
        return ["plugins": .array(plugins)]
    }

    /// Tells the watches of hostd.plugins/1 that something of a plugin but its counters has changed.
    func changed(_ plugin: String) { pluginWatchers.publish { [Self.message(plugin)] } }

    func watchPlugins(_ sink: @escaping hostd_sink, _ context: UnsafeMutableRawPointer?) throws(StoreError) -> UInt64 {
        try pluginWatchers.add(sink, context) {
            let embedded = state.withLock { $0.embeddedStore != nil } ? ["embedded"] : []
            return (embedded + entries.map(\.name)).map { Self.message($0) }
        }
    }

    private static func message(_ plugin: String) -> [UInt8] {
        let json: JSON = ["plugin": .string(plugin)]
        return json.serialized()
    }

    private func report(of entry: PluginEntry) -> JSON {
        let instance = entry.current
        let (description, settings) = (instance.description, instance.settings)
        let provided: [String] = description?.provides ?? []
        let roles: [JSON] = provided.map { role -> JSON in
            guard let target = instance.targets[role] else { return ["id": .string(role)] }
            let isSelected = state.withLock { $0.bindings[role] }?.target === target
            return report(of: role, target, isSelected: isSelected)
        }
        var json: JSON = [
            "name": .string(instance.name), "version": .string(description?.version ?? ""),
            "path": .string(instance.path),
            "state": .string(instance.isStandby && instance.failure == nil ? "standby" : instance.stateName),
            "reason": .string(instance.failure?.description ?? ""), "optional": .bool(settings.isOptional),
            "description": .string(description?.summary ?? ""),
            "provides": .array((description?.provides ?? []).map { .string($0) }),
            "requires": .array((description?.requires ?? []).map { .string($0) }),
            "generation": .integer(instance.generation), "library": .string(settings.library),
            "options": settings.options.json, "handover": .string((description?.handover ?? .overlap).rawValue),
            "forgotten": JSON(instance.forgotten),
            "startedAt": .string(instance.startedAt?.formatted() ?? ""), "restarts": JSON(entry.restarts),
            "roles": .array(roles),
        ]
        for (key, value) in settings.isolation.report { json[key] = value }
        switch entry.previous {
        case .generation(let settings, let version):
            json["previous"] = ["library": .string(settings.library), "version": .string(version)]
        case .plugin(let name): json["previous"] = ["plugin": .string(name)]
        case nil: break
        }
        if let swap = entry.lastSwap { json["lastSwap"] = swap.json }
        return json
    }

    private func report(of role: String, _ target: RoleTarget, isSelected: Bool) -> JSON {
        let figures = target.figures()
        return [
            "id": .string(role), "selected": .bool(isSelected), "calls": JSON(figures.calls),
            "errors": JSON(figures.errors),
            "violations": JSON(figures.violations), "slow": JSON(figures.slow),
            "p50Nanoseconds": JSON(figures.p50Nanoseconds),
            "p99Nanoseconds": JSON(figures.p99Nanoseconds), "inside": JSON(target.calls + target.operations),
        ]
    }
}
