import Objects

extension HostConfiguration.PluginSettings {
    /// What decides how a generation is made: library, options, isolation and what belongs to it.
    public var json: JSON {
        var json: JSON = ["library": .string(library), "options": options.json]
        for (key, value) in isolation.report { json[key] = value }
        return json
    }

    /// These settings with some of them replaced, in the form of `json`.
    func applying(_ changes: JSON) throws(ConfigurationError) -> Self {
        var settings = self
        if let library = changes["library"].stringValue, !library.isEmpty { settings.library = library }
        if changes["options"].exists { settings.options = YAMLNode(changes["options"]) }
        guard IsolationSettings.keys.contains(where: { changes[$0].exists }) else { return settings }
        settings.isolation = try isolation(with: changes)
        return settings
    }

    private func isolation(with changes: JSON) throws(ConfigurationError) -> IsolationSettings {
        var merged = JSONObject()
        let mode = changes["isolation"].stringValue ?? isolation.mode.rawValue
        // What belongs to a process is of no use in hostd's own.
        let keys = mode == IsolationSettings.Mode.shared.rawValue ? [] : IsolationSettings.keys.dropFirst()
        merged["isolation"] = .string(mode)
        for key in keys { merged[key] = changes[key].exists ? changes[key] : isolation.report[key] }
        if merged["limits"]?["cpu"] == "" { merged["limits"]?.removeValue(forKey: "cpu") }
        return try IsolationSettings(
            try ConfigurationScope(
                file: keyPath, keyPath: "", node: YAMLNode(.object(merged)), allowed: IsolationSettings.keys))
    }
}
