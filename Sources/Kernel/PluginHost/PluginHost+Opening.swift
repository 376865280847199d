import Objects
import PluginAPI

extension PluginHost {
    /// Opens and describes every plugin. Failures stay with their plugins.
    public func open() {
        for entry in entries {
            do throws(PluginFailure) { try open(entry.current) } catch { record(error, of: entry.current) }
        }
    }

    /// Finds, opens and describes one generation.
    func open(_ instance: PluginInstance) throws(PluginFailure) {
        let context = HostContext(name: instance.name, log: log) { [unowned self] id in self.interface(id) }
        try steps.during(.open, of: instance.name) { () throws(PluginFailure) in
            let path = try search.resolve(instance.settings.library, configurationFile: configuration.file)
            instance.setPath(path)
            try instance.adopt(try openImage(path, instance.settings, context))
        }
        log.debug("opened a plugin", ["plugin": .string(instance.name), "path": .string(instance.path)])
    }

    /// Opens an image where its settings want it.
    private func openImage(
        _ path: String, _ settings: HostConfiguration.PluginSettings, _ context: HostContext
    ) throws(PluginFailure) -> any PluginImage {
        try OpenPlugin(path: path, host: UnsafePointer(context.host))
    }

    /// Checks the options of every plugin that could be opened: all mistakes, in the order of the file.
    public func optionMistakes() -> [ConfigurationError] {
        instances.filter { $0.open != nil }.compactMap { instance -> ConfigurationError? in
            do throws(ConfigurationError) {
                try instance.checkOptions(file: configuration.file)
                return nil
            } catch {
                return error
            }
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
