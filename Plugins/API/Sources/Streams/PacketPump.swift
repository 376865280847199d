import CEpoll
import Glibc

/// Carries packets between a SOCK_SEQPACKET socket, whose other end an extension holds, and a client's connection or one
/// stream of it. Lives on the connection's loop. It reads only while the client keeps up, and the client is read only while the
/// extension keeps up.
final class PacketPump: EventHandler {
    static let packetLimit = 64 * 1024

    private let descriptor: Int32
    private let loop: EventLoop
    private let onReady: @Sendable () -> Void
    private var token: EventLoop.Token?
    private var isReadable = true
    private var unsent: [UInt8]?
    private var isEnded = false
    /// The extension is to read the end after what waits.
    private var finishes = false

    /// Takes over `descriptor`, also when it throws.
    /// - Parameter onReady: Called on the loop when there may be packets, or room for some.
    init(descriptor: Int32, loop: EventLoop, onReady: @escaping @Sendable () -> Void) throws(HTTPServerError) {
        self.descriptor = descriptor
        self.onReady = onReady
        self.loop = loop
        let flags = fcntl(descriptor, F_GETFL)
        _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
        do {
            let events = EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
            token = try loop.add(self, descriptor: descriptor, events: events)
        } catch {
            close(descriptor)
            throw error
        }
        loop.post(onReady)
    }

    convenience init(descriptor: Int32, connection: any UpgradeHost, loop: EventLoop) throws(HTTPServerError) {
        try self.init(descriptor: descriptor, loop: loop) { [weak connection] in connection?.pumpIsReady() }
    }

    func ready(_ events: UInt32) {
        if events & ~EPOLLOUT.rawValue != 0 { isReadable = true }
        if events & EPOLLOUT.rawValue != 0, let packet = unsent {
            unsent = nil
            send(packet)
            if finishes { finishSending() }
        }
        onReady()
    }

    /// The client has read on.
    func resumeReading() {
        guard isReadable, !isEnded else { return }
        loop.post(onReady)
    }

    /// Whether a packet waits for the extension to read; the client is not read meanwhile.
    var isBlocked: Bool { unsent != nil }

    enum Received {
        case packet(UnsafeRawBufferPointer)
        case nothing
        case end
    }

    /// The next packet, in the loop's scratch space beyond what TLS reads use: valid until the next call.
    func receive(into buffer: UnsafeMutableRawBufferPointer) -> Received {
        guard isReadable, !isEnded else { return isEnded ? .end : .nothing }
        while true {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .packet(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
            if count == 0 { return .end }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                isReadable = false
                return .nothing
            default: return .end
            }
        }
    }

    /// Sends one packet to the extension, or keeps it until it fits.
    func send(_ packet: [UInt8]) {
        guard !isEnded, !packet.isEmpty else { return }
        while true {
            let count = Glibc.send(descriptor, packet, packet.count, Int32(MSG_NOSIGNAL))
            if count >= 0 { return }
            switch errno {
            case EINTR: continue
            case EAGAIN, ENOBUFS:
                unsent = packet
                return
            default: return  // The extension is gone; reading tells, and ends the connection.
            }
        }
    }

    /// Nothing more is sent; the extension reads an end, and may still send.
    func finishSending() {
        finishes = true
        guard !isEnded, unsent == nil else { return }
        shutdown(descriptor, Int32(SHUT_WR))
    }

    func end() {
        guard !isEnded else { return }
        isEnded = true
        if let token { loop.remove(token, descriptor: descriptor) }
        close(descriptor)
    }
}
