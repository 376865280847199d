import CEpoll
import Glibc

/// One request and its answer over HTTPS, on a connection of its own, with a deadline for all that happens on it. [blocking]
final class UpstreamCall {
    private let descriptor: Int32
    private let session: TLSClientSession
    private let deadline: UInt64
    private var buffer = [UInt8](repeating: 0, count: PacketPump.packetLimit)

    /// Takes over `descriptor`, a connected, non-blocking socket, also when it throws.
    /// - Parameter deadline: CLOCK_MONOTONIC, nanoseconds.
    init(_ descriptor: Int32, _ session: TLSClientSession, deadline: UInt64) throws(UpstreamError) {
        self.descriptor = descriptor
        self.session = session
        self.deadline = deadline
        try session.advance()
        while !session.isEstablished {
            try send()
            guard try receive() else { throw UpstreamError("TLS handshake: EOF") }
            try session.advance()
        }
    }

    deinit { close(descriptor) }

    /// Sends a request and takes its answer.
    /// - Parameters:
    ///   - head: up to the last line's end; the empty line behind it is added.
    ///   - limit: most bytes of the answer's body.
    func answer(
        to method: String, head: String, body: [UInt8], limit: Int
    ) throws(UpstreamError) -> (head: HTTPResponseHead, body: [UInt8]) {
        try session.send(Array((head + "\r\n").utf8) + body)
        try send()
        var received: [UInt8] = []
        let response: HTTPResponseHead
        while true {
            if let (head, size) = try HTTPResponseParser.parse(received[...]) {
                received.removeFirst(size)
                if head.status >= 200 {
                    response = head
                    break
                }
                continue
            }
            guard let bytes = try next() else { throw UpstreamError(received.isEmpty ? "EOF" : "unexpected EOF") }
            received += bytes
        }
        return (response, try read(try response.framing(answering: method), received, limit))
    }

    private func read(
        _ framing: HTTPBodyReader.Framing, _ begun: [UInt8], _ limit: Int
    ) throws(UpstreamError) -> [UInt8] {
        do {
            var reader = try HTTPBodyReader(framing: framing, limit: limit)
            var bytes = begun
            while true {
                _ = try bytes.withBytes { bytes throws(HTTPParseError) in try reader.consume(bytes) }
                if reader.isDone { return reader.body }
                guard reader.body.count <= limit else { throw HTTPParseError.bodyTooLarge(limit: limit) }
                guard let more = try next() else {
                    guard reader.finish() else { throw UpstreamError("unexpected EOF") }
                    return reader.body
                }
                bytes = more
            }
        } catch let error as UpstreamError {
            throw error
        } catch HTTPParseError.bodyTooLarge(let limit) {
            throw UpstreamError("the answer is larger than \(limit) bytes")
        } catch {
            throw UpstreamError("malformed HTTP response: \(error)")
        }
    }

    /// The next bytes of the answer; nil at the end of the connection.
    private func next() throws(UpstreamError) -> [UInt8]? {
        while true {
            let received = try buffer.withUnsafeMutableBufferPointer { bytes throws(UpstreamError) in
                try session.read(into: UnsafeMutableRawBufferPointer(bytes))
            }
            switch received {
            case .count(let count): return Array(buffer[..<count])
            case .nothing: break
            case .end: return nil
            }
            try send()
            guard try receive() else { return nil }
        }
    }

    private func send() throws(UpstreamError) {
        let bytes = session.takeOutput()
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress! + sent, min($0.count - sent, UpstreamStream.pieceLimit),
                    Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN, ENOBUFS: try wait(Int16(POLLOUT))
            default: throw UpstreamError("write: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Hands the session what comes next; false at the end of the connection.
    private func receive() throws(UpstreamError) -> Bool {
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count > 0 {
                buffer.withUnsafeBytes { session.receive(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
                return true
            }
            if count == 0 { return false }
            switch errno {
            case EINTR: continue
            case EAGAIN: try wait(Int16(POLLIN))
            default: throw UpstreamError("read: \(String(cString: strerror(errno)))")
            }
        }
    }

    private func wait(_ events: Int16) throws(UpstreamError) {
        guard UpstreamDialer.wait(descriptor, events, deadline) else {
            throw UpstreamError("context deadline exceeded")
        }
    }
}
