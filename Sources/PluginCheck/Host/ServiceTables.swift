import Glibc
import Kernel
import PluginAPI

/// The small host services that the kernel makes for a whole host: here they tell of the check.
enum EnvironmentTable {
    /// Lives as long as the process.
    static func make(_ directory: String) -> UnsafePointer<hostd_interface> {
        let description: JSON = [
            "version": "0.1.0", "startedAt": "2026-01-01T00:00:00Z", "processID": .integer(Int64(getpid())),
            "dataDirectory": .string(directory), "listen": "127.0.0.1:6443", "stopWorkloads": true,
        ]
        let table = UnsafeMutablePointer<hostd_environment_1>.allocate(capacity: 1)
        let this = strdup(description.serializedString())
        table.initialize(
            to: hostd_environment_1(
                interface: head(hostd_environment_1.self, HOSTD_ENVIRONMENT_1, HOSTD_ENVIRONMENT_1_SLOTS, this),
                describe: { this, json, _ in
                    guard let this else { return HOSTD_ERROR_INTERNAL }
                    json.pointee = owned(String(cString: this.assumingMemoryBound(to: CChar.self)))
                    return HOSTD_OK
                }, stop: { _, _, _, _, _ in HOSTD_OK }))
        return UnsafeRawPointer(table).assumingMemoryBound(to: hostd_interface.self)
    }
}

/// hostd.roles/1 over a `CheckHost`, whose providers do not change while a plugin is active: its watches tell of those
/// that are there.
enum RolesTable {
    static func make(_ host: CheckHost) -> UnsafePointer<hostd_interface> {
        let table = UnsafeMutablePointer<hostd_roles_1>.allocate(capacity: 1)
        table.initialize(
            to: hostd_roles_1(
                interface: head(
                    hostd_roles_1.self, HOSTD_ROLES_1, HOSTD_ROLES_1_SLOTS, Unmanaged.passRetained(host).toOpaque()),
                describe: { _, json, _ in
                    json.pointee = owned("{\"plugins\":[]}")
                    return HOSTD_OK
                },
                providers: { this, role, size, json, _ in
                    let names = checkHost(this).providers(of: text(role, size))
                    let answer: JSON = ["providers": JSON(names)]
                    json.pointee = owned(answer.serializedString())
                    return HOSTD_OK
                },
                watch: { _, _, _, watch, _ in
                    watch.pointee = 1
                    return HOSTD_OK
                },
                unwatch: { _, _, _ in HOSTD_OK },
                provider: { this, role, roleSize, _, _, address, _ in
                    guard let table = checkHost(this).table(text(role, roleSize)) else { return HOSTD_ERROR_NOT_FOUND }
                    address.pointee = UInt64(UInt(bitPattern: table))
                    return HOSTD_OK
                }))
        return UnsafeRawPointer(table).assumingMemoryBound(to: hostd_interface.self)
    }
}

private func checkHost(_ this: UnsafeMutableRawPointer?) -> CheckHost {
    // SAFETY: `self` of the table is the host that made it, retained for ever.
    Unmanaged<CheckHost>.fromOpaque(this!).takeUnretainedValue()
}

func text(_ data: UnsafePointer<UInt8>?, _ size: UInt64) -> String {
    String(decoding: UnsafeBufferPointer(start: data, count: data == nil ? 0 : Int(size)), as: UTF8.self)
}

func owned(_ text: String) -> hostd_buffer {
    guard let copy = strdup(text) else { return hostd_buffer() }
    return hostd_buffer(
        data: UnsafeRawPointer(copy).assumingMemoryBound(to: UInt8.self), size: UInt64(strlen(copy)),
        release: { free($0) }, context: copy)
}

/// The strings live as long as the process.
func head<Table>(
    _ type: Table.Type, _ id: String, _ slots: String, _ this: UnsafeMutableRawPointer?
) -> hostd_interface {
    hostd_interface(
        struct_size: UInt32(MemoryLayout<Table>.size), reserved: 0, self: this, id: UnsafePointer(strdup(id)!),
        slots: UnsafePointer(strdup(slots)!))
}
