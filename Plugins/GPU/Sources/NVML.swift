import Glibc
import Objects
import PluginKit

/// NVIDIA's management library, opened when it is there (NVML API reference). hostd does not link against it.
/// Calls are thread-safe by the library's own promise.
final class NVML: @unchecked Sendable {
    // SAFETY: immutable after the initialiser; NVML says that its functions may be called from any thread.
    typealias Device = UnsafeMutableRawPointer

    private let handle: UnsafeMutableRawPointer
    private let functions: Functions

    private struct Functions {
        let initialize: @convention(c) () -> Int32
        let shutdown: @convention(c) () -> Int32
        let errorString: @convention(c) (Int32) -> UnsafePointer<CChar>?
        let driverVersion: @convention(c) (UnsafeMutablePointer<CChar>, UInt32) -> Int32
        let count: @convention(c) (UnsafeMutablePointer<UInt32>) -> Int32
        let byIndex: @convention(c) (UInt32, UnsafeMutablePointer<Device?>) -> Int32
        let uuid: @convention(c) (Device, UnsafeMutablePointer<CChar>, UInt32) -> Int32
        let name: @convention(c) (Device, UnsafeMutablePointer<CChar>, UInt32) -> Int32
        let minor: @convention(c) (Device, UnsafeMutablePointer<UInt32>) -> Int32
        let memory: @convention(c) (Device, UnsafeMutableRawPointer) -> Int32
        let pci: @convention(c) (Device, UnsafeMutableRawPointer) -> Int32
        let eventSetCreate: @convention(c) (UnsafeMutablePointer<Device?>) -> Int32
        let registerEvents: @convention(c) (Device, UInt64, Device) -> Int32
        let eventSetWait: @convention(c) (Device, UnsafeMutableRawPointer, UInt32) -> Int32
        let eventSetFree: @convention(c) (Device) -> Int32
    }

    /// Results of NVML that are told apart (nvmlReturn_t).
    static let success: Int32 = 0
    static let notSupported: Int32 = 3
    static let timeout: Int32 = 10
    /// nvmlEventTypeXidCriticalError | nvmlEventTypeDoubleBitEccError.
    static let criticalEvents: UInt64 = 0x8 | 0x2
    static let xidEvent: UInt64 = 0x8

    /// - Returns: nil when the library is not installed.
    /// - Throws: when it is there but cannot be used, naming the function or NVML's reason.
    init?(library: String) throws {
        guard let handle = dlopen(library, RTLD_NOW | RTLD_LOCAL) else { return nil }
        self.handle = handle
        do {
            functions = Functions(
                initialize: try Self.symbol(handle, "nvmlInit_v2"), shutdown: try Self.symbol(handle, "nvmlShutdown"),
                errorString: try Self.symbol(handle, "nvmlErrorString"),
                driverVersion: try Self.symbol(handle, "nvmlSystemGetDriverVersion"),
                count: try Self.symbol(handle, "nvmlDeviceGetCount_v2"),
                byIndex: try Self.symbol(handle, "nvmlDeviceGetHandleByIndex_v2"),
                uuid: try Self.symbol(handle, "nvmlDeviceGetUUID"), name: try Self.symbol(handle, "nvmlDeviceGetName"),
                minor: try Self.symbol(handle, "nvmlDeviceGetMinorNumber"),
                memory: try Self.symbol(handle, "nvmlDeviceGetMemoryInfo"),
                pci: try Self.symbol(handle, "nvmlDeviceGetPciInfo_v3"),
                eventSetCreate: try Self.symbol(handle, "nvmlEventSetCreate"),
                registerEvents: try Self.symbol(handle, "nvmlDeviceRegisterEvents"),
                eventSetWait: try Self.symbol(handle, "nvmlEventSetWait_v2"),
                eventSetFree: try Self.symbol(handle, "nvmlEventSetFree"))
            try check(functions.initialize(), "start NVML")
        } catch {
            dlclose(handle)
            throw error
        }
    }

    /// Ends NVML; no other call may follow.
    func close() {
        _ = functions.shutdown()
        dlclose(handle)
    }

    private static func symbol<Function>(_ handle: UnsafeMutableRawPointer, _ name: String) throws -> Function {
        guard let address = dlsym(handle, name) else {
            throw PluginError.notSupported("the NVML library lacks \(name): install a driver of version 460 or later")
        }
        return unsafeBitCast(address, to: Function.self)
    }

    func describe(_ code: Int32) -> String {
        functions.errorString(code).map { String(cString: $0) } ?? "NVML error \(code)"
    }

    private func check(_ code: Int32, _ action: String) throws {
        if code != Self.success { throw PluginError.unavailable("cannot \(action): \(describe(code))") }
    }

    func driverVersion() throws -> String {
        try text(96, "read the driver's version") { functions.driverVersion($0, $1) }
    }

    /// All GPUs of this machine, in NVML's order.
    func devices() throws -> [(handle: Device, description: GPUDescription)] {
        var count: UInt32 = 0
        try check(functions.count(&count), "count the GPUs")
        return try (0..<count).map { index in
            var device: Device?
            try check(functions.byIndex(index, &device), "open GPU \(index)")
            guard let device else { throw PluginError.unavailable("NVML returned no handle for GPU \(index)") }
            return (device, try describe(device, index: index))
        }
    }

    private func describe(_ device: Device, index: UInt32) throws -> GPUDescription {
        var minor: UInt32 = 0
        try check(functions.minor(device, &minor), "read the minor number of GPU \(index)")
        // nvmlMemory_t: total, free, used.
        var memory: [UInt64] = [0, 0, 0]
        try check(
            memory.withUnsafeMutableBytes { functions.memory(device, $0.baseAddress!) },
            "read the memory of GPU \(index)")
        // nvmlPciInfo_t: 16 bytes of legacy id, five uint32, 32 bytes of bus id.
        var pci = [UInt8](repeating: 0, count: 128)
        try check(
            pci.withUnsafeMutableBytes { functions.pci(device, $0.baseAddress!) }, "read the bus id of GPU \(index)")
        return GPUDescription(
            uuid: try text(96, "read the UUID of GPU \(index)") { functions.uuid(device, $0, $1) },
            name: try text(96, "read the name of GPU \(index)") { functions.name(device, $0, $1) }, minor: minor,
            memoryBytes: memory[0], busID: String(decoding: pci[36..<68].prefix { $0 != 0 }, as: UTF8.self))
    }

    private func text(
        _ size: Int, _ action: String, _ read: (UnsafeMutablePointer<CChar>, UInt32) -> Int32
    ) throws -> String {
        var characters = [CChar](repeating: 0, count: size)
        try check(read(&characters, UInt32(size)), action)
        return String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// A set in which the critical events of the given GPUs arrive; GPUs that have no events are left out.
    func makeEventSet(_ devices: [Device]) throws -> Device {
        var set: Device?
        try check(functions.eventSetCreate(&set), "make an event set")
        guard let set else { throw PluginError.unavailable("NVML returned no event set") }
        for device in devices {
            let code = functions.registerEvents(device, Self.criticalEvents, set)
            if code != Self.success, code != Self.notSupported {
                _ = functions.eventSetFree(set)
                try check(code, "register for a GPU's events")
            }
        }
        return set
    }

    func freeEventSet(_ set: Device) { _ = functions.eventSetFree(set) }

    /// Waits for one event.
    /// - Returns: nil when none came in time.
    func wait(_ set: Device, milliseconds: UInt32) throws -> (device: Device, type: UInt64, data: UInt64)? {
        // nvmlEventData_t: device, type, data, two instance ids.
        var event = [UInt64](repeating: 0, count: 4)
        let code = event.withUnsafeMutableBytes { functions.eventSetWait(set, $0.baseAddress!, milliseconds) }
        if code == Self.timeout { return nil }
        try check(code, "wait for GPU events")
        guard let device = Device(bitPattern: UInt(event[0])) else { return nil }
        return (device, event[1], event[2])
    }
}

/// What is known of one GPU.
struct GPUDescription: Sendable, Equatable {
    let uuid: String
    let name: String
    let minor: UInt32
    let memoryBytes: UInt64
    /// For instance "00000000:17:00.0".
    let busID: String
}
