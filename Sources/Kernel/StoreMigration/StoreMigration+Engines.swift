import Objects
import PluginAPI

extension StoreMigration {
    /// Moves the state of a data directory from one engine of its configuration to another.
    ///
    /// - Parameters:
    ///   - from, to: "embedded", or the name of a plugin of the configuration that provides hostd.store/1.
    ///   - directory: the data directory, locked by the caller.
    public static func run(
        configuration: HostConfiguration, directory: String, from: String, to: String, search: PluginSearch,
        libexec: String,
        log: Log
    ) throws(StoreError) -> Report {
        guard from != to else { throw .invalid("the state is to be moved from \(from) to \(to): name two engines") }
        let place = Place(
            configuration: configuration, directory: directory, search: search, libexec: libexec, log: log)
        if to == "embedded" {
            return try place.with(engine: from) { source throws(StoreError) in
                try StoreMigration(from: source).copy(
                    intoDirectory: "\(directory)/store", encryption: configuration.store.encryption)
            }
        }
        return try place.with(engine: from) { source throws(StoreError) in
            try place.with(engine: to) { target throws(StoreError) in
                try StoreMigration(from: source).copy(into: target)
            }
        }
    }

    /// Where engines are opened from.
    private struct Place {
        let configuration: HostConfiguration
        let directory: String
        let search: PluginSearch
        let libexec: String
        let log: Log

        func with<Result>(
            engine: String, _ body: (UnsafePointer<hostd_interface>) throws(StoreError) -> Result
        ) throws(StoreError) -> Result {
            if engine == "embedded" {
                let store = try StateStore(directory: "\(directory)/store", options: configuration.store.engineOptions)
                defer { store.close() }
                return try body(store.makeInterface())
            }
            return try withPlugin(engine, body)
        }

        /// Runs a hostd that has nothing but this plugin.
        private func withPlugin<Result>(
            _ name: String, _ body: (UnsafePointer<hostd_interface>) throws(StoreError) -> Result
        ) throws(StoreError) -> Result {
            var alone = configuration
            alone.plugins = configuration.plugins.filter { $0.name == name }
            alone.preferences = [:]
            alone.store = HostConfiguration.StoreSettings(engine: name, options: [:])
            guard !alone.plugins.isEmpty else {
                throw .invalid(
                    "\(configuration.file) has no plugin named \(name); there are "
                        + list(["embedded"] + configuration.plugins.map(\.name)))
            }
            let services = try KernelServices(directory: directory, store: alone.store, log: log)
            defer { services.close() }
            let host = PluginHost(configuration: alone, search: search, log: log)
            host.open()
            defer { host.stop() }
            if let mistake = (host.preferenceMistakes() + host.optionMistakes()).first {
                throw .invalid("\(mistake)")
            }
            let environment = HostEnvironment(
                dataDirectory: directory, listen: alone.settings.listen, stopWorkloads: false, onStop: { _, _ in })
            do throws(PluginHost.StartFailure) {
                try host.start(
                    services: services.forPlugins, environment: environment,
                    paths: PluginHost.Paths(data: directory, libexec: libexec))
            } catch {
                throw StoreError(HOSTD_ERROR_UNAVAILABLE, "\(error)")
            }
            guard let table = host.binding(of: HOSTD_STORE_1)?.table else {
                throw .invalid("the plugin \(name) provides no \(HOSTD_STORE_1)")
            }
            return try body(table)
        }
    }
}
