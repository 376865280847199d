import Objects
import PluginAPI
import Synchronization

/// Connects a Swift plugin to the C entry function. In the plugin's entry target:
///
///     @c(hostd_plugin_entry)
///     public func entry(
///         _ host: UnsafePointer<hostd_host>, _ plugin: UnsafeMutablePointer<hostd_plugin>,
///         _ error: UnsafeMutablePointer<hostd_error>
///     ) -> Int32 { PluginEntry.enter(MyPlugin.self, host, plugin, error) }
public enum PluginEntry {
    public static func enter<P: Plugin>(
        _ type: P.Type, _ host: UnsafePointer<hostd_host>, _ plugin: UnsafeMutablePointer<hostd_plugin>,
        _ error: UnsafeMutablePointer<hostd_error>
    ) -> Int32 {
        answering(error) {
            let offered = host.pointee
            guard offered.abi_minimum <= UInt32(HOSTD_ABI_VERSION), UInt32(HOSTD_ABI_VERSION) <= offered.abi_maximum
            else {
                throw PluginError(
                    code: HOSTD_ERROR_VERSION,
                    message: "plugin \(P.description.name) speaks ABI \(HOSTD_ABI_VERSION), the host offers "
                        + "\(offered.abi_minimum) to \(offered.abi_maximum)")
            }
            let instance = PluginInstance(type: type, plugin: try P(host: try Host(host, name: P.description.name)))
            fill(plugin, with: instance)
        }
    }

    private static func fill(_ plugin: UnsafeMutablePointer<hostd_plugin>, with instance: PluginInstance) {
        plugin.pointee.struct_size = UInt32(MemoryLayout<hostd_plugin>.size)
        plugin.pointee.abi_version = UInt32(HOSTD_ABI_VERSION)
        plugin.pointee.`self` = Unmanaged.passRetained(instance).toOpaque()
        plugin.pointee.describe = { this, description, error in
            answering(error) { description.pointee = hostd_buffer(copying: PluginInstance.of(this).description.json) }
        }
        plugin.pointee.schema = { this, schema, error in
            answering(error) { schema.pointee = hostd_buffer(copying: PluginInstance.of(this).optionsSchema) }
        }
        plugin.pointee.configure = { this, data, size, error in
            answering(error) {
                let envelope = try parseRequest(borrowedBytes(data, size))
                try PluginInstance.of(this).configure(PluginConfiguration(envelope: envelope))
            }
        }
        plugin.pointee.activate = { this, error in answering(error) { try PluginInstance.of(this).activate() } }
        plugin.pointee.deactivate = { this, error in answering(error) { try PluginInstance.of(this).deactivate() } }
        plugin.pointee.destroy = { this in
            guard let this else { return }
            PluginInstance.of(this).releaseTables()
            Unmanaged<PluginInstance>.fromOpaque(this).release()
        }
        plugin.pointee.get_interface = { this, id in
            PluginInstance.of(this).interface(String(cString: id))
        }
    }
}

/// What `self` of the C table points to. Its steps are called one at a time; one that comes out of order is refused.
private final class PluginInstance {
    private enum Stage { case entered, configured, active }

    let plugin: any Plugin
    let description: PluginDescription
    let optionsSchema: String
    private var stage = Stage.entered
    /// Addresses of the tables that the host has.
    private let tables = Mutex<Set<UInt>>([])

    init<P: Plugin>(type: P.Type, plugin: P) {
        self.plugin = plugin
        description = P.description
        optionsSchema = P.optionsSchema
    }

    func configure(_ configuration: PluginConfiguration) throws {
        guard stage != .active else { throw PluginError.wrongState("the plugin is active: deactivate it first") }
        try plugin.configure(configuration)
        stage = .configured
    }

    func activate() throws {
        switch stage {
        case .entered: throw PluginError.wrongState("the plugin is not configured")
        case .active: throw PluginError.wrongState("the plugin is active already")
        case .configured: try plugin.activate()
        }
        stage = .active
    }

    /// Nothing to do where nothing was activated.
    func deactivate() throws {
        guard stage == .active else { return }
        stage = .configured
        try plugin.deactivate()
    }

    /// Any thread.
    func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        guard let table = plugin.interface(id) else { return nil }
        tables.withLock { _ = $0.insert(UInt(bitPattern: table)) }
        return table
    }

    /// Tables hold their providers, and those often the plugin: without this none of them would ever go.
    func releaseTables() {
        for address in tables.withLock({ $0 }) {
            if let table = UnsafePointer<hostd_interface>(bitPattern: address) { RoleTable.release(table) }
        }
    }

    static func of(_ pointer: UnsafeMutableRawPointer?) -> PluginInstance {
        // SAFETY: the host hands back the `self` that `fill` stored, until destroy; a null here is a broken host.
        Unmanaged<PluginInstance>.fromOpaque(pointer!).takeUnretainedValue()
    }
}
