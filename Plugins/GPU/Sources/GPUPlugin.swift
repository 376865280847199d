import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The GPU plugin: NVIDIA GPUs as the extended resource nvidia.com/gpu.
public final class GPUPlugin: Plugin {
    public static let description = PluginDescription(
        name: "gpu", version: "0.1.0", summary: "NVIDIA GPUs as the resource nvidia.com/gpu",
        provides: [HOSTD_DEVICE_1], handover: .exclusive)
    public static let optionsSchema = """
        {"type": "object", "additionalProperties": false, "properties": {
          "library": {"type": "string", "description": "The NVML library, opened when it is there.", "default": "libnvidia-ml.so.1"},
          "driverRoot": {"type": "string", "description": "Where the driver's files lie; empty means the root directory.", "default": ""},
          "deviceDirectory": {"type": "string", "description": "Where the device nodes lie.", "default": "/dev"}
        }}
        """

    private struct State {
        var devices: GPUDevices?
        var table: UInt?
    }
    private let host: Host
    private let state = Mutex(State())

    public init(host: Host) throws { self.host = host }

    public func configure(_ configuration: PluginConfiguration) throws {
        var options = GPUDevices.Options()
        options.library = configuration.options["library"].stringValue ?? options.library
        options.driverRoot = configuration.options["driverRoot"].stringValue ?? options.driverRoot
        options.nodes = configuration.options["deviceDirectory"].stringValue ?? options.nodes
        options.directory = configuration.pluginDirectory
        let devices = try GPUDevices(options: options, log: host.log)
        state.withLock { $0.devices = devices }
    }

    public func activate() throws { try state.withLock { $0.devices }?.start() }
    public func deactivate() throws { state.withLock { $0.devices }?.stop() }

    public func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        guard id == HOSTD_DEVICE_1 else { return nil }
        return state.withLock { state -> UnsafePointer<hostd_interface>? in
            if state.table == nil, let devices = state.devices {
                state.table = UInt(bitPattern: RoleTable.device(devices))
            }
            return state.table.flatMap { UnsafePointer(bitPattern: $0) }
        }
    }
}
