import COpenSSL
import Glibc
import Objects
import PluginKit

/// A blocking HTTPS client for tests, which can also send what no well-behaved client would.
final class TLSClient {
    struct Response {
        var status: Int
        var headers: [String: String]
        var body: [UInt8]
        /// All headers of this name; `headers` has the last.
        var warnings: [String] = []

        var json: JSON { get throws { try JSON(parsing: body) } }
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    struct Failure: Error { var message: String }

    private let descriptor: Int32
    private let context: OpaquePointer?
    let session: OpaquePointer?
    private var received: [UInt8] = []

    /// - Parameters:
    ///   - certificate: Certificate and key in PEM to show to the server.
    ///   - protocols: Names to offer by ALPN.
    ///   - prepare: Sets what else the session is to have before it connects.
    init(
        port: UInt16, certificate: [UInt8]? = nil, key: [UInt8]? = nil, protocols: [String] = [],
        prepare: (OpaquePointer?) -> Void = { _ in }
    ) throws {
        let descriptor = try Self.connect(port: port)
        let context = SSL_CTX_new(TLS_client_method())
        let session = SSL_new(context)
        self.descriptor = descriptor
        self.context = context
        self.session = session
        if let certificate, let key {
            Self.withMemory(certificate) { SSL_use_certificate(session, PEM_read_bio_X509($0, nil, nil, nil)) }
            Self.withMemory(key) { SSL_use_PrivateKey(session, PEM_read_bio_PrivateKey($0, nil, nil, nil)) }
        }
        let offered = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        if !offered.isEmpty { SSL_set_alpn_protos(session, offered, UInt32(offered.count)) }
        prepare(session)
        SSL_set_fd(session, descriptor)
        guard SSL_connect(session) == 1 else {
            throw Failure(message: "cannot connect to port \(port)")
        }
    }

    /// A blocking socket to a port of loopback, on which nothing is waited for longer than a minute.
    static func connect(port: UInt16) throws -> Int32 {
        let descriptor = socket(AF_INET, 1, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else {
            Glibc.close(descriptor)
            throw Failure(message: "cannot connect to port \(port)")
        }
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        return descriptor
    }

    private static func withMemory<R>(_ bytes: [UInt8], _ body: (OpaquePointer?) -> R) {
        let bio = BIO_new_mem_buf(bytes, Int32(bytes.count))
        defer { BIO_free(bio) }
        _ = body(bio)
    }

    func close() {
        SSL_free(session)
        SSL_CTX_free(context)
        Glibc.close(descriptor)
    }

    func send(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { SSL_write(session, $0.baseAddress, Int32(min($0.count, 16384))) }
            guard count > 0 else { return }
            rest = rest.dropFirst(Int(count))
        }
    }

    func send(_ text: String) { send(Array(text.utf8)) }

    /// Ends the sending direction.
    func finishSending() { SSL_shutdown(session) }

    func request(
        _ method: String, _ path: String, body: [UInt8]? = nil, headers: [String: String] = [:],
        token: String? = TestServer.token
    ) throws -> Response {
        var head = "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n"
        if let token { head += "Authorization: Bearer \(token)\r\n" }
        if body != nil, headers["Content-Type"] == nil { head += "Content-Type: application/json\r\n" }
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if let body { head += "Content-Length: \(body.count)\r\n" }
        send(Array((head + "\r\n").utf8) + (body ?? []))
        return try response()
    }

    /// The protocol that was agreed upon; empty when there is none.
    var agreedProtocol: String {
        var name: UnsafePointer<UInt8>?
        var size: UInt32 = 0
        SSL_get0_alpn_selected(session, &name, &size)
        return String(decoding: UnsafeBufferPointer(start: name, count: Int(size)), as: UTF8.self)
    }

    /// What comes next, whatever it is; empty at the end of the connection, or when nothing came for a minute.
    func read() -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = SSL_read(session, &buffer, Int32(buffer.count))
        return count > 0 ? Array(buffer[..<Int(count)]) : []
    }

    private func more() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = SSL_read(session, &buffer, Int32(buffer.count))
        guard count > 0 else { return false }
        received += buffer[..<Int(count)]
        return true
    }

    /// The next response's head and, unless it is chunked, its body.
    func response(headOnly: Bool = false) throws -> Response {
        let text = try line(upTo: "\r\n\r\n")
        let lines = text.split(separator: "\r\n")
        var headers: [String: String] = [:]
        var warnings: [String] = []
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            let (name, value) = (parts[0].lowercased(), String(parts.count > 1 ? parts[1].drop { $0 == " " } : ""))
            headers[name] = value
            if name == "warning" { warnings.append(value) }
        }
        let status = Int(lines.first?.split(separator: " ").dropFirst().first ?? "") ?? 0
        var body: [UInt8] = []
        if !headOnly, status >= 200 {
            if headers["transfer-encoding"] == "chunked" {
                while let chunk = try chunk() { body += chunk }
            } else {
                let length = Int(headers["content-length"] ?? "0") ?? 0
                body = try take(length)
            }
        }
        return Response(status: status, headers: headers, body: body, warnings: warnings)
    }

    /// The next chunk of a chunked body; nil at its end.
    func chunk() throws -> [UInt8]? {
        let size = Int(try line(upTo: "\r\n"), radix: 16) ?? 0
        let bytes = try take(size)
        _ = try line(upTo: "\r\n")
        return size == 0 ? nil : bytes
    }

    /// The next event of a watch.
    func event() throws -> JSON? {
        while true {
            if let end = pendingEvents.firstIndex(of: 0x0A) {
                let line = Array(pendingEvents[..<end])
                pendingEvents.removeSubrange(...end)
                return try JSON(parsing: line)
            }
            guard let chunk = try chunk() else { return nil }
            pendingEvents += chunk
        }
    }
    private var pendingEvents: [UInt8] = []

    func take(_ count: Int) throws -> [UInt8] {
        while received.count < count { guard more() else { throw Failure(message: "the connection ended early") } }
        defer { received.removeSubrange(..<count) }
        return Array(received[..<count])
    }

    /// Whether the server has ended the connection.
    func isAtEnd() -> Bool { received.isEmpty && !more() }

    private func line(upTo mark: String) throws -> String {
        let mark = Array(mark.utf8)
        while true {
            if received.count >= mark.count {
                for start in 0...(received.count - mark.count)
                where received[start..<(start + mark.count)].elementsEqual(mark) {
                    defer { received.removeSubrange(..<(start + mark.count)) }
                    return String(decoding: received[..<start], as: UTF8.self)
                }
            }
            guard more() else {
                throw Failure(message: "the connection ended in: \(String(decoding: received, as: UTF8.self))")
            }
        }
    }
}
