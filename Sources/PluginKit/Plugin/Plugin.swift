import Objects
import PluginAPI

/// What a plugin says of itself before it is configured.
public struct PluginDescription: Sendable {
    public var name: String
    public var version: String
    public var summary: String
    /// Ids of the roles that it provides, such as "hostd.scheduler/1".
    public var provides: [String]
    /// Ids of roles and services without which it cannot work; they decide the order of activation.
    public var requires: [String]
    /// Ids of roles that it uses when they are there.
    public var optional: [String]
    public var handover: Handover
    /// By role, how long calls of its slots may take where that differs from the role's header: "attach:500ms;check:1s".
    public var costs: [String: String]
    /// What keeps the plugin in the host's own process: the clause that follows "because" in a sentence without a full stop.
    /// With it `isolation: process` is refused; "" when nothing does.
    public var sharedOnly: String

    /// How the next generation takes over in a swap.
    public enum Handover: String, Sendable {
        /// It is activated beside this one.
        case overlap
        /// This one is deactivated first: there is something that only one can have, such as a port.
        case exclusive
    }

    public init(
        name: String, version: String, summary: String, provides: [String] = [], requires: [String] = [],
        optional: [String] = [], handover: Handover = .overlap, costs: [String: String] = [:],
        sharedOnly: String = ""
    ) {
        self.name = name
        self.version = version
        self.summary = summary
        self.provides = provides
        self.requires = requires
        self.optional = optional
        self.handover = handover
        self.costs = costs
        self.sharedOnly = sharedOnly
    }

    var json: JSON {
        var json: JSONObject = [
            "name": .string(name), "version": .string(version), "description": .string(summary),
            "provides": .array(provides.map { .string($0) }), "requires": .array(requires.map { .string($0) }),
            "optional": .array(optional.map { .string($0) }), "handover": .string(handover.rawValue),
        ]
        if !costs.isEmpty {
            json["costs"] = .object(JSONObject(costs.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
        }
        if !sharedOnly.isEmpty { json["sharedOnly"] = .string(sharedOnly) }
        return .object(json)
    }
}

/// What `configure` gets: the plugin's own options, checked against its schema and with defaults filled in, the
/// settings that all plugins share, and directories (absolute, existing).
public struct PluginConfiguration: Sendable {
    public let options: JSON
    public let settings: JSON
    /// The host's data directory.
    public let dataDirectory: String
    /// This plugin's own directory below it.
    public let pluginDirectory: String
    /// Where helper programs of the installation lie.
    public let libexecDirectory: String

    public init(
        options: JSON = [:], settings: JSON = [:], dataDirectory: String, pluginDirectory: String,
        libexecDirectory: String
    ) {
        self.options = options
        self.settings = settings
        self.dataDirectory = dataDirectory
        self.pluginDirectory = pluginDirectory
        self.libexecDirectory = libexecDirectory
    }

    init(envelope: JSON) {
        let paths = envelope["paths"]
        self.init(
            options: envelope["options"], settings: envelope["settings"],
            dataDirectory: paths["data"].stringValue ?? "", pluginDirectory: paths["plugin"].stringValue ?? "",
            libexecDirectory: paths["libexec"].stringValue ?? "")
    }
}

/// A plugin written in Swift. The host calls the life cycle from one thread at a time:
/// init → configure → activate ⇄ deactivate → deinit. What is thrown is shown to the operator as the reason.
public protocol Plugin: AnyObject, Sendable {
    static var description: PluginDescription { get }
    /// JSON Schema of the options; "" when it takes none.
    static var optionsSchema: String { get }
    init(host: Host) throws
    /// Validates and keeps; starts nothing.
    func configure(_ configuration: PluginConfiguration) throws
    /// Starts working. The roles that it requires are active.
    func activate() throws
    /// Ends all watches, timers, queues, operations and threads before it returns.
    func deactivate() throws
    /// The table of a provided role, made once by `RoleTable`; nil for any other id.
    func interface(_ id: String) -> UnsafePointer<hostd_interface>?
}
