import Objects

extension HostConfiguration {
    /// What changed in the parts that a running hostd does not take: "settings.listen: … becomes …".
    public func differencesForNextStart(from old: HostConfiguration) -> [String] {
        var changes: [String] = []
        for (key, value) in settings.json.objectValue ?? [:] where value != old.settings.json[key] {
            let before = old.settings.json[key].stringValue ?? ""
            changes.append("settings.\(key): \(before) becomes \(value.stringValue ?? "")")
        }
        if store.engine != old.store.engine {
            changes.append("store.engine: \(old.store.engine) becomes \(store.engine)")
        }
        if store.options != old.store.options { changes.append("store.options: changed") }
        if store.history != old.store.history { changes.append("store.history: changed") }
        if store.encryption != old.store.encryption { changes.append("store.encryption: changed") }
        return changes
    }
}
