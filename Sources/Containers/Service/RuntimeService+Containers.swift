import CRuntime
import Glibc
import Objects
import PluginKit

extension RuntimeService {
    // MARK: Create

    package func createContainer(_ request: JSON) throws(PluginError) -> JSON {
        let sandbox = try sandbox(request, member: "sandboxID")
        guard sandbox.isReady.withLock({ $0 }) else {
            throw .wrongState("the sandbox \(sandbox.id) has been stopped: run a new one for the pod")
        }
        let configuration = try ContainerConfiguration(request["config"])
        _ = try StopSignal.number(configuration.stopSignal)
        let id = randomIdentifier(bytes: 32)
        let image = try images.acquire(configuration.image, for: id)
        let container = Container(
            id: id, sandboxID: sandbox.id, configurationJSON: request["config"], configuration: configuration,
            image: image.id, directory: "\(containersDirectory)/\(id)",
            logPath: Self.logPath(sandbox.configuration, configuration), cgroup: sandbox.cgroup.child(id),
            createdAt: nanosecondsNow())
        do throws(PluginError) {
            try images.acquire(mounted: configuration.mountedImages, for: id)
            // Whatever can be found wrong is found before anything is made.
            try engine.check(container, sandbox, image)
            try makeFiles(container, sandbox)
            try cgroups.create(container.cgroup, container.configuration.resources)
            try engine.prepareGroup(container)
        } catch {
            clear(container)
            throw error
        }
        state.withLock { $0.containers[id] = container }
        report("created", container)
        return ["id": .string(id)]
    }

    private static func logPath(_ sandbox: SandboxConfiguration, _ container: ContainerConfiguration) -> String {
        if container.logPath.isEmpty { return "" }
        return sandbox.logDirectory.isEmpty ? container.logPath : "\(sandbox.logDirectory)/\(container.logPath)"
    }

    private func makeFiles(_ container: Container, _ sandbox: Sandbox) throws(PluginError) {
        try AtomicFile.makeDirectory(container.directory, mode: 0o711)
        for name in ["upper", "work", "rootfs"] {
            try AtomicFile.makeDirectory("\(container.directory)/\(name)", mode: 0o755)
        }
        // The top of what the container sees is its root's.
        let upper = "\(container.directory)/upper"
        if let first = sandbox.configuration.users?.first, chown(upper, first, first) != 0 {
            throw .system("change the owner of", upper, errno: errno)
        }
        if let slash = container.logPath.lastIndex(of: "/") {
            try AtomicFile.makeDirectory(String(container.logPath[..<slash]), mode: 0o755)
        }
        try AtomicFile.write(container.record.serialized(), to: "\(container.directory)/record.json", isDurable: false)
    }

    // MARK: Start

    package func startContainer(_ request: JSON) throws(PluginError) -> JSON {
        let container = try container(request)
        try container.changing.withLock { _ throws(PluginError) in try start(container) }
        return ["container": container.json]
    }

    private func start(_ container: Container) throws(PluginError) {
        try container.state.withLock { state throws(PluginError) in
            guard case .created = state else {
                throw .wrongState(
                    "container \(container.configuration.name) (\(container.id)) cannot be started, it is \(state.name)"
                )
            }
            state = .starting
        }
        do throws(PluginError) {
            guard let sandbox = state.withLock({ $0.sandboxes[container.sandboxID] }),
                let image = try images.find(container.image.description)
            else { throw .notFound("the sandbox or the image of container \(container.id) is gone") }
            try findTarget(of: container)
            let helper = try engine.start(container, sandbox, image)
            do throws(PluginError) {
                try waitForStart(helper, container)
            } catch {
                runtime_pidfd_send_signal(helper.descriptor.number, SIGKILL)
                Launcher.reap(helper.descriptor)
                try cgroups.killAll(container.cgroup)
                throw error
            }
        } catch {
            giveBack(container)
            fail(container, error)
            throw error
        }
    }

    private func findTarget(of container: Container) throws(PluginError) {
        let id = container.configuration.targetContainerID
        if id.isEmpty { return }
        let found = state.withLock { $0.containers[id] }
        guard let found, found.sandboxID == container.sandboxID, let running = found.running else {
            throw .notFound(
                "container \(container.configuration.name): the container \(id) whose processes it is to see does not run in "
                    + "its pod")
        }
        container.target.withLock { $0 = running.start.process }
    }

    private func waitForStart(_ helper: Launcher.Helper, _ container: Container) throws(PluginError) {
        let subject = "container \(container.configuration.name)"
        guard let report = try Launcher.receive(helper.reports, milliseconds: 30_000) else {
            throw .internal("\(subject): its monitor ended without a word")
        }
        if report.kind != .started { throw engine.failure(report, of: container, subject: subject) }
        guard let text = try readSmallFile("\(container.directory)/started"), let start = ContainerStart(parsing: text)
        else {
            throw .internal("\(subject): its monitor left no record of the start")
        }
        try supervise(container, start, monitor: helper.descriptor, isNew: true)
    }

    /// Who it was started as.
    func note(_ start: ContainerStart, of container: Container) {
        container.user.withLock { $0 = start.user ?? $0 ?? engine.user(of: container) }
    }

    /// Enters `running` and watches for the end. A new one's start is reported before its end can be.
    func supervise(
        _ container: Container, _ start: ContainerStart, monitor: Descriptor, isNew: Bool = false
    ) throws(PluginError) {
        // A process that has ended already has no descriptor; its monitor is about to say so.
        let process = try start.process.open() ?? monitor
        note(start, of: container)
        container.state.withLock { $0 = .running(.init(start: start, process: process)) }
        let pressure = try watchPressure(container)
        if isNew { report("started", container) }
        try supervisor.watch(monitor) { [weak self] in
            if let pressure { self?.supervisor.forget(pressure) }
            self?.finish(container, monitor)
            return false
        }
    }

    /// The start failed: that is how this container ended. The file makes it survive a restart of hostd.
    private func fail(_ container: Container, _ error: PluginError) {
        let exit = ContainerExit.startFailure(error.message)
        container.state.withLock { $0 = .exited(exit, startedAt: nil) }
        container.ended.open()
        do throws(PluginError) {
            try AtomicFile.write(Array(error.message.utf8), to: "\(container.directory)/start-error", isDurable: false)
        } catch {
            log(
                true, "The failure of a start could not be recorded.",
                ["container": .string(container.id), "error": .string(error.message)])
        }
        report("exited", container)
    }

    // MARK: End

    /// The monitor has ended, on the event thread: its record says how the container did.
    package func finish(_ container: Container, _ monitor: Descriptor) {
        Launcher.reap(monitor)
        var startedAt: Int64?
        if let running = container.running { startedAt = running.start.at }
        let exit = exitRecord(container)
        do throws(PluginError) {
            // Nothing of it may go on: not what shares the pod's or the host's processes, nor what lost its monitor.
            try cgroups.killAll(container.cgroup)
        } catch {
            log(
                true, "Processes of an ended container could not be killed.",
                ["container": .string(container.id), "error": .string(error.message)])
        }
        giveBack(container)
        container.state.withLock { $0 = .exited(exit, startedAt: startedAt) }
        container.ended.open()
        if exit.isOutOfMemory { report("oom", container) }
        report("exited", container)
    }

    /// Nothing of it runs any more.
    func giveBack(_ container: Container) {
        do throws(PluginError) {
            try engine.ended(container)
        } catch {
            log(
                true, "What an ended container used could not be given back.",
                ["container": .string(container.id), "error": .string(error.message)])
        }
    }

    package func exitRecord(_ container: Container) -> ContainerExit {
        do throws(PluginError) {
            if let text = try readSmallFile("\(container.directory)/exit"), let exit = ContainerExit(parsing: text) {
                return exit
            }
            return .unknown("its monitor ended without a record: it was killed, or the disk is full")
        } catch {
            return .unknown(error.message)
        }
    }

    package func stop(_ request: JSON, deadline: UInt64) throws(PluginError) {
        guard let container = try existing({ () throws(PluginError) in try self.container(request) }) else { return }
        let seconds = max(0, request["timeoutSeconds"].integerValue ?? 0)
        // A start that is under way is awaited; the lock is not held while the program takes its time to end.
        container.changing.withLock { _ in }
        guard let running = container.running else { return }
        if seconds > 0 {
            let signal = try StopSignal.number(stopSignal(container))
            runtime_pidfd_send_signal(running.process.number, signal)
            let grace = monotonicNanoseconds() + UInt64(min(seconds, 1 << 20)) * 1_000_000_000
            let until = deadline > 0 ? min(grace, deadline) : grace
            if container.ended.wait(until: until) { return }
            // A caller that cannot wait for the whole grace period comes back at its end.
            if until < grace {
                throw .deadlineExceeded("container \(container.id) has its stop signal and still runs")
            }
        }
        try end(container, milliseconds: 10_000)
    }

    private func stopSignal(_ container: Container) throws(PluginError) -> String {
        if !container.configuration.stopSignal.isEmpty { return container.configuration.stopSignal }
        return try images.find(container.image.description)?.configuration.stopSignal ?? ""
    }

    /// SIGKILL, and waits for the end.
    package func end(_ container: Container, milliseconds: UInt64) throws(PluginError) {
        container.changing.withLock { _ in }
        guard let running = container.running else { return }
        runtime_pidfd_send_signal(running.process.number, SIGKILL)
        try cgroups.killAll(container.cgroup)
        guard container.ended.wait(until: monotonicNanoseconds() + milliseconds * 1_000_000) else {
            throw .unavailable(
                "container \(container.configuration.name) (\(container.id)) did not end within \(milliseconds / 1000) s of "
                    + "SIGKILL: a process of it hangs in the kernel")
        }
    }

    package func removeContainer(_ request: JSON) throws(PluginError) {
        guard let container = try existing({ () throws(PluginError) in try self.container(request) }) else { return }
        try remove(container)
    }

    package func remove(_ container: Container) throws(PluginError) {
        try end(container, milliseconds: 10_000)
        try container.changing.withLock { _ throws(PluginError) in
            guard state.withLock({ $0.containers[container.id] }) != nil else { return }
            try engine.remove(container)
            try cgroups.remove(container.cgroup)
            try discard(container.directory)
            state.withLock { $0.containers[container.id] = nil }
            try releaseImages(of: container)
        }
        report("removed", container)
    }

    private func releaseImages(of container: Container) throws(PluginError) {
        try images.release(for: container.id)
        try images.release(mounted: container.configuration.mountedImages.count, for: container.id)
    }

    /// After a create that failed half way.
    private func clear(_ container: Container) {
        do throws(PluginError) {
            try cgroups.remove(container.cgroup)
            try discard(container.directory)
            try releaseImages(of: container)
        } catch {
            log(true, "What was left of a failed container could not be removed.", ["error": .string(error.message)])
        }
    }

    // MARK: Running containers

    package func listContainers(_ request: JSON) -> JSON {
        let id = request["id"].stringValue
        let sandbox = request["sandboxID"].stringValue
        let found = state.withLock { state in
            state.containers.values.filter { (id == nil || $0.id == id) && (sandbox == nil || $0.sandboxID == sandbox) }
        }
        return ["containers": .array(found.sorted { $0.createdAt < $1.createdAt }.map(\.json))]
    }

    package func updateContainer(_ request: JSON) throws(PluginError) {
        let resources = try Resources(request["resources"])
        if let sandbox = try existing({ () throws(PluginError) in try self.sandbox(request) }) {
            return try cgroups.update(sandbox.cgroup, resources)
        }
        let container = try container(request)
        try cgroups.update(container.cgroup, resources)
        container.resources.withLock { $0 = resources }
    }

    /// Asks the monitor of a running container; an ended one has nothing more to log.
    package func reopenLog(_ request: JSON) throws(PluginError) {
        let container = try container(request)
        guard container.running != nil,
            let connection = try whileRunning({ () throws(PluginError) in try container.connectToMonitor() })
        else { return }
        var command = UInt8(ascii: "L")
        var answer: Int32 = 0
        guard send(connection.number, &command, 1, Int32(MSG_NOSIGNAL)) == 1,
            recv(connection.number, &answer, 4, 0) == 4
        else {
            if container.running == nil { return }
            throw .unavailable("the monitor of container \(container.configuration.name) gives no answer")
        }
        if answer != 0 { throw .system("open", container.logPath, errno: answer) }
    }

    private func whileRunning<Result>(_ body: () throws(PluginError) -> Result) throws(PluginError) -> Result? {
        do throws(PluginError) {
            return try body()
        } catch {
            if error.code == PluginError.wrongState("").code { return nil }
            throw error
        }
    }

    package func containerStats(_ request: JSON) throws(PluginError) -> JSON {
        let id = request["id"].stringValue
        let sandbox = request["sandboxID"].stringValue
        let found = state.withLock { state in
            state.containers.values.filter { (id == nil || $0.id == id) && (sandbox == nil || $0.sandboxID == sandbox) }
        }
        var stats: [JSON] = []
        for container in found where container.running != nil {
            let usage = try cgroups.usage(container.cgroup)
            var written: Int64 = 0
            // A file that goes away while it is counted is no reason to give no figures.
            try? FileTree.walk("\(container.directory)/upper") { entry in written += Int64(entry.status.st_blocks) * 512
            }
            stats.append([
                "id": .string(container.id), "timestamp": .string(formatNanoseconds(nanosecondsNow())),
                "cpuUsageNanoseconds": JSON(usage.cpuNanoseconds), "memoryUsageBytes": JSON(usage.memoryBytes),
                "memoryWorkingSetBytes": JSON(usage.workingSetBytes), "memoryRSSBytes": JSON(usage.residentBytes),
                "pids": JSON(usage.processes), "writableLayerBytes": .integer(written),
            ])
        }
        return ["stats": .array(stats)]
    }
}
