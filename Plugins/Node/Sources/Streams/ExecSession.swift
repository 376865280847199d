import CEpoll
import Glibc
import Objects
import PluginKit
import Synchronization

/// Channels of the subprotocols v4.channel.k8s.io and v5.channel.k8s.io, and of their ancestor: the first byte of a message.
enum StreamChannel {
    /// The ancestor, which a client speaks that names no subprotocol.
    static let firstVersion = "channel.k8s.io"
    static let standardInput: UInt8 = 0
    static let standardOutput: UInt8 = 1
    static let standardError: UInt8 = 2
    static let status: UInt8 = 3
    static let resize: UInt8 = 4
    /// v5 only: the byte that follows names the channel that is closed.
    static let close: UInt8 = 255
}

/// Carries an exec or attach between a client's messages and the streams of a process. Runs on a thread of its own;
/// memory is bounded: what one side does not take is not read from the other.
final class ExecSession {
    struct Options: Sendable {
        var containerID: String
        /// Nil attaches to the container's own process.
        var command: [String]?
        var stdin: Bool
        var stdout: Bool
        var stderr: Bool
        var tty: Bool
        /// The first version of the channels, `channel.k8s.io`: only failures are told, as a text.
        var isFirstVersion = false
    }

    private let options: Options
    private let runtime: any RuntimeProvider
    private let client: PacketStream
    private var input: Int32 = -1
    private var output: Int32 = -1
    private var error: Int32 = -1
    private var pendingInput: [UInt8] = []
    private var inputEnds = false
    private let ended: Outcome
    private var operation: UInt64?

    /// The end of the process, as the runtime's completion reports it.
    private final class Outcome: Sendable {
        let signal: ExitSignal
        private let result = Mutex<Result<JSON, PluginError>?>(nil)
        init() throws { signal = try ExitSignal() }
        func complete(_ value: Result<JSON, PluginError>) {
            result.withLock { $0 = value }
            signal.signal()
        }
        var value: Result<JSON, PluginError>? { result.withLock { $0 } }
    }

    init(options: Options, runtime: any RuntimeProvider, client: PacketStream) throws {
        self.options = options
        self.runtime = runtime
        self.client = client
        ended = try Outcome()
    }

    deinit { closeAll() }

    /// Starts the process. What fails here fails before the client hears anything.
    func start() throws {
        var given: [Int32] = [-1, -1, -1]
        do {
            if options.tty {
                (input, given[0]) = try Self.pair()
                output = options.stdout ? input : -1
            } else {
                if options.stdin { (given[0], input) = try Self.pipe() }
                if options.stdout { (output, given[1]) = try Self.pipe() }
                if options.stderr { (error, given[2]) = try Self.pipe() }
            }
        } catch {
            for descriptor in given where descriptor >= 0 { close(descriptor) }
            throw error
        }
        for descriptor in [input, output, error] where descriptor >= 0 { Self.makeNonblocking(descriptor) }
        var request: JSON = ["id": .string(options.containerID), "tty": .bool(options.tty)]
        let ended = ended
        let completion: Completion = { ended.complete($0) }
        if let command = options.command {
            request["command"] = JSON(command)
            operation = try runtime.exec(
                request, standardInput: given[0], standardOutput: given[1], standardError: given[2],
                completion: completion)
        } else {
            operation = try runtime.attach(
                request, standardInput: given[0], standardOutput: given[1], standardError: given[2],
                completion: completion)
        }
    }

    /// Carries bytes until the process has ended or the client has gone.
    func run() {
        do {
            while true {
                if ended.value != nil {
                    try drain(&output, StreamChannel.standardOutput)
                    try drain(&error, StreamChannel.standardError)
                    try sendStatus()
                    return
                }
                try step()
            }
        } catch {
            // The client has gone: nobody reads what the process says.
            cancel()
        }
    }

    private func cancel() {
        guard let operation, ended.value == nil else { return }
        do { try runtime.execCancel(operation) } catch { return }  // It ended by itself in this moment.
    }

    private func step() throws {
        let wantsInput = !pendingInput.isEmpty || inputEnds
        var waits = [
            pollfd(fd: ended.signal.descriptor, events: Int16(POLLIN), revents: 0),
            // While the process does not take its input, no more is read from the client.
            pollfd(fd: pendingInput.count < 64 << 10 ? client.descriptor : -1, events: Int16(POLLIN), revents: 0),
            pollfd(fd: output, events: Int16(POLLIN), revents: 0),
            pollfd(fd: error, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wantsInput ? input : -1, events: Int16(POLLOUT), revents: 0),
        ]
        try SystemError.check("poll", "") { poll(&waits, nfds_t(waits.count), -1) }
        if waits[1].revents != 0 { try receive() }
        if waits[2].revents != 0 { try copy(&output, StreamChannel.standardOutput) }
        if waits[3].revents != 0 { try copy(&error, StreamChannel.standardError) }
        if wantsInput { writeInput() }
    }

    // MARK: - From the client

    private func receive() throws {
        guard let message = try client.receive() else { throw StreamClosed() }
        guard let channel = message.first else { return }
        let content = message.dropFirst()
        switch channel {
        case StreamChannel.standardInput:
            if input >= 0, options.stdin { pendingInput += content }
        case StreamChannel.resize: resize(Array(content))
        case StreamChannel.close where content.first == StreamChannel.standardInput: inputEnds = true
        default: break  // Nothing else is for the process.
        }
    }

    private func resize(_ message: [UInt8]) {
        do {
            let size = try JSON(parsing: message)
            guard let operation, let width = size["Width"].integerValue, let height = size["Height"].integerValue else {
                return
            }
            try runtime.execResize(operation, width: UInt32(clamping: width), height: UInt32(clamping: height))
        } catch {
            return  // A size that cannot be set changes nothing else.
        }
    }

    private func writeInput() {
        while !pendingInput.isEmpty {
            let count = pendingInput.withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
            if count > 0 {
                pendingInput.removeFirst(count)
            } else if errno == EAGAIN {
                return
            } else if errno != EINTR {
                pendingInput.removeAll()
                inputEnds = true
            }
        }
        guard inputEnds else { return }
        inputEnds = false
        if options.tty {
            pendingInput = []
        } else {
            close(input)
            input = -1
        }
    }

    // MARK: - To the client

    private func copy(_ source: inout Int32, _ channel: UInt8) throws {
        var buffer = [UInt8](repeating: 0, count: PacketStream.maximumPacket)
        let count = read(source, &buffer, buffer.count)
        if count > 0 {
            try client.send(Array(buffer[..<count]), channel: channel)
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
            // A terminal's end is EIO.
            if source != input { close(source) }
            source = -1
        }
    }

    /// Sends what the process had written when it ended; what its children write later is nobody's.
    private func drain(_ source: inout Int32, _ channel: UInt8) throws {
        while source >= 0 {
            var wait = pollfd(fd: source, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, 0) > 0 else { return }
            try copy(&source, channel)
        }
    }

    private func sendStatus() throws {
        guard let result = ended.value, let packet = Self.statusPacket(result, options) else { return }
        try client.sendPacket(packet)
    }

    /// What ends a session on channel 3; nil for a success of which the client is not told.
    static func statusPacket(_ result: Result<JSON, PluginError>, _ options: Options) -> [UInt8]? {
        let status = status(result, isAttach: options.command == nil)
        guard options.isFirstVersion else { return [StreamChannel.status] + status.serialized() }
        if status["status"].stringValue == "Success" { return nil }
        return [StreamChannel.status] + Array((status["message"].stringValue ?? "").utf8)
    }

    /// The Status that ends a session. An attach has nothing to say of the container's end: whoever wants to know asks for the
    /// pod, and a failure would tell kubectl that it could not attach.
    static func status(_ result: Result<JSON, PluginError>, isAttach: Bool) -> JSON {
        switch result {
        case .success(let value):
            let code = isAttach ? 0 : value["exitCode"].integerValue ?? 0
            if code == 0 { return ["metadata": [:], "status": "Success"] }
            return [
                "metadata": [:], "status": "Failure", "reason": "NonZeroExitCode",
                "message": .string("command terminated with non-zero exit code: exit status \(code)"),
                "details": ["causes": [["reason": "ExitCode", "message": .string(String(code))]]],
            ]
        case .failure(let error):
            return [
                "metadata": [:], "status": "Failure", "reason": "InternalError", "code": 500,
                "message": .string("Internal error occurred: \(error)"),
                "details": ["causes": [["message": .string("\(error)")]]],
            ]
        }
    }

    // MARK: - Descriptors

    private func closeAll() {
        if error >= 0 { close(error) }
        if output >= 0, output != input { close(output) }
        if input >= 0 { close(input) }
        (input, output, error) = (-1, -1, -1)
    }

    private static func pipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        try SystemError.check("pipe", "") { Glibc.pipe(&ends) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    private static func pair() throws -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        try SystemError.check("socketpair", "") { socketpair(AF_UNIX, kind, 0, &ends) }
        return (ends[0], ends[1])
    }

    private static func makeNonblocking(_ descriptor: Int32) {
        let flags = fcntl(descriptor, F_GETFL)
        if flags >= 0 { _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) }
    }
}
