import CEpoll
import Glibc

/// An Internet address with its port.
struct SocketAddress: Sendable, Hashable, CustomStringConvertible {
    var host: String
    var port: UInt16

    init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Reads "127.0.0.1:6443" or "[::1]:6443"; a host name is not resolved.
    init(parsing text: String) throws(HTTPServerError) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw .invalidAddress(text)
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        if host == "localhost" { host = "127.0.0.1" }
        self.host = host
        self.port = port
        guard Self.bytes(of: host) != nil else { throw .invalidAddress(text) }
    }

    var isIPv6: Bool { host.utf8.contains(0x3A) }
    var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// The address in network order, 4 or 16 bytes; nil when it is none.
    static func bytes(of host: String) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, host, &bytes) == 1 { return Array(bytes[..<4]) }
        if inet_pton(AF_INET6, host, &bytes) == 1 { return bytes }
        return nil
    }

    /// Opens a listening, non-blocking socket.
    func listen(backlog: Int32 = 1024) throws(HTTPServerError) -> Int32 {
        let family = isIPv6 ? AF_INET6 : AF_INET
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(family, kind, 0)
        guard descriptor >= 0 else { throw .system(call: "socket", code: errno, detail: description) }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, 4)
        if isIPv6 { setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, 4) }
        guard bindTo(descriptor), Glibc.listen(descriptor, backlog) == 0 else {
            let code = errno
            close(descriptor)
            switch code {
            case EADDRINUSE: throw .addressInUse(address: self.description)
            case EADDRNOTAVAIL, EACCES: throw .addressUnavailable(address: self.description, code: code)
            default: throw .system(call: "bind", code: code, detail: self.description)
            }
        }
        return descriptor
    }

    private func bindTo(_ descriptor: Int32) -> Bool {
        guard let bytes = Self.bytes(of: host) else {
            errno = EADDRNOTAVAIL
            return false
        }
        if isIPv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: bytes) }
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) == 0
                }
            }
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        withUnsafeMutableBytes(of: &address.sin_addr) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    /// The address of a socket's other end, without its port; nil when it has gone.
    static func peer(of descriptor: Int32) -> String? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                var name = [CChar](repeating: 0, count: Int(NI_MAXHOST))
                guard getpeername(descriptor, pointer, &size) == 0,
                    getnameinfo(pointer, size, &name, socklen_t(name.count), nil, 0, NI_NUMERICHOST) == 0
                else { return nil }
                return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }
        }
    }

    /// The port that a socket got, for a listener on port 0.
    static func port(of descriptor: Int32) -> UInt16 {
        var storage = sockaddr_in6()
        var size = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let status = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        // sin_port and sin6_port lie at the same place.
        return status == 0 ? UInt16(bigEndian: storage.sin6_port) : 0
    }
}
