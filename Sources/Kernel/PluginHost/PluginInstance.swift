import Objects
import PluginAPI
import Synchronization

/// One plugin of the configuration, from its file to its end.
///
///     unopened ─► opened ─► configured ─► active ⇄ inactive ─► destroyed
///         └──────────┴───────────┴──────────┴─────► failed ───────┘
final class PluginInstance: Sendable {
    /// Where a plugin stands. The cases carry what is alive there.
    enum State {
        case unopened
        case opened(any PluginImage)
        case configured(any PluginImage)
        case active(any PluginImage)
        case inactive(any PluginImage)
        case failed((any PluginImage)?, PluginFailure)
        case destroyed(PluginFailure?)

        var name: String {
            switch self {
            case .unopened: "unopened"
            case .opened: "opened"
            case .configured: "configured"
            case .active: "active"
            case .inactive: "inactive"
            case .failed: "failed"
            case .destroyed: "ended"
            }
        }
    }

    private struct Fields {
        var state = State.unopened
        var path = ""
        var description: PluginDescription?
        var schema = OptionSchema.none
        var options = JSON.object([:])
        var targets: [String: RoleTarget] = [:]
        var generation: Int64 = 0
    }

    let settings: HostConfiguration.PluginSettings
    private let fields = Mutex(Fields())

    init(settings: HostConfiguration.PluginSettings) { self.settings = settings }

    var name: String { settings.name }
    var description: PluginDescription? { fields.withLock { $0.description } }
    var path: String { fields.withLock { $0.path } }
    var generation: Int64 { fields.withLock { $0.generation } }
    var stateName: String { fields.withLock { $0.state.name } }
    var targets: [String: RoleTarget] { fields.withLock { $0.targets } }

    func provides(_ role: String) -> Bool { description?.provides.contains(role) ?? false }

    var failure: PluginFailure? {
        fields.withLock { fields in
            switch fields.state {
            case .failed(_, let failure): failure
            case .destroyed(let failure): failure
            case .unopened, .opened, .configured, .active, .inactive: nil
            }
        }
    }

    var isActive: Bool { fields.withLock { if case .active = $0.state { true } else { false } } }

    /// The image while the plugin can be asked for tables.
    var open: (any PluginImage)? {
        fields.withLock { fields in
            switch fields.state {
            case .opened(let plugin), .configured(let plugin), .active(let plugin), .inactive(let plugin): plugin
            case .unopened, .failed, .destroyed: nil
            }
        }
    }

    // MARK: Steps, on the life-cycle thread

    func fail(_ failure: PluginFailure) {
        fields.withLock { fields in
            switch fields.state {
            case .opened(let plugin), .configured(let plugin), .active(let plugin), .inactive(let plugin):
                fields.state = .failed(plugin, failure)
            case .unopened: fields.state = .failed(nil, failure)
            case .failed, .destroyed: break  // The first reason stays.
            }
        }
    }

    /// Finds, opens and describes.
    func openImage(
        _ search: PluginSearch, configurationFile: String, host: UnsafePointer<hostd_host>
    ) throws(PluginFailure) {
        let path = try search.resolve(settings.library, configurationFile: configurationFile)
        fields.withLock { $0.path = path }
        let plugin = try OpenPlugin(path: path, host: host)
        fields.withLock { $0.state = .opened(plugin) }
        let description = try plugin.describe()
        fields.withLock { $0.description = description }
        let schema = try plugin.schema()
        fields.withLock { $0.schema = schema }
    }

    /// Checks the options of the configuration and keeps them with their defaults.
    func checkOptions(file: String) throws(ConfigurationError) {
        let schema = fields.withLock { $0.schema }
        let options = try schema.check(settings.options, file: file, keyPath: "\(settings.keyPath).options")
        fields.withLock { $0.options = options }
    }

    /// Configures, and takes the tables of the roles that the plugin provides.
    func configure(settings: JSON, paths: JSON) throws(PluginFailure) {
        guard let plugin = open, let description else { return }
        let options = fields.withLock { $0.options }
        try plugin.configure(["options": options, "settings": settings, "paths": paths])
        var targets: [String: RoleTarget] = [:]
        for role in description.provides {
            let (table, descriptor) = try plugin.interface(role)
            targets[role] = RoleTarget(descriptor: descriptor, table: table)
        }
        fields.withLock { fields in
            fields.targets = targets
            fields.state = .configured(plugin)
        }
    }

    func activate() throws(PluginFailure) {
        guard let plugin = open else { return }
        try plugin.activate()
        fields.withLock { fields in
            fields.state = .active(plugin)
            fields.generation += 1
        }
    }

    /// Ends the plugin's work. Its roles are unbound already.
    func deactivate() throws(PluginFailure) {
        guard let plugin = open, isActive else { return }
        fields.withLock { $0.state = .inactive(plugin) }
        try plugin.deactivate()
    }

    /// Releases the plugin, unless calls or operations are still inside it.
    func destroy() throws(PluginFailure) {
        let (plugin, failure, targets) = fields.withLock {
            fields -> ((any PluginImage)?, PluginFailure?, [RoleTarget]) in
            switch fields.state {
            case .opened(let plugin), .configured(let plugin), .active(let plugin), .inactive(let plugin):
                (plugin, nil, Array(fields.targets.values))
            case .failed(let plugin, let failure): (plugin, failure, Array(fields.targets.values))
            case .unopened, .destroyed: (nil, nil, [])
            }
        }
        guard let plugin else { return }
        let (calls, operations) = targets.reduce((UInt32(0), UInt32(0))) { ($0.0 + $1.calls, $0.1 + $1.operations) }
        guard calls == 0, operations == 0 else {
            throw PluginFailure(
                .drain, code: HOSTD_ERROR_WRONG_STATE,
                "\(calls) calls and \(operations) operations are still inside the plugin: it is left as it is")
        }
        fields.withLock { $0.state = .destroyed(failure) }
        plugin.destroy()
    }
}
