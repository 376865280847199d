import CRuntime
import Glibc
import Objects
import PluginKit

extension RuntimeService {
    /// Checks a request and starts its process, with the helper that looks after it.
    private func startProcess(
        _ container: Container, _ request: JSON, _ streams: [Descriptor?], control: Descriptor
    ) throws(PluginError) -> Launcher.Helper {
        let command = request["command"].arrayValue.compactMap(\.stringValue)
        guard !command.isEmpty else { throw .invalid("the request names no command") }
        let running = try container.requireRunning()
        guard let sandbox = state.withLock({ $0.sandboxes[container.sandboxID] }),
            let image = try images.find(container.image.description)
        else { throw .notFound("the sandbox or the image of container \(container.id) is gone") }
        return try engine.execute(
            ExecCall(
                container: container, sandbox: sandbox, image: image, target: running.start.process, command: command,
                hasTerminal: request["tty"].boolValue ?? false, user: request["user"].stringValue, streams: streams,
                control: control))
    }

    // MARK: With streams

    package func exec(
        _ request: JSON, _ streams: [Descriptor?], completion: @escaping Completion
    ) throws(PluginError) -> UInt64 {
        let container = try container(request)
        let control = try DescriptorPair.sequencedSockets()
        let helper = try startProcess(container, request, streams, control: control.second)
        let operation = OperationTable.Operation(control: control.first, isAttach: false, completion: completion)
        let handle = operations.add(operation)
        let subject = "exec in container \(container.configuration.name)"
        let finish: @Sendable (Result<JSON, PluginError>) -> Void = { [operations] result in
            Launcher.reap(helper.descriptor)
            operations.remove(handle)
            operation.complete(result)
        }
        do throws(PluginError) {
            try supervisor.watch(helper.reports) { [engine] in
                do throws(PluginError) {
                    guard let report = try Launcher.receive(helper.reports, milliseconds: 0) else {
                        finish(.failure(.internal("\(subject): its helper ended without a word")))
                        return false
                    }
                    switch report.kind {
                    case .started, .terminal: return true
                    case .failed: finish(.failure(engine.failure(report, of: container, subject: subject)))
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

    package func attach(
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

    package func resize(_ handle: UInt64, width: UInt32, height: UInt32) throws(PluginError) {
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

    package func cancel(_ handle: UInt64) {
        guard let operation = operations[handle] else { return }
        if operation.isAttach {
            shutdown(operation.control.number, Int32(SHUT_RDWR))
        } else {
            var command = UInt8(ascii: "K")
            send(operation.control.number, &command, 1, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
    }

    // MARK: Collecting the output

    package func runAndCollect(_ request: JSON, deadline: UInt64) throws(PluginError) -> JSON {
        let container = try container(request)
        let control = try DescriptorPair.sequencedSockets()
        let output = try DescriptorPair.pipe()
        let error = try DescriptorPair.pipe()
        let helper = try startProcess(
            container, request, [nil, output.second, error.second], control: control.second)
        var collection = ExecCollection(
            output: output.first, error: error.first, reports: helper.reports, control: control.first,
            subject: "exec in container \(container.configuration.name)"
        ) { [engine] report, subject in engine.failure(report, of: container, subject: subject) }
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
