import CRuntime
import Glibc
import Objects
import PluginKit
import Synchronization

/// The common part of runtimes, which an engine completes: images, sandboxes and containers below one directory. All that must survive hostd is in that
/// directory, in the kernel, and in the monitors; this object is rebuilt from them (`RuntimeService+Adoption`).
///
///     sandboxes/ID/record.json, net, ipc, uts, shm/
///     containers/ID/record.json, upper/, work/, rootfs/, started, exit, control
///     staging/                              what is being removed
///     boot                                  the boot that the rest belongs to
package final class RuntimeService: Sendable {
    package typealias Log = @Sendable (_ isWarning: Bool, _ message: String, _ fields: JSONObject) -> Void

    package struct Options: Sendable {
        /// The plugin's own directory.
        package var directory: String
        /// The node's images, which all runtimes share.
        package var imageDirectory: String
        /// hostd-container-init.
        package var program: String
        package var cgroupParent = "hostd"
        /// What the names of its pods' cgroups begin with; runtimes that share a parent tell theirs by it.
        package var podPrefix = "pod"
        package var imageLimits = ImageStore.Limits()

        package init(directory: String, imageDirectory: String, program: String) {
            self.directory = directory
            self.imageDirectory = imageDirectory
            self.program = program
        }

        /// What this runtime is called among those that share the images.
        var owner: String { directory.split(separator: "/").last.map(String.init) ?? "runtime" }
    }

    package struct State {
        package var sandboxes: [String: Sandbox] = [:]
        package var containers: [String: Container] = [:]
    }

    package let options: Options
    package let images: ImageStore
    package let cgroups: CgroupDriver
    package let launcher: Launcher
    package let supervisor: Supervisor
    package let events = EventFanOut()
    package let operations = OperationTable()
    package let state = Mutex(State())
    package let engine: any ContainerEngine
    package let log: Log

    package var containersDirectory: String { "\(options.directory)/containers" }
    var stagingDirectory: String { "\(options.directory)/staging" }
    package var sandboxesDirectory: String { "\(options.directory)/sandboxes" }

    /// Opens the state below `options.directory`, adopts what runs, cleans up what was left half made, and starts watching.
    package init(
        _ options: Options, layout: CgroupLayout, files: any CgroupFiles = KernelCgroupFiles(), log: @escaping Log,
        makeEngine: (EngineServices) throws(PluginError) -> any ContainerEngine
    ) throws(PluginError) {
        self.options = options
        self.log = log
        for name in ["containers", "sandboxes", "staging"] {
            try AtomicFile.makeDirectory("\(options.directory)/\(name)", mode: 0o711)
        }
        for name in try FileTree.names(in: "\(options.directory)/staging") {
            try FileTree.remove("\(options.directory)/staging/\(name)")
        }
        images = try ImageStore(
            directory: options.imageDirectory, owner: options.owner, limits: options.imageLimits
        ) { log(true, $0, [:]) }
        cgroups = try CgroupDriver(
            layout: layout, files: files, parent: options.cgroupParent, podPrefix: options.podPrefix)
        try cgroups.prepare()
        launcher = try Launcher(program: options.program)
        engine = try makeEngine(EngineServices(images: images, cgroups: cgroups, launcher: launcher, log: log))
        supervisor = try Supervisor()
        try supervisor.start()
        do throws(PluginError) {
            try adopt()
        } catch {
            supervisor.stop()
            throw error
        }
    }

    /// Stops watching; containers go on.
    package func close() {
        supervisor.stop()
        operations.cancelAll()
    }

    // MARK: Look-up

    package func sandbox(_ request: JSON, member: String = "id") throws(PluginError) -> Sandbox {
        let id = try Self.identifier(request, member)
        guard let found = state.withLock({ $0.sandboxes[id] }) else { throw .notFound("there is no sandbox \(id)") }
        return found
    }

    package func container(_ request: JSON) throws(PluginError) -> Container {
        let id = try Self.identifier(request, "id")
        guard let found = state.withLock({ $0.containers[id] }) else { throw .notFound("there is no container \(id)") }
        return found
    }

    /// For removals, where what is gone is success.
    package func existing<Found>(_ body: () throws(PluginError) -> Found) throws(PluginError) -> Found? {
        do throws(PluginError) {
            return try body()
        } catch {
            if error.code == PluginError.notFound("").code { return nil }
            throw error
        }
    }

    package static func identifier(_ request: JSON, _ member: String) throws(PluginError) -> String {
        guard let id = request[member].stringValue, !id.isEmpty else {
            throw .invalid("the request lacks \"\(member)\"")
        }
        return id
    }

    package func containers(of sandbox: Sandbox) -> [Container] {
        state.withLock { state in state.containers.values.filter { $0.sandboxID == sandbox.id } }
    }

    package func report(_ type: String, _ container: Container) {
        events.send([
            "type": .string(type), "containerID": .string(container.id), "sandboxID": .string(container.sandboxID),
            "container": container.json,
        ])
    }

    /// Removes a directory of ours: out of sight at once, then for good. A crash in between is finished at the next start.
    package func discard(_ directory: String) throws(PluginError) {
        let name = directory.split(separator: "/").last.map(String.init) ?? "directory"
        let doomed = "\(stagingDirectory)/\(name)-\(randomIdentifier(bytes: 4))"
        // An engine may have mounted a half-made container's root here.
        umount2("\(directory)/rootfs", Int32(MNT_DETACH))
        if rename(directory, doomed) != 0 {
            if errno == ENOENT { return }
            throw .system("remove", directory, errno: errno)
        }
        try FileTree.remove(doomed)
    }
}
