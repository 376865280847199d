import Glibc
import Objects
import PluginKit
import Synchronization

/// Role hostd.device/1 over the NVIDIA GPUs of this machine; on a machine without, over none.
final class GPUDevices: DeviceProvider {
    static let resource = "nvidia.com/gpu"

    struct Options: Sendable {
        var library = "libnvidia-ml.so.1"
        var driverRoot = ""
        var nodes = "/dev"
        var directory = ""
    }
    private struct State {
        var devices: [GPUDescription] = []
        var health: [String: GPUHealth] = [:]
        var table = AllocationTable()
        var watches: [UInt64: @Sendable (JSON) -> Void] = [:]
        var nextWatch: UInt64 = 1
        var isActive = false
        var driverVersion = ""
        var driver = DriverFiles(mounts: [])
    }
    private let log: Log?
    private let options: Options
    private let state = Mutex(State())
    private let watcher = Mutex<HealthWatcher?>(nil)
    /// Held while watches are told of something: one at a time, and none after its cancel.
    private let delivery = Mutex(())
    private var path: String { "\(options.directory)/allocations.json" }

    init(options: Options, log: Log?) throws {
        self.options = options
        self.log = log
        if access(path, F_OK) == 0 {
            let table = try AllocationTable(json: JSON(parsing: try AtomicFile.read(path)))
            state.withLock { $0.table = table }
        }
    }

    /// Opens NVML and begins to watch the GPUs' health. Without NVML or GPUs it says so once and stays idle.
    func start() throws {
        try open()
        state.withLock { $0.isActive = true }
    }

    private func open() throws {
        guard let library = try NVML(library: options.library) else {
            log?.info("no NVIDIA driver: \(options.library) is not installed; there are no GPUs to offer")
            return
        }
        do {
            let found = try library.devices()
            if found.isEmpty {
                log?.info("the NVIDIA driver sees no GPU")
                library.close()
                return
            }
            try adopt(found.map(\.description), driverVersion: try library.driverVersion())
            let watching = try HealthWatcher(library: library, devices: found) { [weak self] uuid, health in
                self?.report(uuid, health)
            }
            watcher.withLock { $0 = watching }
        } catch {
            if watcher.withLock({ $0 == nil }) { library.close() }
            throw error
        }
    }

    private func adopt(_ devices: [GPUDescription], driverVersion: String) throws {
        let driver = try DriverFiles.find(root: options.driverRoot, version: driverVersion)
        let specification = ContainerEdits.specification(devices, driver: driver, nodes: options.nodes)
        try AtomicFile.write(specification.serialized(), to: "\(options.directory)/cdi.json", mode: 0o644)
        state.withLock { state in
            state.devices = devices
            state.driverVersion = driverVersion
            state.driver = driver
        }
        for device in devices {
            log?.info(
                "GPU found",
                [
                    "uuid": .string(device.uuid), "name": .string(device.name), "bus": .string(device.busID),
                    "memoryBytes": .integer(Int64(clamping: device.memoryBytes)), "driver": .string(driverVersion),
                ])
        }
        publish()
    }

    /// Ends the watching. Allocations stay.
    func stop() {
        state.withLock { state in
            state.isActive = false
            state.watches = [:]
        }
        delivery.withLock { _ in }
        let watching = watcher.withLock { watcher -> HealthWatcher? in
            defer { watcher = nil }
            return watcher
        }
        watching?.stop()
    }

    private func report(_ uuid: String, _ health: GPUHealth) {
        state.withLock { $0.health[uuid] = health }
        log?.warning(
            "a GPU is unhealthy and gets no new pods", ["uuid": .string(uuid), "reason": .string(health.reason)])
        publish()
    }

    private func publish() {
        delivery.withLock { _ in
            let (message, watches) = state.withLock { (Self.listing($0), Array($0.watches.values)) }
            for watch in watches { watch(message) }
        }
    }

    private static func listing(_ state: State) -> JSON {
        if state.devices.isEmpty { return ["resources": []] }
        let devices: [JSON] = state.devices.map { device in
            let health = state.health[device.uuid] ?? GPUHealth()
            return [
                "id": .string(device.uuid), "healthy": .bool(health.isHealthy), "reason": .string(health.reason),
                "attributes": [
                    "name": .string(device.name), "bus": .string(device.busID),
                    "memoryBytes": .string(String(device.memoryBytes)), "driver": .string(state.driverVersion),
                ],
            ]
        }
        return ["resources": [["name": .string(resource), "devices": .array(devices)]]]
    }

    func status(_ request: JSON, deadline: UInt64) throws -> JSON {
        state.withLock { state in
            [
                "vendor": "nvidia.com", "version": .string(state.driverVersion), "ready": true,
                "reason": .string(state.devices.isEmpty ? "there are no NVIDIA GPUs on this machine" : ""),
            ]
        }
    }

    func listDevices(_ request: JSON, deadline: UInt64) throws -> JSON { state.withLock { Self.listing($0) } }

    func watch(_ handler: @escaping @Sendable (JSON) -> Void) throws -> UInt64 {
        try delivery.withLock { _ in
            let (watch, message) = try state.withLock { state -> (UInt64, JSON) in
                guard state.isActive else { throw PluginError.wrongState("the GPU plugin is not active") }
                defer { state.nextWatch += 1 }
                state.watches[state.nextWatch] = handler
                return (state.nextWatch, Self.listing(state))
            }
            handler(message)
            return watch
        }
    }

    /// When this returns, the handler is not running any more.
    func watchCancel(_ watch: UInt64) throws {
        state.withLock { _ = $0.watches.removeValue(forKey: watch) }
        delivery.withLock { _ in }
    }

    func allocate(_ request: JSON, deadline: UInt64) throws -> JSON {
        let wanted = try parse(request)
        guard let count = request["count"].integerValue, count > 0 else {
            throw PluginError.invalid("count must be a positive number of GPUs")
        }
        return try state.withLock { state in
            var table = state.table
            let healthy = state.devices.filter { state.health[$0.uuid]?.isHealthy ?? true }.map(\.uuid)
            let made = try table.allocate(wanted, count: Int(count), healthy: healthy)
            if table != state.table {
                try AtomicFile.write(table.json.serialized(), to: path)
                state.table = table
            }
            let devices = made.deviceIDs.compactMap { id in state.devices.first { $0.uuid == id } }
            guard devices.count == made.deviceIDs.count else {
                throw PluginError.unavailable(
                    "a GPU of pod \(wanted.podNamespace)/\(wanted.podName) is no longer in this machine")
            }
            return [
                "deviceIDs": .array(made.deviceIDs.map { .string($0) }),
                "edits": ContainerEdits.edits(for: devices, driver: state.driver, nodes: options.nodes),
            ]
        }
    }

    private func parse(_ request: JSON) throws -> AllocationTable.Allocation {
        let resource = request["resource"].stringValue ?? ""
        guard resource == Self.resource else {
            throw PluginError.invalid("this plugin offers \(Self.resource), not \"\(resource)\"")
        }
        guard let pod = request["podUID"].stringValue, !pod.isEmpty, let container = request["container"].stringValue
        else {
            throw PluginError.invalid("an allocation needs podUID and container")
        }
        return AllocationTable.Allocation(
            podUID: pod, podNamespace: request["podNamespace"].stringValue ?? "",
            podName: request["podName"].stringValue ?? "", container: container, resource: resource, deviceIDs: [])
    }

    func release(_ request: JSON, deadline: UInt64) throws -> JSON {
        let pod = request["podUID"].stringValue ?? ""
        return try state.withLock { state in
            var table = state.table
            let freed = table.release(podUID: pod)
            if !freed.isEmpty {
                try AtomicFile.write(table.json.serialized(), to: path)
                state.table = table
            }
            return ["deviceIDs": .array(freed.map { .string($0) })]
        }
    }

    func listAllocations(_ request: JSON, deadline: UInt64) throws -> JSON {
        ["allocations": state.withLock { $0.table.listed }]
    }
}
