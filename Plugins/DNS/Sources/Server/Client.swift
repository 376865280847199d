import CEpoll
import Glibc

/// Who waits for an answer.
protocol Client: AnyObject {
    /// Bytes of the longest answer that can be sent.
    func limit(for query: Query) -> Int
    func reply(_ bytes: [UInt8])
}

/// The sender of a datagram.
final class DatagramClient: Client {
    private let socket: Descriptor
    private var address: sockaddr_in

    init(socket: Descriptor, address: sockaddr_in) {
        self.socket = socket
        self.address = address
    }

    func limit(for query: Query) -> Int { min(query.extended?.datagramSize ?? 512, MessageWriter.largestDatagram) }

    /// A datagram that cannot be sent is lost, as datagrams may be: the client asks again.
    func reply(_ bytes: [UInt8]) {
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = sendto(
                    socket.number, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0,
                    socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

/// A UDP socket that queries come to.
final class DatagramListener: EventSource {
    let socket: Descriptor
    private let receive: ([UInt8], any Client) -> Void
    private var buffer = [UInt8](repeating: 0, count: 4096)
    let deadline = UInt64.max

    init(address: UInt32, port: UInt16, receive: @escaping ([UInt8], any Client) -> Void) throws(ServerError) {
        socket = try Descriptor(socket: SOCK_DGRAM)
        self.receive = receive
        guard socket.with(address, port, bind) == 0 else {
            throw ServerError("listen at \(formatAddress(address)):\(port)/UDP")
        }
    }

    /// Up to 64 datagrams, then others have their turn.
    func ready(_ events: UInt32) {
        for _ in 0..<64 {
            var address = sockaddr_in()
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let count = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(socket.number, &buffer, buffer.count, 0, $0, &size)
                }
            }
            if count < 0 { return }
            receive(Array(buffer[..<count]), DatagramClient(socket: socket, address: address))
        }
    }

    func expired() {}
}

/// A TCP socket that connections come to.
final class StreamListener: EventSource {
    let socket: Descriptor
    private let accept: (Descriptor) -> Void
    let deadline = UInt64.max

    init(address: UInt32, port: UInt16, accept: @escaping (Descriptor) -> Void) throws(ServerError) {
        socket = try Descriptor(socket: SOCK_STREAM)
        self.accept = accept
        var on: Int32 = 1
        setsockopt(socket.number, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard socket.with(address, port, bind) == 0, listen(socket.number, 128) == 0 else {
            throw ServerError("listen at \(formatAddress(address)):\(port)/TCP")
        }
    }

    func ready(_ events: UInt32) {
        for _ in 0..<16 {
            let flags = Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            let number = accept4(socket.number, nil, nil, flags)
            if number < 0 { return }
            accept(Descriptor(taking: number))
        }
    }

    func expired() {}
}

/// A TCP connection of a client: messages behind a length of two bytes each, any number at once (RFC 7766).
final class StreamClient: Client, EventSource {
    private let socket: Descriptor
    private let thread: EventThread
    private let receive: ([UInt8], any Client) -> Void
    private let closed: (StreamClient) -> Void
    private var token: UInt64 = 0
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var isOpen = true
    private(set) var deadline: UInt64

    private static let idleNanoseconds: UInt64 = 10_000_000_000
    private static let largestBacklog = 256 * 1024

    init(
        socket: Descriptor, thread: EventThread, receive: @escaping ([UInt8], any Client) -> Void,
        closed: @escaping (StreamClient) -> Void
    ) {
        self.socket = socket
        self.thread = thread
        self.receive = receive
        self.closed = closed
        deadline = monotonicNow() + Self.idleNanoseconds
        token = thread.add(self, socket.number, events: EPOLLIN.rawValue)
    }

    func limit(for query: Query) -> Int { MessageWriter.largestStreamMessage }

    func ready(_ events: UInt32) {
        if events & EPOLLOUT.rawValue != 0 { flush() }
        guard isOpen, events & (EPOLLIN.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 else { return }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(socket.number, &buffer, buffer.count)
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
        guard count > 0 else { return end() }
        deadline = monotonicNow() + Self.idleNanoseconds
        input += buffer[..<count]
        while isOpen, input.count >= 2 {
            let size = Int(input[0]) << 8 | Int(input[1])
            guard input.count >= 2 + size else { break }
            let message = Array(input[2..<2 + size])
            input.removeFirst(2 + size)
            receive(message, self)
        }
    }

    func reply(_ bytes: [UInt8]) {
        guard isOpen, bytes.count <= MessageWriter.largestStreamMessage else { return }
        guard output.count + bytes.count < Self.largestBacklog else { return end() }
        output += [UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes
        flush()
    }

    private func flush() {
        while !output.isEmpty {
            let count = socket.send(output)
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EAGAIN { break }
            guard count > 0 else { return end() }
            output.removeFirst(count)
        }
        thread.change(token, socket.number, events: EPOLLIN.rawValue | (output.isEmpty ? 0 : EPOLLOUT.rawValue))
    }

    func expired() { end() }

    private func end() {
        guard isOpen else { return }
        isOpen = false
        thread.remove(token, socket.number)
        closed(self)
    }
}
