import Glibc
import Objects
import PluginAPI
import PluginKit

/// Runs containers as plain processes of this machine, with pipes to log files, exit codes, exec and signals. Nothing is
/// isolated, and an image is no more than its name: a container needs a `command`. What the slots promise is in
/// hostd/roles/runtime.h. Launch.swift starts processes, Container.swift describes containers.
///
/// Pipes end with hostd, so containers do as well: `deactivate` kills them. A runtime that lets them live on gives their
/// streams to a process that survives.
final class @MODULE@: Plugin, RuntimeProvider, @unchecked Sendable {
    // SAFETY: everything below `monitor` is behind it.
    static let description = PluginDescription(
        name: "@NAME@", version: "1.0.0", summary: "Containers as plain processes.", provides: [HOSTD_RUNTIME_1])
    static let optionsSchema = ""
    static let execOutputLimit = 16 << 20

    let host: Host
    private let table = ProvidedTable()
    /// Handlers of watches run under it, in the order of events, and may ask back.
    let monitor = Monitor()
    var sandboxes: [String: Sandbox] = [:]
    var containers: [String: Container] = [:]
    var images: Set<String> = []
    var watchers: [UInt64: @Sendable (JSON) -> Void] = [:]
    /// Execs that run: their processes by handle.
    var operations: [UInt64: pid_t] = [:]
    private var lastHandle: UInt64 = 0
    private var isActive = false
    private var threads: [pthread_t] = []
    private var finished: [pthread_t] = []

    init(host: Host) { self.host = host }

    func configure(_ configuration: PluginConfiguration) {}

    func activate() { monitor.locked { isActive = true } }

    /// Ends every process, and waits for the threads that follow them.
    func deactivate() {
        let running = monitor.locked { () -> [pthread_t] in
            isActive = false
            for process in containers.values.compactMap(\.process) + operations.values {
                Processes.kill(process, SIGKILL)
            }
            defer { (threads, finished) = ([], []) }
            return threads + finished
        }
        for thread in running { pthread_join(thread, nil) }
        monitor.locked {
            for id in Array(containers.keys) { containers[id]?.closeLog() }
            (sandboxes, containers, images, watchers, operations) = ([:], [:], [], [:], [:])
        }
    }

    func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        id == HOSTD_RUNTIME_1 ? table.once { RoleTable.runtime(self) } : nil
    }

    // MARK: Under the lock

    func nextHandle() -> UInt64 {
        lastHandle += 1
        return lastHandle
    }

    func checkActive() throws {
        guard isActive else { throw PluginError.wrongState("@NAME@ is not active") }
    }

    /// Starts a thread that `deactivate` waits for. Those that have ended are joined here.
    func follow(_ body: @escaping @Sendable () -> Void) throws {
        try checkActive()
        for thread in finished { pthread_join(thread, nil) }
        finished = []
        threads.append(
            try startThread { [self] in
                body()
                monitor.locked {
                    guard let index = threads.firstIndex(of: pthread_self()) else { return }
                    finished.append(threads.remove(at: index))
                }
            })
    }

    func tell(_ type: String, _ container: Container) {
        let event: JSON = [
            "type": .string(type), "containerID": .string(container.id), "sandboxID": .string(container.sandboxID),
            "container": container.json,
        ]
        for handler in watchers.values { handler(event) }
    }

    func running(_ request: JSON) throws -> (container: Container, process: pid_t) {
        let id = request["id"].stringValue ?? ""
        guard let container = containers[id] else { throw PluginError.notFound("there is no container \(id)") }
        guard let process = container.process else { throw PluginError.wrongState("container \(id) does not run") }
        return (container, process)
    }

    /// Signals a container, and waits for its end; after `seconds` it is killed. The lock is given up meanwhile.
    func end(_ id: String, _ signal: Int32, seconds: Int64) {
        let deadline = monotonicNanoseconds() + UInt64(min(max(seconds, 0), 86_400)) * 1_000_000_000
        if let process = containers[id]?.process { Processes.kill(process, signal) }
        while let process = containers[id]?.process {
            let isLate = monotonicNanoseconds() >= deadline
            if isLate { Processes.kill(process, SIGKILL) }
            monitor.wait(until: isLate ? 0 : deadline)
        }
    }

    func drop(_ id: String) {
        end(id, SIGKILL, seconds: 0)
        guard var container = containers.removeValue(forKey: id) else { return }
        container.closeLog()
        tell("removed", container)
    }
}

// MARK: Sandboxes and containers

extension @MODULE@ {
    func status(_ request: JSON, deadline: UInt64) -> JSON {
        [
            "name": "@NAME@", "version": "1.0.0", "ready": true, "reason": "", "cgroup": "v2", "cgroupParent": "",
            "snapshotter": "none", "features": [:],
        ]
    }

    func runSandbox(_ request: JSON, deadline: UInt64) throws -> JSON {
        _ = try needed(request["config"], "podUID")
        let sandbox = Sandbox(id: randomID(), config: request["config"])
        try monitor.locked {
            try checkActive()
            sandboxes[sandbox.id] = sandbox
        }
        return ["sandbox": sandbox.json]
    }

    func listSandboxes(_ request: JSON, deadline: UInt64) -> JSON {
        let (id, pod) = (request["id"].stringValue, request["podUID"].stringValue)
        let found = monitor.locked {
            sandboxes.values.filter {
                (id == nil || id == $0.id) && (pod == nil || pod == $0.config["podUID"].stringValue)
            }
        }
        return ["sandboxes": .array(found.map(\.json))]
    }

    /// What is gone already is success, here and below.
    func stopSandbox(_ request: JSON, deadline: UInt64) -> JSON {
        let id = request["id"].stringValue ?? ""
        monitor.locked {
            sandboxes[id]?.isReady = false
            for container in containers.values where container.sandboxID == id {
                end(container.id, SIGKILL, seconds: 0)
            }
        }
        return [:]
    }

    func removeSandbox(_ request: JSON, deadline: UInt64) -> JSON {
        _ = stopSandbox(request, deadline: deadline)
        let id = request["id"].stringValue ?? ""
        monitor.locked {
            for container in containers.values where container.sandboxID == id { drop(container.id) }
            sandboxes[id] = nil
        }
        return [:]
    }

    func createContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        let (sandboxID, config) = (try needed(request, "sandboxID"), request["config"])
        _ = try needed(config, "name")
        let image = try needed(config, "image")
        return try monitor.locked {
            try checkActive()
            guard let sandbox = sandboxes[sandboxID], sandbox.isReady else {
                throw PluginError.notFound("there is no ready sandbox \(sandboxID)")
            }
            guard images.contains(image) else {
                throw PluginError.notFound("there is no image \(image): pull it first")
            }
            let log = config["logPath"].stringValue.map { "\(sandbox.config["logDirectory"].stringValue ?? "")/\($0)" }
            let container = Container(id: randomID(), sandboxID: sandboxID, config: config, logPath: log)
            containers[container.id] = container
            tell("created", container)
            return ["id": .string(container.id)]
        }
    }

    func startContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        let id = try needed(request, "id")
        return try monitor.locked {
            try checkActive()
            guard var container = containers[id] else { throw PluginError.notFound("there is no container \(id)") }
            guard case .created = container.state else {
                throw PluginError.wrongState("container \(id) was started before")
            }
            try container.openLog()
            containers[id] = container
            let process = try start(&container)
            container.state = .running(process)
            container.started = .now()
            containers[id] = container
            tell("started", container)
            return ["container": container.json]
        }
    }

    /// Starts the process, and the two threads that read its output and see it end.
    private func start(_ container: inout Container) throws -> pid_t {
        let config = container.config
        let directory = config["workingDirectory"].stringValue.flatMap { $0.isEmpty ? nil : $0 }
        var launch = Launch(
            config["command"].arrayValue + config["args"].arrayValue, environment: config["environment"],
            directory: directory)
        let (output, error, end) = (try Processes.makePipe(), try Processes.makePipe(), try Processes.makePipe())
        launch.streams = [-1, output.writing, error.writing]
        defer { for writing in [output.writing, error.writing] { close(writing) } }
        let id = container.id
        do {
            let process = try launch.start()
            do {
                try follow { [self] in self.read([output.reading, error.reading], of: id, process, end: end.reading) }
            } catch {
                Processes.kill(process, SIGKILL)
                _ = Processes.reap(process)
                throw error
            }
            try follow {
                // What the process leaves behind may hold its streams open for longer than it lives.
                Processes.awaitEnd(process)
                close(end.writing)
            }
            return process
        } catch let failure {
            for file in [output.reading, error.reading, end.reading, end.writing] { close(file) }
            throw failure
        }
    }

    /// The body of a container's thread: writes its log, and takes note of its end.
    private func read(_ streams: [Int32], of id: String, _ process: pid_t, end: Int32) {
        var lines = LogLines()
        var reader = StreamReader(streams, end: end)
        _ = reader.read { stream, bytes in write(lines.entries(of: stream, bytes), to: id) }
        for stream in 0...1 { write(lines.entries(of: stream, [], isEnd: true), to: id) }
        for file in streams + [end] { close(file) }
        // Until it is reaped, its number is its own: so that is done under the lock under which others kill.
        monitor.locked {
            Processes.kill(process, SIGKILL)
            let code = Processes.reap(process)
            containers[id]?.state = .exited(code: code)
            containers[id]?.finished = .now()
            monitor.signal()
            if let container = containers[id] { tell("exited", container) }
        }
    }

    private func write(_ entries: [UInt8], to id: String) {
        monitor.locked {
            guard !entries.isEmpty, let log = containers[id]?.log, log >= 0 else { return }
            if Glibc.write(log, entries, entries.count) < 0 {
                host.log.warning("the log of \(id) cannot be written: \(String(cString: strerror(errno)))")
            }
        }
    }

    func stopContainer(_ request: JSON, deadline: UInt64) -> JSON {
        let id = request["id"].stringValue ?? ""
        monitor.locked {
            let signal = signalNumber(containers[id]?.config["stopSignal"].stringValue ?? "TERM")
            end(id, signal, seconds: request["timeoutSeconds"].integerValue ?? 10)
        }
        return [:]
    }

    func removeContainer(_ request: JSON, deadline: UInt64) -> JSON {
        monitor.locked { drop(request["id"].stringValue ?? "") }
        return [:]
    }

    func listContainers(_ request: JSON, deadline: UInt64) -> JSON {
        let (id, sandbox) = (request["id"].stringValue, request["sandboxID"].stringValue)
        let found = monitor.locked {
            containers.values.filter { (id == nil || id == $0.id) && (sandbox == nil || sandbox == $0.sandboxID) }
        }
        return ["containers": .array(found.map(\.json))]
    }

    func reopenLog(_ request: JSON, deadline: UInt64) throws -> JSON {
        try monitor.locked {
            let id = try running(request).container.id
            try containers[id]?.openLog()
        }
        return [:]
    }

    private func signalNumber(_ name: String) -> Int32 {
        let known = ["HUP": SIGHUP, "INT": SIGINT, "QUIT": SIGQUIT, "KILL": SIGKILL, "USR1": SIGUSR1, "USR2": SIGUSR2]
        return known[name.hasPrefix("SIG") ? String(name.dropFirst(3)) : name] ?? SIGTERM
    }

    func needed(_ request: JSON, _ member: String) throws -> String {
        guard let text = request[member].stringValue, !text.isEmpty else {
            throw PluginError.invalid("the request needs a text \"\(member)\"")
        }
        return text
    }

    private func randomID() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<2).map { _ in
            let digits = String(generator.next() as UInt64, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
