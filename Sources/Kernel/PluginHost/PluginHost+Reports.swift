import Objects
import PluginAPI

extension PluginHost {
    /// All plugins with their state and figures, as hostd.roles/1 `describe` promises.
    public func describe() -> JSON {
        var plugins = instances.map { report(of: $0) }
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

    private func report(of instance: PluginInstance) -> JSON {
        let description = instance.description
        let roles = (description?.provides ?? []).map { role -> JSON in
            guard let target = instance.targets[role] else { return ["id": .string(role)] }
            let isSelected = state.withLock { $0.bindings[role] }?.target === target
            return report(of: role, target, isSelected: isSelected)
        }
        return [
            "name": .string(instance.name), "version": .string(description?.version ?? ""),
            "path": .string(instance.path), "state": .string(instance.stateName),
            "reason": .string(instance.failure?.description ?? ""), "optional": .bool(instance.settings.isOptional),
            "description": .string(description?.summary ?? ""),
            "provides": .array((description?.provides ?? []).map { .string($0) }),
            "requires": .array((description?.requires ?? []).map { .string($0) }),
            "generation": .integer(instance.generation), "roles": .array(roles),
        ]
    }

    private func report(of role: String, _ target: RoleTarget, isSelected: Bool) -> JSON {
        let figures = target.figures()
        return [
            "id": .string(role), "selected": .bool(isSelected), "calls": JSON(figures.calls),
            "errors": JSON(figures.errors),
            "violations": JSON(figures.violations), "p50Nanoseconds": JSON(figures.p50Nanoseconds),
            "p99Nanoseconds": JSON(figures.p99Nanoseconds), "inside": JSON(target.calls + target.operations),
        ]
    }
}
