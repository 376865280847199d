import BenchmarkReport
import COpenSSL
import Glibc

/// A TLS connection to 127.0.0.1 with a client's certificate. It blocks: who waits on one sleeps in the kernel.
final class Connection {
    private let session: OpaquePointer
    private var space = [UInt8](repeating: 0, count: 64 << 10)
    /// What came and was not looked at yet.
    private var bytes: [UInt8] = []

    /// - Parameters:
    ///   - authority: the file of the certificate that signs the server's, in PEM; the client's lie beside it.
    init(port: UInt16, authority: String, certificate: String, key: String) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if connected != 0 { fail("no connection to port \(port): error \(errno)") }
        var isOn: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &isOn, socklen_t(MemoryLayout<Int32>.size))
        guard let context = SSL_CTX_new(TLS_client_method()),
            SSL_CTX_load_verify_locations(context, authority, nil) == 1,
            SSL_CTX_use_certificate_file(context, certificate, SSL_FILETYPE_PEM) == 1,
            SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1
        else { fail("the certificates cannot be read") }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        guard let session = SSL_new(context), SSL_set_fd(session, descriptor) == 1, SSL_connect(session) == 1 else {
            fail("the TLS handshake failed")
        }
        self.session = session
        SSL_CTX_free(context)
    }

    func send(_ request: [UInt8]) {
        if SSL_write(session, request, Int32(request.count)) != request.count { fail("a request could not be sent") }
    }

    /// Waits until `text` comes, and drops what lies before its end.
    func skip(to text: [UInt8]) {
        while true {
            if let end = bytes.end(of: text) {
                bytes.removeSubrange(..<end)
                return
            }
            receive()
        }
    }

    /// Waits for a response with a length, and drops it.
    func skipResponse(status: String) {
        var end = bytes.end(of: Self.headEnd)
        while end == nil {
            receive()
            end = bytes.end(of: Self.headEnd)
        }
        guard let end else { return }
        let head = String(decoding: bytes[..<end], as: UTF8.self)
        let length = head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
            .flatMap { Int($0.drop { $0 != " " }.dropFirst()) }
        guard head.hasPrefix("HTTP/1.1 \(status)"), let length else { fail("not \(status) with a length: \(head)") }
        while bytes.count < end + length { receive() }
        bytes.removeSubrange(..<(end + length))
    }

    private static let headEnd = Array("\r\n\r\n".utf8)

    private func receive() {
        let count = SSL_read(session, &space, Int32(space.count))
        if count <= 0 { fail("the connection ended") }
        bytes += space[..<Int(count)]
    }
}

extension [UInt8] {
    /// Behind the first occurrence of `text`; nil when there is none.
    fileprivate func end(of text: [UInt8]) -> Int? {
        withUnsafeBytes { whole in
            text.withUnsafeBytes { part in
                guard let base = whole.baseAddress, let sought = part.baseAddress else { return nil }
                return (0..<Swift.max(0, whole.count - part.count + 1))
                    .first { memcmp(base + $0, sought, part.count) == 0 }
                    .map { $0 + part.count }
            }
        }
    }
}
