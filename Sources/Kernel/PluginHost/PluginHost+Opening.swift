import Objects
import PluginAPI

extension PluginHost {
    /// Opens and describes every plugin. Failures stay with their plugins.
    public func open() {
        probeAll(entries.map(\.current.settings))
        for entry in entries {
            do throws(PluginFailure) { try open(entry.current) } catch {
                if !fallBack(entry, after: error) { record(error, of: entry.current) }
            }
        }
    }

    /// What a swap of earlier put in place may be gone or broken: then the configuration counts again. False when it
    /// was what counted already, or fails as well.
    private func fallBack(_ entry: PluginEntry, after failure: PluginFailure) -> Bool {
        let settings = entry.fileSettings
        guard settings.json != entry.current.settings.json else { return false }
        log.warning(
            "a swap of earlier cannot be repeated; the configuration counts",
            ["plugin": .string(entry.name), "reason": .string(failure.description)])
        let instance = PluginInstance(settings: settings)
        instance.isStandby = entry.current.isStandby
        discard(entry.current)
        entry.replaceCurrent(by: instance)
        do throws(PluginFailure) { try open(instance) } catch { record(error, of: instance) }
        return true
    }

    /// Finds, opens and describes one generation.
    func open(_ instance: PluginInstance) throws(PluginFailure) {
        let name = instance.name
        let context = HostContext(name: name, log: log) { [unowned self] id in
            drafts.note(id, askedForBy: name, log: log)
            return interface(id)
        }
        instance.context = context
        try steps.during(.open, of: instance.name) { () throws(PluginFailure) in
            let path = try search.resolve(instance.settings.library, configurationFile: configuration.file)
            instance.setPath(path)
            try instance.adopt(try openImage(path, instance.settings, context))
            try checkIsolation(instance)
        }
        if !state.withLock({ $0.paths.data.isEmpty }) { probe.save() }
        log.debug("opened a plugin", ["plugin": .string(instance.name), "path": .string(instance.path)])
    }

    /// Refuses isolation to a plugin that says that it cannot work so, before it is configured.
    private func checkIsolation(_ instance: PluginInstance) throws(PluginFailure) {
        guard instance.settings.isolation.mode == .process, let reason = instance.description?.sharedOnly,
            !reason.isEmpty
        else { return }
        throw PluginFailure(
            .describe,
            "the plugin \(instance.name) cannot run in a process of its own: \(reason); "
                + "take `isolation: process` out of its entry")
    }

    /// Opens an image where its settings want it.
    private func openImage(
        _ path: String, _ settings: HostConfiguration.PluginSettings, _ context: HostContext
    ) throws(PluginFailure) -> any PluginImage {
        guard settings.isolation.mode == .shared else { return try openIsolated(path, settings, context) }
        // The loader of this process knows names; that of a new process knows none.
        let data = state.withLock { $0.paths.data }
        let file = try ImageCopies.path(
            for: path, directory: data.isEmpty ? nil : "\(data)/libraries/\(settings.name)")
        if let failure = probe.failure(of: file) { throw failure }
        return try OpenPlugin(path: file, host: UnsafePointer(context.host))
    }

    /// Probes at once what is to be opened in this process. What fails is remembered until it is opened.
    private func probeAll(_ settings: [HostConfiguration.PluginSettings]) {
        let file = configuration.file
        let paths = settings.filter { $0.isolation.mode == .shared }.compactMap { settings in
            try? search.resolve(settings.library, configurationFile: file)  // Opening it says why.
        }
        probe.check(paths)
    }

    /// Checks the options of every plugin that could be opened: all mistakes, in the order of the file.
    public func optionMistakes() -> [ConfigurationError] {
        entries.filter { $0.current.open != nil }.compactMap { entry -> ConfigurationError? in
            guard let mistake = mistake(of: entry.current) else { return nil }
            guard fallBack(entry, after: PluginFailure(.options, mistake.message)) else { return mistake }
            return entry.current.open == nil ? nil : self.mistake(of: entry.current)
        }
    }

    private func mistake(of instance: PluginInstance) -> ConfigurationError? {
        do throws(ConfigurationError) {
            try instance.checkOptions(file: configuration.file)
            return nil
        } catch {
            return error
        }
    }

    /// Checks that plugins which `roles:` prefers for a role provide it, and that the store's plugin provides the store.
    public func preferenceMistakes() -> [ConfigurationError] {
        var wanted = configuration.preferences
        if configuration.store.engine != "embedded" {
            wanted[HOSTD_STORE_1, default: []].append(configuration.store.engine)
        }
        return wanted.sorted { $0.key < $1.key }.flatMap { role, names in
            names.compactMap { name -> ConfigurationError? in
                guard let description = instance(name)?.description, !description.provides.contains(role) else {
                    return nil
                }
                return ConfigurationError(
                    file: configuration.file, mark: .none, keyPath: "roles.\(role)",
                    message: "the plugin \(name) does not provide this role; it provides \(list(description.provides))")
            }
        }
    }
}
