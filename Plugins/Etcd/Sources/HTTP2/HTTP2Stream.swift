import PluginKit

/// One request and its answer on a connection. What arrives is put in by the connection's thread and taken out by the
/// thread that asked.
final class HTTP2Stream: @unchecked Sendable {
    // SAFETY: what arrives is behind `monitor`; what is to be sent is the connection's, behind its lock.

    /// How a stream ended.
    struct End: Sendable {
        /// Empty when the peer ended it in good order.
        var reason = ""
        /// The peer surely did nothing: it refused the stream, or never got it.
        var isUntouched = false
    }

    /// Most bytes that may wait to be taken out.
    private static let limit = 512 << 20

    private let monitor = Monitor()
    private var incoming: [UInt8] = []
    private var position = 0
    private var headers: [String: String] = [:]
    private var end: End?

    /// Bytes that are still to be sent, and whether they are the last. The connection's.
    var outgoing: ArraySlice<UInt8> = []
    var isLast = false
    var identifier: Int32 = 0

    // MARK: The connection's side

    func add(header name: String, _ value: String) { monitor.locked { headers[name] = value } }

    /// False when the reader is so far behind that the stream must end.
    func add(_ bytes: UnsafeRawBufferPointer) -> Bool {
        monitor.locked {
            guard incoming.count - position + bytes.count <= Self.limit else { return false }
            if position > 1 << 16, position * 2 > incoming.count {
                incoming.removeFirst(position)
                position = 0
            }
            incoming.append(contentsOf: bytes)
            monitor.broadcast()
            return true
        }
    }

    func finish(_ end: End) {
        monitor.locked {
            if self.end == nil { self.end = end }
            monitor.broadcast()
        }
    }

    // MARK: The asking side

    enum Next {
        /// A whole gRPC message.
        case message([UInt8])
        case end(End, headers: [String: String])
        case timeout
    }

    /// Waits for the next message of the body: a byte for compression, four for the size, the message.
    /// - Parameter deadline: monotonic nanoseconds, 0 = none.
    func next(deadline: UInt64) -> Next {
        monitor.lock()
        defer { monitor.unlock() }
        while true {
            if let message = takeMessage() { return .message(message) }
            if let end { return .end(end, headers: headers) }
            if deadline == 0 {
                monitor.wait()
            } else if !monitor.wait(until: deadline), monotonicNanoseconds() >= deadline {
                return .timeout
            }
        }
    }

    private func takeMessage() -> [UInt8]? {
        guard incoming.count - position >= 5 else { return nil }
        let size = incoming[(position + 1)..<(position + 5)].reduce(0) { $0 << 8 | Int($1) }
        guard incoming.count - position >= 5 + size else { return nil }
        defer { position += 5 + size }
        return Array(incoming[(position + 5)..<(position + 5 + size)])
    }
}
