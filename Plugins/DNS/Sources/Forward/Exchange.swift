import CEpoll
import Glibc

/// One question to the upstream servers, until one has answered or none has in time. Each try uses a socket of its own,
/// so that port and identifier are both new and random: a forged answer has to guess them.
final class Exchange: EventSource {
    private let thread: EventThread
    private let query: Query
    private let servers: [Upstreams.Server]
    private let done: (Exchange, UpstreamResponse?) -> Void
    private let lastMoment: UInt64
    private var attempt = -1
    private var identifier: UInt16 = 0
    private var socket: Descriptor?
    private var token: UInt64 = 0
    private var isStream = false
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private(set) var deadline = UInt64.max

    private static let attemptNanoseconds: UInt64 = 1_500_000_000
    private static let totalNanoseconds: UInt64 = 4_500_000_000

    /// - Parameter done: called once, on the event thread, with nil when no server has answered.
    init(
        thread: EventThread, query: Query, servers: [Upstreams.Server],
        done: @escaping (Exchange, UpstreamResponse?) -> Void
    ) {
        self.thread = thread
        self.query = query
        self.servers = servers
        self.done = done
        lastMoment = monotonicNow() + Self.totalNanoseconds
    }

    /// Asks the first server, or the next one. Every server is asked twice at most.
    func start() {
        leave()
        attempt += 1
        guard attempt < 2 * servers.count, monotonicNow() < lastMoment else { return done(self, nil) }
        ask(servers[attempt % servers.count], stream: false)
    }

    private func ask(_ server: Upstreams.Server, stream: Bool) {
        isStream = stream
        input = []
        identifier = UInt16.random(in: 0...UInt16.max)
        let message = MessageWriter.query(identifier: identifier, query)
        deadline = min(monotonicNow() + Self.attemptNanoseconds, lastMoment)
        do {
            let socket = try Descriptor(socket: stream ? SOCK_STREAM : SOCK_DGRAM)
            let status = socket.with(server.address, server.port, connect)
            guard status == 0 || errno == EINPROGRESS else { return start() }
            self.socket = socket
            if stream {
                output = [UInt8(message.count >> 8), UInt8(message.count & 255)] + message
                token = thread.add(self, socket.number, events: EPOLLIN.rawValue | EPOLLOUT.rawValue)
            } else {
                token = thread.add(self, socket.number, events: EPOLLIN.rawValue)
                if socket.send(message) < 0 { start() }
            }
        } catch {
            start()
        }
    }

    private func leave() {
        if let socket { thread.remove(token, socket.number) }
        socket = nil
        deadline = .max
    }

    func expired() { start() }

    func ready(_ events: UInt32) {
        guard let socket else { return }
        if isStream, !output.isEmpty, events & EPOLLOUT.rawValue != 0 {
            let count = socket.send(output)
            if count < 0 && errno != EAGAIN { return start() }
            output.removeFirst(max(0, count))
            if output.isEmpty { thread.change(token, socket.number, events: EPOLLIN.rawValue) }
        }
        guard events & (EPOLLIN.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 else { return }
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(socket.number, &buffer, buffer.count, 0)
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
        guard count > 0 else { return start() }
        if isStream {
            input += buffer[..<count]
            guard input.count >= 2 else { return }
            let size = Int(input[0]) << 8 | Int(input[1])
            guard input.count >= 2 + size else { return }
            take(Array(input[2..<2 + size]))
        } else {
            take(Array(buffer[..<count]))
        }
    }

    /// A datagram that is no answer to the question is ignored: the right one may follow.
    private func take(_ bytes: [UInt8]) {
        guard let response = UpstreamResponse(bytes, identifier: identifier, question: query.question) else {
            if isStream { start() }
            return
        }
        if response.isTruncated && !isStream {
            leave()
            return ask(servers[attempt % servers.count], stream: true)
        }
        if response.code == ResponseCode.serverFailure.rawValue || response.code == ResponseCode.refused.rawValue,
            attempt + 1 < servers.count
        {
            return start()
        }
        leave()
        done(self, response)
    }
}
