import CEpoll
import Glibc
import Objects
import PluginKit
import Synchronization

/// What a probe tells the pod's worker.
struct ProbeReport: Sendable, Equatable {
    enum Change: Sendable, Equatable {
        case started
        case ready(Bool)
        /// The container must be killed.
        case failed(graceSeconds: Int64?)
        /// A single failed try, for an event.
        case unhealthy(String)
        /// A success that was none quite, for an event.
        case warning(String)
    }
    var podUID: String
    var containerID: String
    var container: String
    var kind: ProbeKind
    var change: Change
}

/// Runs all probes of the node: timing and connections in one thread with one epoll, commands on the operation pool.
/// The thread exists while there are probes and sleeps until the next one is due.
final class ProbeManager: @unchecked Sendable {
    // SAFETY: what the loop's thread owns is touched by it alone; what is shared sits behind `inbox`.
    private enum Command: Sendable {
        /// All probes of one container, so that none is missed by the end of its startup probe.
        case add([ProbeTask])
        case removeContainer(String, keepsReadiness: Bool)
        case removePod(String)
        case result(task: Int, success: Bool, message: String)
        case stop
    }
    private struct Inbox: Sendable {
        var commands: [Command] = []
        var nextTask = 0
        var isRunning = false
        var isStopped = false
        var isClosed = false
    }

    private let runtime: any RuntimeProvider
    private let operations: OperationPool
    private let report: @Sendable (ProbeReport) -> Void
    private let inbox = Mutex(Inbox())
    /// How often probes were tried.
    let metrics = ProbeMetrics()
    private let wakeup: Int32
    private let poller: Int32
    private var tasks: [Int: ProbeTask] = [:]
    private var connections: [Int32: ProbeConnection] = [:]
    private let thread = NodeThread(name: "hostd-probes")

    init(
        runtime: any RuntimeProvider, operations: OperationPool, report: @escaping @Sendable (ProbeReport) -> Void
    ) throws {
        self.runtime = runtime
        self.operations = operations
        self.report = report
        wakeup = try SystemError.check("eventfd", "") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) }
        poller = try SystemError.check("epoll_create1", "") { epoll_create1(Int32(EPOLL_CLOEXEC)) }
        try watch(wakeup, UInt32(EPOLLIN.rawValue), EPOLL_CTL_ADD)
    }

    deinit { closeDescriptors() }

    /// Under the lock under which they are used from other threads; the loop has ended, or never ran.
    private func closeDescriptors() {
        inbox.withLock { inbox in
            guard !inbox.isClosed else { return }
            inbox.isClosed = true
            close(wakeup)
            close(poller)
        }
    }

    // MARK: - From any thread

    /// Begins the probes of a container that runs. `startupPassed` when the API shows it as started already.
    func add(
        _ container: PodContainer, instance: ObservedContainer, podUID: String, startupPassed: Bool, target: ProbeTarget
    ) {
        let kinds = ProbeKind.allCases.filter {
            container.object[$0.member].exists && !($0 == .startup && startupPassed)
        }
        if kinds.isEmpty { return }
        send { inbox in
            .add(
                kinds.map { kind in
                    inbox.nextTask += 1
                    return ProbeTask(
                        id: inbox.nextTask, podUID: podUID, containerID: instance.id, container: container,
                        state: ProbeState(
                            kind: kind, configuration: ProbeConfiguration(container.object[kind.member]),
                            isHealthy: kind == .liveness ? true : nil),
                        target: target, isHeld: kind != .startup && kinds.contains(.startup))
                })
        }
    }

    /// Ends the probes of a container; one that is on its way out may still be asked whether it is ready.
    func remove(containerID: String, keepsReadiness: Bool = false) {
        send { _ in .removeContainer(containerID, keepsReadiness: keepsReadiness) }
    }
    func remove(podUID: String) {
        send { _ in .removePod(podUID) }
        metrics.forget(podUID: podUID)
    }

    /// Returns when no probe runs and no report will come any more.
    func stop() {
        let wasRunning = inbox.withLock { inbox in
            inbox.isStopped = true
            inbox.commands.append(.stop)
            return inbox.isRunning
        }
        if wasRunning {
            wake()
            thread.join()
        }
        closeDescriptors()
    }

    private func send(_ make: (inout Inbox) -> Command) {
        let starts = inbox.withLock { inbox -> Bool? in
            if inbox.isStopped { return nil }
            let command = make(&inbox)
            if !inbox.isRunning {
                // Without probes there is nothing to remove, and no thread to tell.
                guard case .add = command else { return nil }
                inbox.isRunning = true
                inbox.commands.append(command)
                wake()
                return true
            }
            inbox.commands.append(command)
            wake()
            return false
        }
        if starts == true { thread.start { [self] in loop() } }
    }

    private func wake() {
        var one: UInt64 = 1
        // A full counter means that the loop is being woken anyway.
        _ = write(wakeup, &one, 8)
    }

    // MARK: - The loop's thread

    private static let redirectionLimit = 10

    private func loop() {
        var events = [epoll_event](repeating: epoll_event(), count: 32)
        while true {
            let count = epoll_wait(poller, &events, Int32(events.count), timeoutMilliseconds())
            for event in events.prefix(Int(max(count, 0))) {
                if event.data.fd == wakeup {
                    var value: UInt64 = 0
                    _ = read(wakeup, &value, 8)
                } else {
                    advance(event.data.fd)
                }
            }
            for command in inbox.withLock({ inbox -> [Command] in
                defer { inbox.commands.removeAll() }
                return inbox.commands
            }) {
                if case .stop = command {
                    for descriptor in connections.keys { close(descriptor) }
                    connections.removeAll()
                    tasks.removeAll()
                    return
                }
                handle(command)
            }
            runDue()
        }
    }

    private func timeoutMilliseconds() -> Int32 {
        var next = tasks.values.filter { !$0.isHeld && !$0.isInFlight }.map(\.nextAt).min()
        if let deadline = connections.values.map(\.deadline).min() { next = min(next ?? deadline, deadline) }
        guard let next else { return -1 }
        return Int32(min(max((next - ProbeTask.clock()) * 1000, 0).rounded(.up), 3_600_000))
    }

    private func handle(_ command: Command) {
        switch command {
        case .add(let new): for task in new { tasks[task.id] = task }
        case .removeContainer(let id, let keepsReadiness):
            drop { $0.containerID == id && !(keepsReadiness && $0.state.kind == .readiness) }
        case .removePod(let uid): drop { $0.podUID == uid }
        case .result(let id, let success, let message): finish(id, success: success, message: message)
        case .stop: break  // Handled by the loop.
        }
    }

    private func drop(_ matches: (ProbeTask) -> Bool) {
        let ids = Set(tasks.values.filter(matches).map(\.id))
        for id in ids { tasks[id] = nil }
        for (descriptor, connection) in connections where ids.contains(connection.task) {
            connections[descriptor] = nil
            close(descriptor)
        }
    }

    private func runDue() {
        let now = ProbeTask.clock()
        for task in tasks.values where !task.isHeld && !task.isInFlight && task.nextAt <= now { begin(task) }
        for (descriptor, connection) in connections where connection.deadline <= now {
            end(descriptor, .failed("context deadline exceeded (no answer within the timeout)"))
        }
    }

    private func begin(_ task: ProbeTask) {
        tasks[task.id]?.isInFlight = true
        tasks[task.id]?.beganAt = ProbeTask.clock()
        let probe = task.container.object[task.state.kind.member]
        if probe["exec"].exists {
            runCommand(task, probe["exec"]["command"])
        } else {
            connect(task, deadline: ProbeTask.clock() + task.state.configuration.timeout)
        }
    }

    private func connect(_ task: ProbeTask, deadline: Double, to redirection: HTTPPlace? = nil, redirections: Int = 0) {
        do {
            let (exchange, place) = try task.exchange(
                task.container.object[task.state.kind.member], redirection: redirection)
            let (descriptor, _) = try PodSocket.connect(host: place.host, port: place.port)
            connections[descriptor] = ProbeConnection(
                task: task.id, exchange: exchange, place: place, redirections: redirections, deadline: deadline,
                transport: ProbeTransport(descriptor: descriptor, isTLS: place.isTLS))
            try watch(descriptor, UInt32(EPOLLOUT.rawValue), EPOLL_CTL_ADD)
        } catch {
            finish(task.id, success: false, message: "\(error)")
        }
    }

    private func runCommand(_ task: ProbeTask, _ command: JSON) {
        let timeout = task.state.configuration.timeout
        operations.run { [weak self] in
            guard let self else { return }
            var success = false
            var message = ""
            do {
                let answer = try runtime.execSync(
                    [
                        "id": .string(task.containerID), "command": command,
                        "timeoutSeconds": .integer(Int64(timeout.rounded(.up))),
                    ], deadline: WallClock.deadline(seconds: timeout))
                success = answer["exitCode"].integerValue == 0
                let output = ["stdout", "stderr"].map { answer[$0].stringValue.flatMap { Base64.decode($0) } ?? [] }
                message = String(decoding: (output[0] + output[1]).prefix(1024), as: UTF8.self)
            } catch {
                message = "\(error)"
            }
            let result = Command.result(task: task.id, success: success, message: message)
            let isRunning = inbox.withLock { inbox in
                if !inbox.isStopped { inbox.commands.append(result) }
                return !inbox.isStopped
            }
            if isRunning { wake() }
        }
    }

    /// Goes on with a connection that epoll reported.
    private func advance(_ descriptor: Int32) {
        guard var connection = connections[descriptor] else { return }
        let progress = connection.advance()
        connections[descriptor] = connection
        if progress != .needsMore { return end(descriptor, progress) }
        do {
            let events = connection.wantsOutput ? EPOLLOUT : EPOLLIN
            try watch(descriptor, UInt32(events.rawValue), EPOLL_CTL_MOD)
        } catch {
            end(descriptor, .failed("\(error)"))
        }
    }

    private func end(_ descriptor: Int32, _ progress: ProbeProgress) {
        guard let connection = connections.removeValue(forKey: descriptor) else { return }
        close(descriptor)
        switch progress {
        case .succeeded: finish(connection.task, success: true, message: "")
        case .failed(let message): finish(connection.task, success: false, message: message)
        case .redirected(let location): follow(connection, to: location)
        case .needsMore: finish(connection.task, success: false, message: "the conversation was broken off")
        }
    }

    /// A probe goes where its host sends it, and nowhere else: what another host would say is not about this container.
    private func follow(_ connection: ProbeConnection, to location: String) {
        guard let task = tasks[connection.task] else { return }
        guard let next = connection.place.following(location) else {
            return finish(task.id, success: false, message: "the answer redirects to \"\(location)\", which is no URL")
        }
        guard next.host == connection.place.host else {
            report(task.report(.warning("Probe terminated redirects, Response body: \(connection.body)")))
            return finish(task.id, success: true, message: "")
        }
        guard connection.redirections < Self.redirectionLimit else {
            return finish(
                task.id, success: false,
                message: "Get \"\(next.url)\": stopped after \(Self.redirectionLimit) redirects")
        }
        connect(task, deadline: connection.deadline, to: next, redirections: connection.redirections + 1)
    }

    private func finish(_ id: Int, success: Bool, message: String) {
        guard var task = tasks[id] else { return }
        let verdict = task.state.record(success: success)
        metrics.record(
            .init(podUID: task.podUID, container: task.container.name, kind: task.state.kind),
            namespace: task.target.namespace, pod: task.target.pod, success: success,
            seconds: ProbeTask.clock() - task.beganAt)
        task.isInFlight = false
        task.nextAt = ProbeTask.clock() + task.state.nextDelay
        tasks[id] = task
        if !success, task.state.reportsFailure { report(task.report(.unhealthy(message))) }
        guard let verdict else { return }
        switch task.state.kind {
        case .readiness: report(task.report(.ready(verdict)))
        case .startup where verdict:
            tasks[id] = nil
            for other in tasks.values where other.containerID == task.containerID { tasks[other.id]?.isHeld = false }
            report(task.report(.started))
        case .startup, .liveness:
            if verdict { return }
            drop { $0.containerID == task.containerID }
            report(task.report(.failed(graceSeconds: task.state.configuration.terminationGraceSeconds)))
        }
    }

    private func watch(_ descriptor: Int32, _ events: UInt32, _ operation: Int32) throws {
        var event = epoll_event(events: events, data: epoll_data_t(fd: descriptor))
        try SystemError.check("epoll_ctl", "") { epoll_ctl(poller, operation, descriptor, &event) }
    }
}
