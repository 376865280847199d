import CRuntime
import Glibc
import Objects
import PluginKit
import Synchronization

/// The runtime itself: images, sandboxes and containers below one directory. All that must survive hostd is in that
/// directory, in the kernel, and in the monitors; this object is rebuilt from them (`RuntimeService+Adoption`).
///
///     sandboxes/ID/record.json, net, ipc, uts, shm/
///     containers/ID/record.json, upper/, work/, rootfs/, started, exit, control
///     images/, layers/, staging/            see ImageStore
///     boot                                  the boot that the rest belongs to
final class RuntimeService: Sendable {
    struct Options: Sendable {
        /// The plugin's own directory.
        var directory: String
        /// hostd-container-init.
        var program: String
        var cgroupParent = "hostd"
        var imageLimits = ImageStore.Limits()
    }

    struct State {
        var sandboxes: [String: Sandbox] = [:]
        var containers: [String: Container] = [:]
    }

    let options: Options
    let images: ImageStore
    let cgroups: CgroupDriver
    let launcher: Launcher
    let supervisor: Supervisor
    let seccomp = SeccompFilter()
    let events = EventFanOut()
    let operations = OperationTable()
    let state = Mutex(State())
    let log: @Sendable (_ isWarning: Bool, _ message: String, _ fields: JSONObject) -> Void
    /// The allow-list that most containers share, loaded once; nil where the kernel has no such programs.
    let standardDevices: Mutex<Descriptor?> = Mutex(nil)

    var containersDirectory: String { "\(options.directory)/containers" }
    var sandboxesDirectory: String { "\(options.directory)/sandboxes" }

    /// Opens the state below `options.directory`, adopts what runs, cleans up what was left half made, and starts watching.
    init(
        _ options: Options, layout: CgroupLayout, files: any CgroupFiles = KernelCgroupFiles(),
        log: @escaping @Sendable (_ isWarning: Bool, _ message: String, _ fields: JSONObject) -> Void
    ) throws(PluginError) {
        self.options = options
        self.log = log
        for name in ["containers", "sandboxes"] {
            try AtomicFile.makeDirectory("\(options.directory)/\(name)", mode: 0o711)
        }
        images = try ImageStore(directory: options.directory, limits: options.imageLimits) { log(true, $0, [:]) }
        cgroups = try CgroupDriver(layout: layout, files: files, parent: options.cgroupParent)
        try cgroups.prepare()
        launcher = try Launcher(program: options.program)
        supervisor = try Supervisor()
        try supervisor.start()
        do throws(PluginError) {
            try loadStandardDevices()
            try adopt()
        } catch {
            supervisor.stop()
            throw error
        }
    }

    /// Stops watching; containers go on.
    func close() {
        supervisor.stop()
        operations.cancelAll()
    }

    private func loadStandardDevices() throws(PluginError) {
        guard cgroups.layout.unified != nil else { return }
        do throws(PluginError) {
            let program = try DeviceFilter.load(DeviceRule.defaults)
            standardDevices.withLock { $0 = program }
        } catch {
            guard cgroups.layout.controllers["devices"] != nil else { throw error }
            log(
                true, "The kernel refuses device filters (BPF); the v1 devices controller is used instead.",
                ["error": .string(error.message)])
        }
    }

    // MARK: Look-up

    func sandbox(_ request: JSON, member: String = "id") throws(PluginError) -> Sandbox {
        let id = try Self.identifier(request, member)
        guard let found = state.withLock({ $0.sandboxes[id] }) else { throw .notFound("there is no sandbox \(id)") }
        return found
    }

    func container(_ request: JSON) throws(PluginError) -> Container {
        let id = try Self.identifier(request, "id")
        guard let found = state.withLock({ $0.containers[id] }) else { throw .notFound("there is no container \(id)") }
        return found
    }

    /// For removals, where what is gone is success.
    func existing<Found>(_ body: () throws(PluginError) -> Found) throws(PluginError) -> Found? {
        do throws(PluginError) {
            return try body()
        } catch {
            if error.code == PluginError.notFound("").code { return nil }
            throw error
        }
    }

    static func identifier(_ request: JSON, _ member: String) throws(PluginError) -> String {
        guard let id = request[member].stringValue, !id.isEmpty else {
            throw .invalid("the request lacks \"\(member)\"")
        }
        return id
    }

    func containers(of sandbox: Sandbox) -> [Container] {
        state.withLock { state in state.containers.values.filter { $0.sandboxID == sandbox.id } }
    }

    func report(_ type: String, _ container: Container) {
        events.send([
            "type": .string(type), "containerID": .string(container.id), "sandboxID": .string(container.sandboxID),
            "container": container.json,
        ])
    }

    /// Removes a directory of ours: out of sight at once, then for good. A crash in between is finished at the next start.
    func discard(_ directory: String) throws(PluginError) {
        let name = directory.split(separator: "/").last.map(String.init) ?? "directory"
        let doomed = "\(images.stagingDirectory)/\(name)-\(randomIdentifier(bytes: 4))"
        if rename(directory, doomed) != 0 {
            if errno == ENOENT { return }
            throw .system("remove", directory, errno: errno)
        }
        try FileTree.remove(doomed)
    }
}
