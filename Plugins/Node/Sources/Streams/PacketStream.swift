import CEpoll
import Glibc
import Synchronization

/// The client went away.
struct StreamClosed: Error {}

/// A SOCK_SEQPACKET socket to a client behind the API front: a packet is a chunk of the body, or one WebSocket message.
/// It owns the descriptor.
final class PacketStream {
    static let maximumPacket = 32 << 10
    let descriptor: Int32
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        let flags = fcntl(descriptor, F_GETFL)
        if flags >= 0 { _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) }
    }

    deinit { close(descriptor) }

    /// Ends both directions, from any thread: whoever waits for the client sees it gone.
    static func end(_ descriptor: Int32) { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Sends bytes in packets; waits while the client is slow.
    func send(_ bytes: [UInt8], channel: UInt8? = nil) throws {
        var offset = 0
        while offset < bytes.count {
            let end = min(offset + Self.maximumPacket, bytes.count)
            try sendPacket((channel.map { [$0] } ?? []) + bytes[offset..<end])
            offset = end
        }
    }

    /// Sends one packet; waits while the client is slow.
    func sendPacket(_ packet: [UInt8]) throws {
        while true {
            let count = packet.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 { return }
            switch errno {
            case EINTR: continue
            case EAGAIN, ENOBUFS:
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&wait, 1, -1)
                if wait.revents & Int16(POLLERR | POLLHUP) != 0, wait.revents & Int16(POLLOUT) == 0 {
                    throw StreamClosed()
                }
            default: throw StreamClosed()
            }
        }
    }

    /// Sends one packet unless the client is slow; whether it went.
    func sendIfReady(_ packet: [UInt8]) throws -> Bool {
        let count = packet.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        if count >= 0 { return true }
        guard errno == EAGAIN || errno == ENOBUFS || errno == EINTR else { throw StreamClosed() }
        return false
    }

    /// The next packet; empty when there is none now; nil when the client is gone.
    func receive() throws -> ArraySlice<UInt8>? {
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count > 0 { return buffer[..<count] }
            if count == 0 { return nil }
            if errno == EINTR { continue }
            return errno == EAGAIN ? [] : nil
        }
    }
}

/// The streams that are being carried, so that they can be ended when the node stops.
final class LiveStreams: Sendable {
    private struct State {
        var descriptors: Set<Int32> = []
        var isStopped = false
    }
    private let state = Mutex(State())

    /// Carries a stream on the caller's thread; it is ended at once when the node has stopped meanwhile.
    func carry(_ stream: PacketStream, _ body: () -> Void) {
        let descriptor = stream.descriptor
        let isStopped = state.withLock { state in
            state.descriptors.insert(descriptor)
            return state.isStopped
        }
        if isStopped { PacketStream.end(descriptor) }
        body()
        // The stream is alive until here, so the number is still its own.
        state.withLock { _ = $0.descriptors.remove(descriptor) }
    }

    func stop() {
        state.withLock { state in
            state.isStopped = true
            for descriptor in state.descriptors { PacketStream.end(descriptor) }
        }
    }
}
