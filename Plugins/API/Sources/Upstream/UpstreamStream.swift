import CEpoll
import Glibc

/// The bytes between a client's connection and a server, in both directions: over TCP or through the packets of a forwarded
/// port, in TLS where that is asked for. Lives on the connection's loop, which it tells when it can go on. It reads only
/// when it is asked, and says when it holds so much that the client should wait.
final class UpstreamStream: EventHandler {
    /// Most bytes that are sent at once: what the other side of a packet socket takes.
    static let pieceLimit = 32 * 1024
    /// With so many bytes unsent the client waits.
    private static let highWater = 64 * 1024
    /// How long a handshake of TLS may take, in nanoseconds.
    private static let handshakeTimeout: UInt64 = 10_000_000_000

    private let upstream: UpstreamConnection
    private let loop: EventLoop
    private unowned let connection: any UpgradeHost
    private var descriptor: Int32 { upstream.descriptor }
    private var session: TLSClientSession? { upstream.session }
    private var token: EventLoop.Token?
    private var unsent = OutputQueue()
    private var isReadable = true
    private var isWritable = true
    private var isEnded = false
    private var failure: UpstreamError?
    private var deadline = UInt64.max

    init(_ upstream: UpstreamConnection, connection: any UpgradeHost) throws(HTTPServerError) {
        self.upstream = upstream
        self.connection = connection
        loop = connection.loop
        let events = EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
        token = try loop.add(self, descriptor: upstream.descriptor, events: events)
        guard let session, !session.isEstablished else { return }
        attempt { () throws(UpstreamError) in try session.advance() }
        deadline = loop.now + Self.handshakeTimeout
        loop.schedule(deadline: deadline)
    }

    func checkDeadline(now: UInt64) -> UInt64 {
        guard now >= deadline else { return deadline }
        deadline = .max
        if session?.isEstablished == false {
            failure = failure ?? UpstreamError("TLS handshake timeout")
            loop.post { [weak connection] in connection?.pumpIsReady() }
        }
        return deadline
    }

    func ready(_ events: UInt32) {
        if events & ~EPOLLOUT.rawValue != 0 { isReadable = true }
        if events & ~EPOLLIN.rawValue != 0 { isWritable = true }
        flush()
        connection.pumpIsReady()
    }

    /// The client has read on.
    func resumeReading() {
        guard !isEnded else { return }
        loop.post { [weak connection] in connection?.pumpIsReady() }
    }

    var isBlocked: Bool { unsent.count >= Self.highWater }

    func send(_ bytes: [UInt8]) {
        guard !isEnded, failure == nil else { return }
        if let session {
            attempt { () throws(UpstreamError) in try session.send(bytes) }
        } else {
            unsent.append(bytes)
        }
        flush()
    }

    private func attempt(_ work: () throws(UpstreamError) -> Void) {
        do throws(UpstreamError) { try work() } catch { failure = failure ?? error }
    }

    private func flush() {
        if let output = session?.takeOutput(), !output.isEmpty { unsent.append(output) }
        while !unsent.isEmpty, isWritable, !isEnded {
            let count = unsent.withNext { bytes in
                Glibc.send(descriptor, bytes.baseAddress, min(bytes.count, Self.pieceLimit), Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                unsent.consume(count)
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN, ENOBUFS: isWritable = false
            // The server takes no more; what it has said before is still to be read, and then its end.
            default: unsent.removeAll()
            }
        }
    }

    enum Received {
        case bytes(UnsafeRawBufferPointer)
        case nothing
        /// The server has ended the connection.
        case end
        case failure(UpstreamError)
    }

    /// The next bytes of the server's, in `buffer` and valid until the next call.
    func receive(into buffer: UnsafeMutableRawBufferPointer) -> Received {
        guard !isEnded else { return .end }
        while failure == nil {
            if let session {
                var received = TLSClientSession.Received.nothing
                attempt { () throws(UpstreamError) in received = try session.read(into: buffer) }
                switch received {
                case .count(let count): return .bytes(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                case .end: return .end
                case .nothing: break
                }
            }
            guard isReadable, failure == nil else { break }
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count == 0 { return .end }
            guard count > 0 else {
                switch errno {
                case EINTR: continue
                case EAGAIN: isReadable = false
                default: failure = UpstreamError("read: \(String(cString: strerror(errno)))")
                }
                break
            }
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            guard let session else { return .bytes(bytes) }
            session.receive(bytes)
            attempt { () throws(UpstreamError) in try session.advance() }
            flush()
        }
        return failure.map { .failure($0) } ?? .nothing
    }

    /// Ends the connection. Idempotent.
    func end() {
        guard !isEnded else { return }
        session?.finish()
        flush()
        leave()
        // It may be held for another moment; its server is told now.
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    private func leave() {
        isEnded = true
        if let token { loop.remove(token, descriptor: descriptor) }
        token = nil
    }

    /// Gives the connection back, when it can take another request: nothing is on its way in either direction.
    func release() -> UpstreamConnection? {
        guard !isEnded, failure == nil, unsent.isEmpty, session?.isIdle ?? true else { return nil }
        leave()
        return upstream
    }

    /// Whether the server may have ended the connection before it saw the request.
    var isReused: Bool { upstream.isReused }
}
