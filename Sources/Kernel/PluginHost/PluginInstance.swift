import Objects
import PluginAPI
import Synchronization

/// One generation of a plugin, from its file to its end. `PluginEntry` has one in charge, and for a while two.
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
        var settings: HostConfiguration.PluginSettings
        var state = State.unopened
        var path = ""
        var description: PluginDescription?
        var schema = OptionSchema.none
        var options = JSON.object([:])
        var targets: [String: RoleTarget] = [:]
        var generation: Int64 = 0
        var startedAt: Timestamp?
        var isHeld = false
        var isStandby = false
        var context: HostContext?
        var forgotten: UInt64 = 0
    }

    let name: String
    private let fields: Mutex<Fields>

    init(settings: HostConfiguration.PluginSettings) {
        name = settings.name
        fields = Mutex(Fields(settings: settings))
    }

    var settings: HostConfiguration.PluginSettings { fields.withLock { $0.settings } }
    /// What it gets from the host.
    var context: HostContext? {
        get { fields.withLock { $0.context } }
        set { fields.withLock { $0.context = newValue } }
    }
    /// Things that it had begun and not ended when it was deactivated.
    var forgotten: UInt64 { fields.withLock { $0.forgotten } }
    func countForgotten(_ count: Int) { fields.withLock { $0.forgotten += UInt64(count) } }
    func setOptional(_ isOptional: Bool) { fields.withLock { $0.settings.isOptional = isOptional } }
    /// Before the options are checked.
    func setOptions(_ options: YAMLNode) { fields.withLock { $0.settings.options = options } }
    var description: PluginDescription? { fields.withLock { $0.description } }
    var path: String { fields.withLock { $0.path } }
    /// Number of the activation, counted over all generations of the entry; 0 before the first.
    var generation: Int64 { fields.withLock { $0.generation } }
    var startedAt: Timestamp? { fields.withLock { $0.startedAt } }
    /// Options with their defaults.
    var options: JSON { fields.withLock { $0.options } }
    /// Opened and checked, to be activated by a swap only.
    var isStandby: Bool {
        get { fields.withLock { $0.isStandby } }
        set { fields.withLock { $0.isStandby = newValue } }
    }
    /// New calls to it wait: a swap is under way.
    var isHeld: Bool {
        get { fields.withLock { $0.isHeld } }
        set { fields.withLock { $0.isHeld = newValue } }
    }
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

    /// The image, also after a failure.
    var image: (any PluginImage)? {
        fields.withLock { fields in
            switch fields.state {
            case .opened(let plugin), .configured(let plugin), .active(let plugin), .inactive(let plugin): plugin
            case .failed(let plugin, _): plugin
            case .unopened, .destroyed: nil
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

    /// Takes the opened image, and what it says of itself.
    func adopt(_ plugin: any PluginImage) throws(PluginFailure) {
        fields.withLock { $0.state = .opened(plugin) }
        let description = try plugin.describe()
        fields.withLock { $0.description = description }
        let schema = try plugin.schema()
        fields.withLock { $0.schema = schema }
    }

    /// Where the file was found, before it is opened.
    func setPath(_ path: String) { fields.withLock { $0.path = path } }

    /// Checks the options of the configuration and keeps them with their defaults.
    func checkOptions(file: String) throws(ConfigurationError) {
        let (schema, settings) = fields.withLock { ($0.schema, $0.settings) }
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
            let target = RoleTarget(descriptor: descriptor, table: table)
            if let costs = description.costs[role] ?? RoleCatalog.costs[role].flatMap({ try? SlotCosts(parsing: $0) }) {
                target.setCosts(costs, owner: name)
            }
            targets[role] = target
        }
        fields.withLock { fields in
            fields.targets = targets
            fields.state = .configured(plugin)
        }
    }

    func activate(generation: Int64) throws(PluginFailure) {
        guard let plugin = open else { return }
        try plugin.activate()
        fields.withLock { fields in
            fields.state = .active(plugin)
            fields.generation = generation
            fields.startedAt = .now()
        }
    }

    /// Ends the plugin's work. Its roles are unbound or held already.
    func deactivate() throws(PluginFailure) {
        guard let plugin = open, isActive else { return }
        fields.withLock { $0.state = .inactive(plugin) }
        try plugin.deactivate()
    }

    /// The table of hostd.state/1, if the plugin offers it.
    var stateTable: UnsafePointer<hostd_state_1>? {
        get throws(PluginFailure) {
            guard provides(HOSTD_STATE_1), let plugin = open else { return nil }
            let (table, _) = try plugin.interface(HOSTD_STATE_1)
            return UnsafeRawPointer(table).assumingMemoryBound(to: hostd_state_1.self)
        }
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
        let context = fields.withLock { fields -> HostContext? in
            fields.state = .destroyed(failure)
            defer { fields.context = nil }
            return fields.context
        }
        plugin.destroy()
        context?.release()
    }
}
