import COpenSSL
import Glibc
import PluginKit

/// One member of the cluster, as an option names it.
struct Endpoint: Sendable, Hashable, CustomStringConvertible {
    var host: String
    var port: UInt16
    var isSecure: Bool
    /// Of a socket in the file system, in place of host and port.
    var path = ""

    var description: String {
        path.isEmpty ? "\(isSecure ? "https" : "http")://\(authority)" : "unix://\(path)"
    }
    var authority: String {
        guard path.isEmpty else { return "localhost" }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// "https://10.0.0.1:2379", "http://[::1]:2379", without a port 2379; "unix:///run/etcd.socket".
    init(_ text: String) throws(PluginError) {
        func failure(_ reason: String) -> PluginError {
            .invalid("options.endpoints: \"\(text)\" \(reason); write it as https://ADDRESS:PORT")
        }
        var rest: Substring
        if text.hasPrefix("unix:///") {
            path = String(text.dropFirst(7))
            (host, port, isSecure) = ("", 0, false)
            guard path.utf8.count <= 107 else { throw failure("has a path of more than 107 bytes") }
            return
        }
        if text.hasPrefix("https://") {
            isSecure = true
            rest = text.dropFirst(8)
        } else if text.hasPrefix("http://") {
            isSecure = false
            rest = text.dropFirst(7)
        } else {
            throw failure("begins neither with https:// nor with http://")
        }
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        port = 2379
        if rest.first == "[" {
            guard let close = rest.firstIndex(of: "]") else { throw failure("has no ]") }
            host = String(rest[rest.index(after: rest.startIndex)..<close])
            rest = rest[rest.index(after: close)...]
        } else {
            host = String(rest.prefix { $0 != ":" })
            rest = rest.dropFirst(host.count)
        }
        if !rest.isEmpty {
            guard rest.first == ":", let number = UInt16(rest.dropFirst()), number > 0 else {
                throw failure("has no port from 1 to 65535 at its end")
            }
            port = number
        }
        guard !host.isEmpty, !host.contains(where: { $0 == "/" || $0 == " " }) else { throw failure("has no address") }
    }
}

/// A connected, non-blocking socket, with TLS over it for a secure endpoint. Confined to who holds the connection's lock.
final class ClientSocket {
    enum Result {
        case count(Int)
        case wantsRead
        case wantsWrite
        case end(String)
    }

    let descriptor: Int32
    private let session: OpaquePointer?

    /// Connects and shakes hands, until `deadline` (monotonic nanoseconds) at most.
    init(_ endpoint: Endpoint, _ tls: TLSClient?, deadline: UInt64) throws(PluginError) {
        descriptor = try Self.connect(endpoint, deadline)
        guard endpoint.isSecure, let tls else {
            session = nil
            return
        }
        do { session = try tls.session(for: endpoint, descriptor: descriptor) } catch {
            Glibc.close(descriptor)
            throw error
        }
        do { try handshake(endpoint, deadline) } catch {
            close()
            throw error
        }
    }

    func close() {
        if let session { SSL_free(session) }
        Glibc.close(descriptor)
    }

    private static func connect(unix endpoint: Endpoint) throws(PluginError) -> Int32 {
        let file = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard file >= 0 else { throw .exhausted("no descriptor is left for a connection to \(endpoint)") }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: endpoint.path.utf8) }
        let status = withUnsafePointer(to: address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(file, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0, fcntl(file, F_SETFL, O_NONBLOCK) == 0 else {
            let reason = String(cString: strerror(errno))
            Glibc.close(file)
            throw .unavailable("\(endpoint) cannot be reached: \(reason)")
        }
        return file
    }

    private static func connect(_ endpoint: Endpoint, _ deadline: UInt64) throws(PluginError) -> Int32 {
        if !endpoint.path.isEmpty { return try connect(unix: endpoint) }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(endpoint.host, String(endpoint.port), &hints, &list)
        guard status == 0 else {
            throw .unavailable("\(endpoint): the name cannot be resolved: \(String(cString: gai_strerror(status)))")
        }
        defer { freeaddrinfo(list) }
        var reason = "no address"
        var next = list
        while let info = next?.pointee {
            next = info.ai_next
            let file = socket(
                info.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
            if file < 0 {
                reason = String(cString: strerror(errno))
                continue
            }
            var code: Int32 = Glibc.connect(file, info.ai_addr, info.ai_addrlen) == 0 ? 0 : errno
            if code == EINPROGRESS { code = wait(file, Int16(POLLOUT), deadline) ? socketError(file) : ETIMEDOUT }
            if code == 0 {
                var on: Int32 = 1
                setsockopt(file, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
                return file
            }
            reason = String(cString: strerror(code))
            Glibc.close(file)
        }
        throw .unavailable("\(endpoint) cannot be reached: \(reason)")
    }

    private static func socketError(_ file: Int32) -> Int32 {
        var code: Int32 = 0
        var size = socklen_t(4)
        return getsockopt(file, SOL_SOCKET, SO_ERROR, &code, &size) == 0 ? code : errno
    }

    /// Waits for an event; false when the deadline has passed.
    private static func wait(_ file: Int32, _ events: Int16, _ deadline: UInt64) -> Bool {
        while true {
            let now = monotonicNanoseconds()
            guard now < deadline else { return false }
            var entry = pollfd(fd: file, events: events, revents: 0)
            let count = poll(&entry, 1, Int32(clamping: (deadline - now) / 1_000_000 + 1))
            if count > 0 { return true }
            if count < 0 && errno != EINTR { return false }
        }
    }

    private func handshake(_ endpoint: Endpoint, _ deadline: UInt64) throws(PluginError) {
        guard let session else { return }
        while true {
            ERR_clear_error()
            let status = SSL_do_handshake(session)
            if status == 1 { break }
            let wanted: Int16
            switch result(status) {
            case .wantsRead: wanted = Int16(POLLIN)
            case .wantsWrite: wanted = Int16(POLLOUT)
            case .count: continue
            case .end(let reason):
                let verify = SSL_get_verify_result(session)
                let detail =
                    verify == Int(X509_V_OK) ? reason : String(cString: X509_verify_cert_error_string(verify))
                throw .unavailable("\(endpoint): TLS failed: \(detail); check the options caFile, certFile and keyFile")
            }
            guard Self.wait(descriptor, wanted, deadline) else {
                throw .unavailable("\(endpoint): TLS was not ready in time")
            }
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Result {
        guard let session else {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .count(count) }
            if count == 0 { return .end("the member closed the connection") }
            return errno == EAGAIN || errno == EINTR ? .wantsRead : .end(String(cString: strerror(errno)))
        }
        ERR_clear_error()
        let count = SSL_read(session, buffer.baseAddress, Int32(buffer.count))
        return count > 0 ? .count(Int(count)) : result(count)
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> Result {
        guard let session else {
            let count = send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 { return .count(count) }
            return errno == EAGAIN || errno == EINTR ? .wantsWrite : .end(String(cString: strerror(errno)))
        }
        ERR_clear_error()
        let count = SSL_write(session, bytes.baseAddress, Int32(min(bytes.count, 1 << 20)))
        return count > 0 ? .count(Int(count)) : result(count)
    }

    private func result(_ status: Int32) -> Result {
        let code = errno
        switch SSL_get_error(session, status) {
        case SSL_ERROR_WANT_READ: return .wantsRead
        case SSL_ERROR_WANT_WRITE: return .wantsWrite
        case SSL_ERROR_ZERO_RETURN: return .end("the member closed the connection")
        case SSL_ERROR_SYSCALL:
            return .end(code == 0 ? "the member closed the connection" : String(cString: strerror(code)))
        default: return .end(TLSClient.lastError())
        }
    }
}
