import Glibc
import Objects
import PluginAPI

/// hostd.roles/1 over a `PluginHost`.
final class RolesService: @unchecked Sendable {
    // SAFETY: written once; the host that it asks is Sendable.
    private let host: PluginHost
    private var storage: UnsafeMutablePointer<hostd_roles_1>?

    /// The service and the host live as long as the process.
    init(_ host: PluginHost) {
        self.host = host
        let table = UnsafeMutablePointer<hostd_roles_1>.allocate(capacity: 1)
        table.initialize(
            to: hostd_roles_1(
                interface: NativeTable.head(
                    hostd_roles_1.self, HOSTD_ROLES_1, HOSTD_ROLES_1_SLOTS, Unmanaged.passRetained(self).toOpaque()),
                describe: { this, json, _ in
                    json.pointee = hostd_buffer(owning: RolesService.of(this).host.describe().serialized())
                    return HOSTD_OK
                },
                providers: { this, role, roleSize, json, _ in
                    let names = RolesService.of(this).host.activeProviders(of: ForeignBytes.text(role, roleSize))
                    let answer: JSON = ["providers": .array(names.map { .string($0) })]
                    json.pointee = hostd_buffer(owning: answer.serialized())
                    return HOSTD_OK
                },
                watch: { this, sink, context, watch, report in
                    do throws(StoreError) {
                        watch.pointee = try RolesService.of(this).host.watchRoles(sink, context)
                        return HOSTD_OK
                    } catch {
                        return report.fail(error.code, error.message)
                    }
                },
                unwatch: { this, watch, _ in
                    RolesService.of(this).host.unwatchRoles(watch)
                    return HOSTD_OK
                },
                provider: { this, role, roleSize, plugin, pluginSize, address, error in
                    let (role, plugin) = (ForeignBytes.text(role, roleSize), ForeignBytes.text(plugin, pluginSize))
                    guard let table = RolesService.of(this).host.providerTable(of: role, plugin: plugin) else {
                        return error.fail(HOSTD_ERROR_NOT_FOUND, "no plugin \(plugin) provides \(role)")
                    }
                    address.pointee = UInt64(UInt(bitPattern: table))
                    return HOSTD_OK
                }))
        storage = table
    }

    private static func of(_ pointer: UnsafeMutableRawPointer?) -> RolesService {
        // SAFETY: `self` of the table is the service that made it, retained for ever.
        Unmanaged<RolesService>.fromOpaque(pointer!).takeUnretainedValue()
    }

    var table: UnsafePointer<hostd_interface>? {
        storage.map { UnsafeRawPointer($0).assumingMemoryBound(to: hostd_interface.self) }
    }
}
