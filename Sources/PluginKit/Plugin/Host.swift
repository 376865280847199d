import PluginAPI

/// The host as a plugin sees it: its services by name, and any other interface by id. Usable from any thread, from the
/// plugin's initialiser (log only) to its end.
public final class Host: @unchecked Sendable {
    // SAFETY: the table is immutable and the host promises that get_interface may be called from any thread.
    private let table: UnsafePointer<hostd_host>
    public let log: Log
    /// The plugin's own name, by which it is recorded as the one that writes; "" = not recorded.
    let name: String

    /// - Throws: when the host lacks hostd.log/1, which every host has.
    public init(_ table: UnsafePointer<hostd_host>, name: String = "") throws(PluginError) {
        self.table = table
        self.name = name
        guard let log = table.pointee.get_interface(table.pointee.`self`, HOSTD_LOG_1) else {
            throw .notSupported("the host does not offer \(HOSTD_LOG_1)")
        }
        self.log = Log(UnsafeRawPointer(log).assumingMemoryBound(to: hostd_log_1.self))
    }

    /// The table of a service or role, nil when neither host nor any plugin knows the id. Stays valid across swaps.
    public func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        table.pointee.get_interface(table.pointee.`self`, id)
    }

    /// As `interface`, as a pointer to its C type.
    /// - Throws: NOT_SUPPORTED naming the id, or naming the shortest table needed when the provider's is older.
    /// - Parameter least: bytes that the table must have, when fewer slots than this plugin knows are enough; nil = all.
    public func table<Table>(
        _ id: String, as type: Table.Type, least: Int? = nil
    ) throws(PluginError) -> UnsafePointer<Table> {
        guard let found = interface(id) else { throw .notSupported("no plugin and no host service provides \(id)") }
        return try Self.cast(found, id: id, as: type, least: least)
    }

    static func cast<Table>(
        _ found: UnsafePointer<hostd_interface>, id: String, as type: Table.Type, least: Int? = nil
    ) throws(PluginError) -> UnsafePointer<Table> {
        let least = least ?? MemoryLayout<Table>.size
        guard Int(found.pointee.struct_size) >= least else {
            throw .notSupported(
                "\(id): the table has \(found.pointee.struct_size) bytes, this plugin needs \(least)")
        }
        return UnsafeRawPointer(found).assumingMemoryBound(to: Table.self)
    }

    public func store() throws(PluginError) -> StoreClient {
        StoreClient(try table(HOSTD_STORE_1, as: hostd_store_1.self, least: StoreClient.leastSize))
    }
    public func api() throws(PluginError) -> APIClient { APIClient(try APIRoleClient(self)) }
    public func events() throws(PluginError) -> Topics { Topics(try table(HOSTD_EVENTS_1, as: hostd_events_1.self)) }
    public func timers() throws(PluginError) -> Timers { Timers(try table(HOSTD_TIMERS_1, as: hostd_timers_1.self)) }
    public func metrics() throws(PluginError) -> Metrics {
        Metrics(try table(HOSTD_METRICS_1, as: hostd_metrics_1.self))
    }
    public func roles() throws(PluginError) -> Roles { Roles(try table(HOSTD_ROLES_1, as: hostd_roles_1.self)) }
    public func environment() throws(PluginError) -> Environment {
        Environment(try table(HOSTD_ENVIRONMENT_1, as: hostd_environment_1.self))
    }
}
