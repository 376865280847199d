import CEpoll
import Glibc
import Objects
import PluginKit

/// Connects to servers for the clients of the API front. [blocking]
final class UpstreamDialer: Sendable {
    /// How long a connection may take to be made.
    static let timeout: UInt64 = 5_000_000_000

    private let extensions: ExtensionRoutes
    private let workers: WorkerPool

    init(extensions: ExtensionRoutes, workers: WorkerPool) {
        self.extensions = extensions
        self.workers = workers
    }

    /// A connected socket, non-blocking, which is the caller's: a TCP socket, or a SOCK_SEQPACKET socket whose packets are
    /// pieces of the connection's bytes (at most `PacketPump.packetLimit` in either direction).
    /// - Parameter user: for whom.
    func connect(to address: UpstreamAddress, for user: UserInfo) throws(UpstreamError) -> Int32 {
        guard let pod = address.pod else {
            return try Self.connect(to: address.host, address.port, deadline: monotonicNanoseconds() + Self.timeout)
        }
        guard let dialer = extensions.dialer(pod: pod.name, namespace: pod.namespace, user: user, workers: workers)
        else { throw UpstreamError("dial tcp \(address.authority): no plugin connects to the ports of pods") }
        let descriptor: Int32
        do throws(APIStatus) {
            descriptor = try dialer.connect(port: address.port, address: address.host)
        } catch {
            throw UpstreamError("dial tcp \(address.authority): \(error.message)")
        }
        let flags = fcntl(descriptor, F_GETFL)
        _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
        return descriptor
    }

    /// A TCP connection to a host's name or address; non-blocking.
    /// - Parameter deadline: CLOCK_MONOTONIC, nanoseconds.
    static func connect(to host: String, _ port: UInt16, deadline: UInt64) throws(UpstreamError) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &found)
        guard status == 0 else { throw UpstreamError("lookup \(host): \(String(cString: gai_strerror(status)))") }
        defer { freeaddrinfo(found) }
        var reason = "no address"
        var entry = found
        while let current = entry?.pointee {
            let descriptor = socket(
                current.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
            guard descriptor >= 0 else { throw UpstreamError("socket: \(String(cString: strerror(errno)))") }
            guard let problem = connect(descriptor, current, deadline) else {
                var on: Int32 = 1
                setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
                return descriptor
            }
            reason = problem
            close(descriptor)
            entry = current.ai_next
        }
        throw UpstreamError("dial tcp \(SocketAddress(host: host, port: port)): \(reason)")
    }

    /// Nil when it is connected.
    private static func connect(_ descriptor: Int32, _ address: addrinfo, _ deadline: UInt64) -> String? {
        if Glibc.connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 { return nil }
        guard errno == EINPROGRESS else { return String(cString: strerror(errno)) }
        guard wait(descriptor, Int16(POLLOUT), deadline) else { return "context deadline exceeded" }
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        return code == 0 ? nil : String(cString: strerror(code))
    }

    /// Whether the socket became ready in time.
    static func wait(_ descriptor: Int32, _ events: Int16, _ deadline: UInt64) -> Bool {
        while true {
            let now = monotonicNanoseconds()
            guard now < deadline else { return false }
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            let milliseconds = Int32(clamping: (deadline - now + 999_999) / 1_000_000)
            let count = poll(&entry, 1, milliseconds)
            if count > 0 { return true }
            if count < 0, errno != EINTR { return false }
        }
    }
}
