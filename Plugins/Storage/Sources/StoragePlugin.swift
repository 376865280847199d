import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The storage plugin: dynamic local volumes for pods of this node.
public final class StoragePlugin: Plugin {
    public static let description = PluginDescription(
        name: "storage", version: "0.1.0", summary: "Volumes in directories of this node, provisioned on demand",
        provides: [HOSTD_VOLUME_1], handover: .exclusive,
        sharedOnly: "it mounts volumes where pods look for them, in hostd's own mount namespace")
    public static let optionsSchema = """
        {"type": "object", "additionalProperties": false, "properties": {
          "directory": {"type": "string", "description": "Where volumes lie; empty means the plugin's own directory.", "default": ""}
        }}
        """

    private struct State {
        var root = ""
        var node = ""
        var provider: LocalVolumes?
        var table: UInt?
    }
    private let host: Host
    private let state = Mutex(State())

    public init(host: Host) throws { self.host = host }

    public func configure(_ configuration: PluginConfiguration) throws {
        let chosen = configuration.options["directory"].stringValue ?? ""
        guard chosen.isEmpty || chosen.hasPrefix("/") else {
            throw PluginError.invalid("option directory is \"\(chosen)\": it must be an absolute path")
        }
        let root = chosen.isEmpty ? "\(configuration.pluginDirectory)/volumes" : chosen
        let node = configuration.settings["nodeName"].stringValue ?? ""
        let provider = try LocalVolumes(root: root, node: node)
        state.withLock { state in
            state.root = root
            state.node = node
            state.provider = provider
        }
    }

    public func activate() throws {}
    public func deactivate() throws {}

    public func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        guard id == HOSTD_VOLUME_1 else { return nil }
        return state.withLock { state -> UnsafePointer<hostd_interface>? in
            if state.table == nil, let provider = state.provider {
                state.table = UInt(bitPattern: RoleTable.volume(provider))
            }
            return state.table.flatMap { UnsafePointer(bitPattern: $0) }
        }
    }
}
