import CEpoll
import Glibc

/// One TLS connection over a non-blocking socket; without a context, the plain socket. Confined to its connection's thread.
struct Transport {
    enum Result {
        case count(Int)
        case wantsRead
        case wantsWrite
        case end
        case failed(String)

        /// What a failed system call means, which would have been `waiting` for if it had to wait.
        static func ofErrno(_ code: Int32, or waiting: Result) -> Result {
            switch code {
            case EAGAIN, EINTR: waiting
            case ECONNRESET, EPIPE: .end
            default: .failed(String(cString: strerror(code)))
            }
        }
    }

    enum Handshake {
        case done(TLSPeer)
        case waits
        case failed(String)
    }

    private enum State {
        case plain
        case handshake(TLSHandshake)
        /// TLS 1.2.
        case session(TLSHandshake)
        /// TLS 1.3.
        case records(TLSConnection)
        case freed
    }

    private let descriptor: Int32
    private var state: State

    /// Takes over the accepted `descriptor`; nil when OpenSSL has no memory.
    init?(descriptor: Int32, context: TLSContext?) {
        self.descriptor = descriptor
        state = .plain
        guard let context else { return }
        guard let handshake = TLSHandshake(descriptor: descriptor, context: context) else { return nil }
        state = .handshake(handshake)
    }

    var isTLS: Bool { if case .plain = state { false } else { true } }

    /// Goes on with the handshake.
    /// - Parameters:
    ///   - buffer: for what comes meanwhile.
    ///   - space: what the connection's records are made with afterwards.
    mutating func handshake(through buffer: UnsafeMutableRawBufferPointer, _ space: RecordSpace) -> Handshake {
        guard case .handshake(let handshake) = state else { return .done(.plain) }
        switch handshake.advance(through: buffer) {
        case .wantsRead, .wantsWrite: return .waits
        case .end: return .failed("the client has gone")
        case .failed(let reason): return .failed(reason)
        case .count: break
        }
        let peer = handshake.peer
        if let (records, received) = handshake.records() {
            state = .records(
                TLSConnection(descriptor: descriptor, space: space, records: records, received: received))
        } else {
            state = .session(handshake)
        }
        return .done(peer)
    }

    /// Whether it is known that nothing more had come when it was read last.
    var isDrained: Bool { if case .records(let connection) = state { connection.isDrained } else { false } }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Result {
        switch state {
        case .plain:
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            return count > 0 ? .count(count) : count == 0 ? .end : .ofErrno(errno, or: .wantsRead)
        case .session(let session): return session.read(into: buffer)
        case .records(let connection): return connection.read(into: buffer)
        case .handshake, .freed: return .end
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> Result {
        switch state {
        case .plain:
            let count = send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            return count >= 0 ? .count(count) : .ofErrno(errno, or: .wantsWrite)
        case .session(let session): return session.write(bytes)
        case .records(let connection): return connection.write(bytes)
        case .handshake, .freed: return .end
        }
    }

    /// Tells the peer that nothing more comes; its answer is not awaited.
    func shutdown() {
        switch state {
        case .session(let session): session.shutdown()
        case .records(let connection): connection.shutdown()
        case .plain, .handshake, .freed: break
        }
    }

    mutating func free() { state = .freed }
}
