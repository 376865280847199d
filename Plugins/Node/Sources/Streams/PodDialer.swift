import CProcess
import CEpoll
import Glibc
import PluginKit
import Synchronization

/// Connects to ports inside a pod: at one of its addresses, or at its loopback, where also what listens nowhere else is
/// reached.
enum PodDialer {
    /// How long a connection may take to be made, in milliseconds. Loopback answers at once, unless a backlog is full.
    private static let timeout: Int32 = 5_000

    /// A connected TCP socket, non-blocking. Blocks.
    /// - Parameters:
    ///   - address: One of the pod's, in IPv4 or IPv6; nil for loopback, where IPv4 is tried before IPv6.
    ///   - networkNamespace: path of the pod's; empty for the host's.
    static func connect(to address: String? = nil, port: UInt16, networkNamespace: String) throws -> Int32 {
        if let address {
            return try connect(address.contains(":") ? AF_INET6 : AF_INET, address, port, networkNamespace)
        }
        do {
            return try connect(AF_INET, "127.0.0.1", port, networkNamespace)
        } catch let first as SystemError {
            do { return try connect(AF_INET6, "::1", port, networkNamespace) } catch { throw first }
        }
    }

    private static func connect(
        _ family: Int32, _ address: String, _ port: UInt16, _ networkNamespace: String
    ) throws -> Int32 {
        let descriptor = try socket(family, in: networkNamespace)
        do {
            try connect(descriptor, family, address, port)
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// A socket belongs to the namespace of the thread that made it. A thread of its own enters the namespace and ends
    /// afterwards, so that no other work is ever done there.
    private static func socket(_ family: Int32, in networkNamespace: String) throws -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        guard !networkNamespace.isEmpty else {
            return try SystemError.check("socket", "") { Glibc.socket(family, kind, 0) }
        }
        let namespace = try SystemError.check("open", networkNamespace) { open(networkNamespace, O_RDONLY | O_CLOEXEC) }
        defer { close(namespace) }
        let made = Mutex<Result<Int32, any Error>?>(nil)
        let thread = NodeThread(name: "pod-dialer")
        let isStarted = thread.start {
            let result = Result<Int32, any Error> {
                try SystemError.check("setns", networkNamespace) { process_enter_network_namespace(namespace) }
                return try SystemError.check("socket", "") { Glibc.socket(family, kind, 0) }
            }
            made.withLock { $0 = result }
        }
        thread.join()
        guard isStarted, let result = made.withLock({ $0 }) else {
            throw SystemError("pthread_create", "", code: EAGAIN)
        }
        return try result.get()
    }

    private static func connect(_ descriptor: Int32, _ family: Int32, _ address: String, _ port: UInt16) throws {
        let place = family == AF_INET ? "\(address):\(port)" : "[\(address)]:\(port)"
        let status: Int32
        if family == AF_INET {
            var target = sockaddr_in()
            target.sin_family = sa_family_t(AF_INET)
            target.sin_port = port.bigEndian
            guard inet_pton(family, address, &target.sin_addr) == 1 else {
                throw SystemError("connect to", place, code: EINVAL)
            }
            status = withBytes(of: target) { Glibc.connect(descriptor, $0, $1) }
        } else {
            var target = sockaddr_in6()
            target.sin6_family = sa_family_t(AF_INET6)
            target.sin6_port = port.bigEndian
            guard inet_pton(family, address, &target.sin6_addr) == 1 else {
                throw SystemError("connect to", place, code: EINVAL)
            }
            status = withBytes(of: target) { Glibc.connect(descriptor, $0, $1) }
        }
        if status == 0 { return }
        guard errno == EINPROGRESS else { throw SystemError("connect to", place) }
        var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        let ready = try SystemError.check("poll", "") { poll(&wait, 1, timeout) }
        guard ready > 0 else { throw SystemError("connect to", place, code: ETIMEDOUT) }
        var failure: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &size)
        guard failure == 0 else { throw SystemError("connect to", place, code: failure) }
    }

    private static func withBytes<Address>(
        of address: Address, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        withUnsafeBytes(of: address) { bytes in
            bytes.withMemoryRebound(to: sockaddr.self) { body($0.baseAddress!, socklen_t(bytes.count)) }
        }
    }
}
