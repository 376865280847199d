import CEpoll
import COpenSSL
import Glibc
import Objects
import PluginKit

/// Sends JSON to webhooks over HTTPS and takes their JSON, a connection for each call. [blocking]
struct WebhookClient: Sendable {
    let store: StoreClient
    /// Most bytes of an answer.
    static let limit = 32 << 20

    /// - Parameters:
    ///   - deadline: CLOCK_MONOTONIC, nanoseconds; the call does not take longer.
    ///   - bearerToken: Shown to the server, when there is one.
    /// - Throws: when there is no answer with status 200 or 201 and JSON in it.
    func post(
        _ body: JSON, to target: WebhookTarget, deadline: UInt64, bearerToken: String? = nil
    ) throws(WebhookError) -> JSON {
        let bytes = body.serialized()
        var fields = "Content-Type: application/json\r\nContent-Length: \(bytes.count)\r\n"
        if let bearerToken { fields += "Authorization: Bearer \(bearerToken)\r\n" }
        return try call("POST", target, fields, bytes, deadline)
    }

    /// The same without a body.
    func get(_ target: WebhookTarget, deadline: UInt64) throws(WebhookError) -> JSON {
        try call("GET", target, "", [], deadline)
    }

    private func call(
        _ method: String, _ target: WebhookTarget, _ fields: String, _ body: [UInt8], _ deadline: UInt64
    ) throws(WebhookError) -> JSON {
        do throws(WebhookError) {
            let address = try target.address(store)
            let connection = try WebhookConnection(address, target, deadline: deadline)
            defer { connection.close() }
            var head = "\(method) \(target.path) HTTP/1.1\r\nHost: \(target.serverName)\r\nUser-Agent: hostd\r\n"
            head += "Accept: application/json\r\nConnection: close\r\n\(fields)\r\n"
            try connection.send(Array(head.utf8) + body)
            let answer = try WebhookAnswer(connection.receiveAll(limit: Self.limit))
            guard answer.status == 200 || answer.status == 201 else {
                throw WebhookError("the server answered with status \(answer.status)")
            }
            do { return try JSON(parsing: answer.body) } catch {
                throw WebhookError("the answer is no JSON: \(error)")
            }
        } catch {
            throw WebhookError("\(method == "GET" ? "Get" : "Post") \"\(target.url)\": \(error)")
        }
    }
}

/// One TLS connection to a webhook, with a deadline for all that happens on it.
private final class WebhookConnection {
    private let descriptor: Int32
    private var context: OpaquePointer?
    private var session: OpaquePointer?
    private let deadline: UInt64

    init(
        _ address: (host: String, port: UInt16), _ target: WebhookTarget, deadline: UInt64
    ) throws(WebhookError) {
        self.deadline = deadline
        descriptor = try Self.connect(address, deadline)
        do throws(WebhookError) {
            try secure(target)
        } catch {
            close()
            throw error
        }
    }

    func close() {
        if let session { SSL_free(session) }
        if let context { SSL_CTX_free(context) }
        (session, context) = (nil, nil)
        Glibc.close(descriptor)
    }

    // MARK: - TCP

    private static func connect(
        _ address: (host: String, port: UInt16), _ deadline: UInt64
    ) throws(WebhookError) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(address.host, String(address.port), &hints, &found)
        guard status == 0 else {
            throw WebhookError("lookup \(address.host): \(String(cString: gai_strerror(status)))")
        }
        defer { freeaddrinfo(found) }
        var reason = "no address"
        var entry = found
        while let current = entry?.pointee {
            let descriptor = socket(
                current.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
            guard descriptor >= 0 else { throw WebhookError("socket: \(String(cString: strerror(errno)))") }
            if let problem = connect(descriptor, current, deadline) {
                reason = problem
                Glibc.close(descriptor)
            } else {
                return descriptor
            }
            entry = current.ai_next
        }
        throw WebhookError("dial tcp \(address.host):\(address.port): \(reason)")
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
    private static func wait(_ descriptor: Int32, _ events: Int16, _ deadline: UInt64) -> Bool {
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

    // MARK: - TLS

    private func secure(_ target: WebhookTarget) throws(WebhookError) {
        guard let context = SSL_CTX_new(TLS_client_method()) else { throw WebhookError("TLS: \(OpenSSLError.last())") }
        self.context = context
        _ = hostd_openssl_require_tls12(context)
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        if target.authorities.isEmpty {
            _ = SSL_CTX_set_default_verify_paths(context)
        } else {
            let certificates = PEM.certificates(target.authorities)
            guard !certificates.isEmpty else { throw WebhookError("its caBundle holds no certificate in PEM") }
            for certificate in certificates {
                X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate)
                X509_free(certificate)
            }
        }
        guard let session = SSL_new(context) else { throw WebhookError("TLS: \(OpenSSLError.last())") }
        self.session = session
        let name = target.serverName
        let parameters = SSL_get0_param(session)
        if SocketAddress.bytes(of: name) != nil {
            X509_VERIFY_PARAM_set1_ip_asc(parameters, name)
        } else {
            X509_VERIFY_PARAM_set1_host(parameters, name, name.utf8.count)
            var text = Array(name.utf8CString)
            _ = SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, 0, &text)
        }
        guard SSL_set_fd(session, descriptor) == 1 else { throw WebhookError("TLS: \(OpenSSLError.last())") }
        try run("TLS handshake") { SSL_connect($0) }
    }

    /// Repeats a call of OpenSSL until it has done what it should; the result is what it returned.
    @discardableResult
    private func run(_ what: String, _ call: (OpaquePointer) -> Int32) throws(WebhookError) -> Int32 {
        guard let session else { throw WebhookError("the connection is closed") }
        while true {
            ERR_clear_error()
            let result = call(session)
            if result > 0 { return result }
            let events: Int32
            switch SSL_get_error(session, result) {
            case SSL_ERROR_WANT_READ: events = POLLIN
            case SSL_ERROR_WANT_WRITE: events = POLLOUT
            case SSL_ERROR_ZERO_RETURN: return 0
            case SSL_ERROR_SYSCALL: throw WebhookError("\(what): the connection was lost")
            default:
                let problem = SSL_get_verify_result(session)
                guard problem == Int(X509_V_OK) else {
                    let text = X509_verify_cert_error_string(problem).map { String(cString: $0) } ?? ""
                    throw WebhookError("tls: failed to verify certificate: \(text)")
                }
                throw WebhookError("\(what): \(OpenSSLError.last())")
            }
            guard Self.wait(descriptor, Int16(events), deadline) else {
                throw WebhookError("context deadline exceeded")
            }
        }
    }

    func send(_ bytes: [UInt8]) throws(WebhookError) {
        var sent = 0
        while sent < bytes.count {
            let rest = bytes[sent...]
            sent += Int(
                try run("write") { session in
                    rest.withUnsafeBytes { SSL_write(session, $0.baseAddress, Int32(clamping: $0.count)) }
                })
        }
    }

    /// All that the server sends until it closes, which it is asked to do.
    func receiveAll(limit: Int) throws(WebhookError) -> [UInt8] {
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 32 << 10)
        while !WebhookAnswer.isComplete(received) {
            let count = try run("read") { session in
                buffer.withUnsafeMutableBytes { SSL_read(session, $0.baseAddress, Int32($0.count)) }
            }
            if count == 0 { break }
            received.append(contentsOf: buffer[..<Int(count)])
            guard received.count <= limit else { throw WebhookError("the answer is larger than \(limit) bytes") }
        }
        return received
    }
}
