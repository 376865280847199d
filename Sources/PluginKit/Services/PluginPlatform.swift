import Objects
import PluginAPI

/// The host's plugins and their replacement (hostd.plugins/1, a draft). Any thread.
public struct PluginPlatform: @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_plugins_1>

    /// Nil when the host does not offer the draft.
    public init?(_ host: Host) throws(PluginError) {
        guard host.interface(HOSTD_PLUGINS_1) != nil else { return nil }
        table = try host.table(HOSTD_PLUGINS_1, as: hostd_plugins_1.self)
    }

    /// Every plugin, in the form that the header calls Plugin.
    public func describe() throws -> [JSON] {
        try checkedBuffer { table.pointee.describe(table.pointee.interface.`self`, $0, $1) }.json()["plugins"]
            .arrayValue
    }

    /// Asks for a swap or a rollback; what became of it shows as `lastSwap` of the plugin.
    public func request(_ request: JSON) throws {
        let bytes = request.serialized()
        _ = try checkedBuffer { answer, error in
            lend(bytes) { table.pointee.request(table.pointee.interface.`self`, $0, $1, answer, error) }
        }
    }

    /// Hands over the name of each plugin, and again whenever something of it but its counters has changed.
    public func watch(_ handler: @escaping @Sendable (_ plugin: String) -> Void) throws(PluginError) -> Subscription {
        let table = table
        let address = UInt(bitPattern: table)
        return try SinkBox.subscribe(
            handler: { message in
                guard case .data(let bytes) = message, let json = try? JSON(parsing: bytes),
                    let name = json["plugin"].stringValue
                else { return }
                handler(name)
            },
            start: { context, handle, error in
                table.pointee.watch(table.pointee.interface.`self`, SinkBox.sink, context, handle, error)
            },
            stop: { handle in
                guard let table = UnsafePointer<hostd_plugins_1>(bitPattern: address) else { return }
                cancelQuietly { table.pointee.unwatch(table.pointee.interface.`self`, handle, $0) }
            })
    }
}
