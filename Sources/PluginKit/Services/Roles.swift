import Objects
import PluginAPI

/// Who provides what (hostd.roles/1). Any thread.
public struct Roles: @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_roles_1>

    init(_ table: UnsafePointer<hostd_roles_1>) { self.table = table }

    /// A change of one role's providers.
    public struct Change: Sendable {
        public let role: String
        public let plugin: String
        public let isActive: Bool
        public let generation: Int64
    }

    /// All plugins with their state and the figures of their roles.
    public func describe() throws -> JSON {
        try checkedBuffer { table.pointee.describe(table.pointee.interface.`self`, $0, $1) }.json()
    }

    /// Names of the active providers of a role, in order of preference.
    public func providers(of role: String) throws -> [String] {
        let buffer = try checkedBuffer { out, error in
            lend(role) { table.pointee.providers(table.pointee.interface.`self`, $0, $1, out, error) }
        }
        return try buffer.json()["providers"].arrayValue.compactMap(\.stringValue)
    }

    /// The table of one named provider of a role that several may provide.
    public func provider<Table>(
        of role: String, plugin: String, as type: Table.Type
    ) throws(PluginError) -> UnsafePointer<Table> {
        var address: UInt64 = 0
        try checked { error in
            lend(role) { roleData, roleSize in
                lend(plugin) { pluginData, pluginSize in
                    table.pointee.provider(
                        table.pointee.interface.`self`, roleData, roleSize, pluginData, pluginSize, &address, error)
                }
            }
        }
        guard let found = UnsafePointer<hostd_interface>(bitPattern: UInt(address)) else {
            throw .notFound("plugin \(plugin) provides no \(role)")
        }
        return try Host.cast(found, id: role, as: type)
    }

    /// Reports every active provider now, and each change from then on.
    public func watch(_ handler: @escaping @Sendable (Change) -> Void) throws(PluginError) -> Subscription {
        let table = table
        let address = UInt(bitPattern: table)
        return try SinkBox.subscribe(
            handler: { message in
                guard case .data(let bytes) = message, let json = try? JSON(parsing: bytes) else { return }
                handler(
                    Change(
                        role: json["role"].stringValue ?? "", plugin: json["plugin"].stringValue ?? "",
                        isActive: json["state"].stringValue == "active",
                        generation: json["generation"].integerValue ?? 0))
            },
            start: { context, handle, error in
                table.pointee.watch(table.pointee.interface.`self`, SinkBox.sink, context, handle, error)
            },
            stop: { handle in
                guard let table = UnsafePointer<hostd_roles_1>(bitPattern: address) else { return }
                cancelQuietly { table.pointee.unwatch(table.pointee.interface.`self`, handle, $0) }
            })
    }
}
