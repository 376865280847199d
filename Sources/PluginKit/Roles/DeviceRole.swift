import Objects
import PluginAPI

/// Role hostd.device/1 in Swift; the messages are described in hostd/roles/device.h.
public protocol DeviceProvider: AnyObject, Sendable {
    /// {} → {vendor, version, ready, reason}
    func status(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {} → {resources: [{name: "nvidia.com/gpu", devices: [Device]}]}
    func listDevices(_ request: JSON, deadline: UInt64) throws -> JSON
    /// Reports list_devices' object at once and after each change of health or number.
    func watch(_ handler: @escaping @Sendable (JSON) -> Void) throws -> UInt64
    /// When it returns, the sink will not run again. Idempotent.
    func watchCancel(_ watch: UInt64) throws
    /// {podUID, podNamespace, podName, container, resource, count} → {deviceIDs, edits: Edits}. Exclusive, durable, and
    /// idempotent for the same pod, container and resource. RESOURCE_EXHAUSTED says how many are free.
    func allocate(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {podUID} → {deviceIDs}. Unknown pods are no error.
    func release(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {} → {allocations: [{podUID, podNamespace, podName, container, resource, deviceIDs}]}
    func listAllocations(_ request: JSON, deadline: UInt64) throws -> JSON
}

extension RoleTable {
    /// The C table of a provider of hostd.device/1. It keeps the provider alive until `release`:
    /// make it once per plugin instance.
    public static func device(_ implementation: any DeviceProvider) -> UnsafePointer<hostd_interface> {
        let table = allocate(
            hostd_device_1.self, id: HOSTD_DEVICE_1, slots: HOSTD_DEVICE_1_SLOTS,
            box: ProviderBox<any DeviceProvider>(implementation))
        table.pointee.status = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any DeviceProvider, request) in
                try it.status(request, deadline: deadline)
            }
        }
        table.pointee.list_devices = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any DeviceProvider, request) in
                try it.listDevices(request, deadline: deadline)
            }
        }
        table.pointee.watch = { this, sink, context, handle, error in
            answering(error) {
                let target = SinkTarget(sink: sink, context: context)
                handle.pointee = try provider(of: this, as: (any DeviceProvider).self).watch { target.send($0) }
            }
        }
        table.pointee.watch_cancel = { this, handle, error in
            answering(error) { try provider(of: this, as: (any DeviceProvider).self).watchCancel(handle) }
        }
        table.pointee.allocate = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any DeviceProvider, request) in
                try it.allocate(request, deadline: deadline)
            }
        }
        table.pointee.release = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any DeviceProvider, request) in
                try it.release(request, deadline: deadline)
            }
        }
        table.pointee.list_allocations = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any DeviceProvider, request) in
                try it.listAllocations(request, deadline: deadline)
            }
        }
        return finish(table)
    }
}

/// The consumer's side of DeviceProvider: each call goes through the host to whoever provides the role at that moment.
public final class DeviceClient: DeviceProvider, @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_device_1>
    private var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }

    public init(_ table: UnsafePointer<hostd_device_1>) { self.table = table }

    public convenience init(_ host: Host) throws(PluginError) {
        self.init(try host.table(HOSTD_DEVICE_1, as: hostd_device_1.self))
    }

    /// One named provider of the role, where several plugins provide it.
    public convenience init(_ host: Host, plugin: String) throws(PluginError) {
        self.init(try host.roles().provider(of: HOSTD_DEVICE_1, plugin: plugin, as: hostd_device_1.self))
    }

    public func status(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.status, this, request, deadline)
    }
    public func listDevices(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.list_devices, this, request, deadline)
    }
    /// As `subscribe`, by handle: the handler stays registered until `watchCancel`.
    public func watch(_ handler: @escaping @Sendable (JSON) -> Void) throws -> UInt64 {
        let box = Unmanaged.passRetained(
            SinkBox { message in
                if case .data(let bytes) = message, let json = try? JSON(parsing: bytes) { handler(json) }
            })
        var handle: UInt64 = 0
        try checked { table.pointee.watch(this, SinkBox.sink, box.toOpaque(), &handle, $0) }
        return handle
    }
    public func watchCancel(_ watch: UInt64) throws {
        try checked { table.pointee.watch_cancel(this, watch, $0) }
    }
    public func allocate(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.allocate, this, request, deadline)
    }
    public func release(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.release, this, request, deadline)
    }
    public func listAllocations(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.list_allocations, this, request, deadline)
    }
}
