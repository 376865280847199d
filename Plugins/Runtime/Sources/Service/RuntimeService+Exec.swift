import CRuntime
import Glibc
import Objects
import PluginKit

extension RuntimeService {
    static let execOutputLimit = 16 << 20

    /// The helper's configuration for a further process in a running container.
    private func execConfiguration(_ container: Container, _ request: JSON) throws(PluginError) -> InitConfiguration {
        let command = request["command"].arrayValue.compactMap(\.stringValue)
        guard !command.isEmpty else { throw .invalid("the request names no command") }
        let running = try container.requireRunning()
        guard let sandbox = state.withLock({ $0.sandboxes[container.sandboxID] }),
            let image = try images.find(container.image.description)
        else { throw .notFound("the sandbox or the image of container \(container.id) is gone") }
        let plan = try plan(container, sandbox, image)
        var result = InitConfiguration()
        result.add(.targetProcess, [UInt64(running.start.process.process), running.start.process.startTime])
        if let directory = plan.groups.unifiedDirectory { result.add(.cgroupUnified, directory) }
        for file in plan.groups.joinFiles { result.add(.cgroupJoin, file) }
        let hasTerminal = request["tty"].boolValue ?? false
        if hasTerminal { result.add(.terminal, 1) }
        for argument in command { result.add(.argument, argument) }
        let environment = plan.environment()
        for variable in environment { result.add(.environment, variable) }
        if hasTerminal, !environment.contains(where: { $0.hasPrefix("TERM=") }) {
            result.add(.environment, "TERM=xterm")
        }
        let directory =
            container.configuration.workingDirectory.isEmpty
            ? image.configuration.workingDirectory : container.configuration.workingDirectory
        result.add(.workingDirectory, directory.isEmpty ? "/" : directory)
        plan.addIdentity(&result, user: request["user"].stringValue)
        return result
    }

    // MARK: With streams

    func exec(
        _ request: JSON, _ streams: [Descriptor?], completion: @escaping Completion
    ) throws(PluginError) -> UInt64 {
        let container = try container(request)
        let configuration = try execConfiguration(container, request)
        let control = try DescriptorPair.sequencedSockets()
        let helper = try launcher.start(.exec, configuration, streams: streams, control: control.second)
        let operation = OperationTable.Operation(control: control.first, isAttach: false, completion: completion)
        let handle = operations.add(operation)
        let subject = "exec in container \(container.configuration.name)"
        let finish: @Sendable (Result<JSON, PluginError>) -> Void = { [operations] result in
            Launcher.reap(helper.descriptor)
            operations.remove(handle)
            operation.complete(result)
        }
        do throws(PluginError) {
            try supervisor.watch(helper.reports) {
                do throws(PluginError) {
                    guard let report = try Launcher.receive(helper.reports, milliseconds: 0) else {
                        finish(.failure(.internal("\(subject): its helper ended without a word")))
                        return false
                    }
                    switch report.kind {
                    case .started, .terminal: return true
                    case .failed: finish(.failure(LaunchFailure.error(report, subject: subject)))
                    case .exited: finish(.success(["exitCode": JSON(report.code)]))
                    }
                } catch {
                    finish(.failure(error))
                }
                return false
            }
        } catch {
            operations.remove(handle)
            throw error
        }
        return handle
    }

    func attach(
        _ request: JSON, _ streams: [Descriptor?], completion: @escaping Completion
    ) throws(PluginError) -> UInt64 {
        let container = try container(request)
        _ = try container.requireRunning()
        let connection = try container.connectToMonitor()
        var flags: UInt8 = 0
        var numbers: [Int32] = []
        for (index, stream) in streams.enumerated() {
            guard let stream else { continue }
            flags |= 1 << UInt8(index)
            numbers.append(stream.number)
        }
        let packet: [UInt8] = [UInt8(ascii: "A"), flags]
        guard
            runtime_send_descriptors(connection.number, packet, packet.count, numbers, Int32(numbers.count))
                == packet.count
        else { throw .system("reach", "the monitor of container \(container.configuration.name)", errno: errno) }
        var answer: Int32 = 0
        guard recv(connection.number, &answer, 4, 0) == 4 else {
            throw .wrongState("container \(container.configuration.name) ended before it could be attached to")
        }
        if answer != 0 { throw .system("attach to", "container \(container.configuration.name)", errno: answer) }
        let operation = OperationTable.Operation(control: connection, isAttach: true, completion: completion)
        let handle = operations.add(operation)
        do throws(PluginError) {
            try supervisor.watch(connection) { [operations] in
                var late: Int32 = 0
                // Answers to resizes come here; the end of the connection is the end of the attach.
                if recv(connection.number, &late, 4, Int32(MSG_DONTWAIT)) > 0 { return true }
                if errno == EAGAIN { return true }
                operations.remove(handle)
                var result: JSON = [:]
                if case .exited(let exit, _) = container.state.withLock({ $0 }) { result["exitCode"] = JSON(exit.code) }
                operation.complete(.success(result))
                return false
            }
        } catch {
            operations.remove(handle)
            throw error
        }
        return handle
    }

    func resize(_ handle: UInt64, width: UInt32, height: UInt32) throws(PluginError) {
        guard let operation = operations[handle] else { throw .notFound("there is no exec or attach \(handle)") }
        let columns = UInt16(clamping: width)
        let rows = UInt16(clamping: height)
        var packet: [UInt8] = [UInt8(ascii: "R")]
        withUnsafeBytes(of: columns) { packet += $0 }
        withUnsafeBytes(of: rows) { packet += $0 }
        let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
        // One that has just ended has no terminal to resize.
        if send(operation.control.number, packet, packet.count, flags) < 0, errno != EPIPE, errno != ECONNRESET {
            throw .system("resize", "the terminal", errno: errno)
        }
    }

    func cancel(_ handle: UInt64) {
        guard let operation = operations[handle] else { return }
        if operation.isAttach {
            shutdown(operation.control.number, Int32(SHUT_RDWR))
        } else {
            var command = UInt8(ascii: "K")
            send(operation.control.number, &command, 1, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
    }

    // MARK: Collecting the output

    func runAndCollect(_ request: JSON, deadline: UInt64) throws(PluginError) -> JSON {
        let container = try container(request)
        let configuration = try execConfiguration(container, request)
        let control = try DescriptorPair.sequencedSockets()
        let output = try DescriptorPair.pipe()
        let error = try DescriptorPair.pipe()
        let helper = try launcher.start(
            .exec, configuration, streams: [nil, output.second, error.second], control: control.second)
        var collection = ExecCollection(
            output: output.first, error: error.first, reports: helper.reports, control: control.first,
            subject: "exec in container \(container.configuration.name)")
        let seconds = request["timeoutSeconds"].integerValue ?? 0
        if seconds > 0 { collection.deadline = monotonicNanoseconds() + UInt64(min(seconds, 1 << 20)) * 1_000_000_000 }
        if deadline > 0 { collection.deadline = min(collection.deadline, deadline) }
        return try Self.collect(&collection, helper)
    }

    private static func collect(_ collection: inout ExecCollection, _ helper: Launcher.Helper) throws(PluginError)
        -> JSON
    {
        defer { Launcher.reap(helper.descriptor) }
        let exit = try collection.run()
        return [
            "exitCode": JSON(exit.code), "stdout": .string(Base64.encode(collection.outputBytes)),
            "stderr": .string(Base64.encode(collection.errorBytes)),
        ]
    }
}

/// Reads what a process writes until it has ended, within time and size.
struct ExecCollection {
    let output: Descriptor
    let error: Descriptor
    let reports: Descriptor
    let control: Descriptor
    let subject: String
    /// Monotonic nanoseconds.
    var deadline = UInt64.max
    private(set) var outputBytes: [UInt8] = []
    private(set) var errorBytes: [UInt8] = []
    private var chunk = [UInt8](repeating: 0, count: 32_768)

    init(output: Descriptor, error: Descriptor, reports: Descriptor, control: Descriptor, subject: String) {
        self.output = output
        self.error = error
        self.reports = reports
        self.control = control
        self.subject = subject
        for stream in [output, error] { _ = fcntl(stream.number, F_SETFL, O_NONBLOCK) }
    }

    mutating func run() throws(PluginError) -> InitReport {
        var polled = [output, error, reports].map { pollfd(fd: $0.number, events: Int16(POLLIN), revents: 0) }
        while true {
            let now = monotonicNanoseconds()
            if now >= deadline {
                try kill()
                throw .deadlineExceeded("\(subject): the command did not end in time and was killed")
            }
            let wait = deadline == .max ? -1 : Int32(clamping: (deadline - now) / 1_000_000 + 1)
            if poll(&polled, nfds_t(polled.count), wait) < 0, errno != EINTR {
                throw .system("wait for", subject, errno: errno)
            }
            if polled[0].revents != 0, try take(output, isError: false) { polled[0].fd = -1 }
            if polled[1].revents != 0, try take(error, isError: true) { polled[1].fd = -1 }
            if polled[2].revents != 0 {
                guard let report = try Launcher.receive(reports, milliseconds: 0) else {
                    throw .internal("\(subject): its helper ended without a word")
                }
                if report.kind == .failed { throw LaunchFailure.error(report, subject: subject) }
                if report.kind == .exited {
                    // What it had written before its end; a process that it left behind may hold the pipes open.
                    _ = try take(output, isError: false)
                    _ = try take(error, isError: true)
                    return report
                }
            }
        }
    }

    /// Reads all there is now; true at the end of the stream.
    private mutating func take(_ stream: Descriptor, isError: Bool) throws(PluginError) -> Bool {
        while true {
            let count = read(stream.number, &chunk, chunk.count)
            if count < 0 { return errno != EAGAIN && errno != EINTR }
            if count == 0 { return true }
            if isError { errorBytes += chunk[0..<count] } else { outputBytes += chunk[0..<count] }
            if outputBytes.count + errorBytes.count > RuntimeService.execOutputLimit {
                try kill()
                throw .exhausted(
                    "\(subject): the command wrote more than \(RuntimeService.execOutputLimit >> 20) MiB and was killed"
                )
            }
        }
    }

    private func kill() throws(PluginError) {
        var command = UInt8(ascii: "K")
        if send(control.number, &command, 1, Int32(MSG_NOSIGNAL)) < 0, errno != EPIPE {
            throw .system("kill", subject, errno: errno)
        }
    }
}
