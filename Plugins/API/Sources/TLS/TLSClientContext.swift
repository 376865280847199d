import COpenSSL

/// What a client's TLS connections trust, and the certificate that they show. Kept and shared where several connections
/// are made with the same.
final class TLSClientContext: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): SSL_CTX is reference-counted and locked by OpenSSL; it is not changed after `init`.
    enum Trust: Sendable, Equatable {
        /// The authorities of the system.
        case system
        /// Certificates in PEM.
        case authorities([UInt8])
        /// Whoever answers.
        case anyone
    }

    fileprivate let pointer: OpaquePointer

    /// - Parameter credential: shown to servers that ask for a certificate.
    init(trust: Trust, credential: Credential? = nil) throws(UpstreamError) {
        guard let context = SSL_CTX_new(TLS_client_method()) else { throw UpstreamError("TLS: \(OpenSSLError.last())") }
        pointer = context
        hostd_openssl_set_lean_mode(context)
        guard hostd_openssl_require_tls12(context) == 1 else { throw UpstreamError("TLS: \(OpenSSLError.last())") }
        let alpn = [UInt8(8)] + Array("http/1.1".utf8)
        guard SSL_CTX_set_alpn_protos(context, alpn, UInt32(alpn.count)) == 0 else {
            throw UpstreamError("TLS: \(OpenSSLError.last())")
        }
        SSL_CTX_set_verify(context, trust == .anyone ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nil)
        switch trust {
        case .anyone: break
        case .system: _ = SSL_CTX_set_default_verify_paths(context)
        case .authorities(let text):
            let certificates = PEM.certificates(text)
            guard !certificates.isEmpty else { throw UpstreamError("its caBundle holds no certificate in PEM") }
            for certificate in certificates {
                X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate)
                X509_free(certificate)
            }
        }
        if let credential { try use(credential) }
    }

    deinit { SSL_CTX_free(pointer) }

    private func use(_ credential: Credential) throws(UpstreamError) {
        guard let certificate = PEM.certificate(credential.certificate) else {
            throw UpstreamError("TLS: the client's certificate is not valid PEM")
        }
        defer { X509_free(certificate) }
        guard let key = PEM.privateKey(credential.key) else {
            throw UpstreamError("TLS: the client's key is not valid PEM")
        }
        defer { EVP_PKEY_free(key) }
        guard SSL_CTX_use_certificate(pointer, certificate) == 1, SSL_CTX_use_PrivateKey(pointer, key) == 1 else {
            throw UpstreamError("TLS: \(OpenSSLError.last())")
        }
    }
}

/// The client's end of one TLS connection, whatever carries its bytes. Used by one thread at a time.
final class TLSClientSession {
    private let session: OpaquePointer
    /// What has come from the server, and what is to go there; the session's own.
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    private var waiting: [[UInt8]] = []
    private(set) var isEstablished = false

    /// - Parameter serverName: whom the server's certificate must be for, where it is looked at.
    init(_ context: TLSClientContext, serverName: String) throws(UpstreamError) {
        guard let session = SSL_new(context.pointer) else { throw UpstreamError("TLS: \(OpenSSLError.last())") }
        guard let incoming = BIO_new(BIO_s_mem()), let outgoing = BIO_new(BIO_s_mem()) else {
            SSL_free(session)
            throw UpstreamError("TLS: \(OpenSSLError.last())")
        }
        self.session = session
        self.incoming = incoming
        self.outgoing = outgoing
        SSL_set_bio(session, incoming, outgoing)
        SSL_set_connect_state(session)
        let parameters = SSL_get0_param(session)
        if SocketAddress.bytes(of: serverName) != nil {
            X509_VERIFY_PARAM_set1_ip_asc(parameters, serverName)
        } else {
            X509_VERIFY_PARAM_set1_host(parameters, serverName, serverName.utf8.count)
            var text = Array(serverName.utf8CString)
            _ = SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, 0, &text)
        }
    }

    deinit { SSL_free(session) }

    /// Takes what the server has sent.
    func receive(_ bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        // A BIO in memory takes all of it.
        _ = BIO_write(incoming, bytes.baseAddress, Int32(bytes.count))
    }

    /// What is to be sent to the server now; empty when there is nothing.
    func takeOutput() -> [UInt8] {
        let count = Int(BIO_ctrl_pending(outgoing))
        guard count > 0 else { return [] }
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, size in
            size = max(0, Int(BIO_read(outgoing, buffer.baseAddress, Int32(count))))
        }
    }

    /// Goes on with the handshake; sends what has waited for its end.
    func advance() throws(UpstreamError) {
        guard !isEstablished else { return }
        ERR_clear_error()
        let status = SSL_do_handshake(session)
        guard status == 1 else { return try check(status, "TLS handshake") }
        isEstablished = true
        for bytes in waiting { try write(bytes) }
        waiting = []
    }

    /// Encrypts bytes, at once or when the handshake is done.
    func send(_ bytes: [UInt8]) throws(UpstreamError) {
        guard !bytes.isEmpty else { return }
        if isEstablished { try write(bytes) } else { waiting.append(bytes) }
    }

    private func write(_ bytes: [UInt8]) throws(UpstreamError) {
        var sent = 0
        while sent < bytes.count {
            ERR_clear_error()
            let count = bytes.withUnsafeBytes {
                SSL_write(session, $0.baseAddress! + sent, Int32(clamping: bytes.count - sent))
            }
            guard count > 0 else { throw UpstreamError("write: \(OpenSSLError.last())") }
            sent += Int(count)
        }
    }

    enum Received {
        /// So many bytes lie in the buffer.
        case count(Int)
        case nothing
        /// The server sends no more.
        case end
    }

    /// Decrypts what has come.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(UpstreamError) -> Received {
        guard isEstablished else { return .nothing }
        ERR_clear_error()
        let count = SSL_read(session, buffer.baseAddress, Int32(clamping: buffer.count))
        if count > 0 { return .count(Int(count)) }
        if SSL_get_error(session, count) == SSL_ERROR_ZERO_RETURN { return .end }
        try check(count, "read")
        return .nothing
    }

    /// Whether nothing is on its way: what has come has been read, and what was to go has been taken.
    var isIdle: Bool {
        isEstablished && waiting.isEmpty && SSL_has_pending(session) == 0 && BIO_ctrl_pending(incoming) == 0
            && BIO_ctrl_pending(outgoing) == 0
    }

    /// Tells the server that nothing more comes.
    func finish() {
        guard isEstablished else { return }
        ERR_clear_error()
        SSL_shutdown(session)
        ERR_clear_error()
    }

    /// - Throws: unless the call has to wait for the server's bytes.
    private func check(_ status: Int32, _ what: String) throws(UpstreamError) {
        switch SSL_get_error(session, status) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return
        case SSL_ERROR_SYSCALL: throw UpstreamError("\(what): the connection was lost")
        default:
            let problem = SSL_get_verify_result(session)
            guard problem == Int(X509_V_OK) || isEstablished else {
                let text = X509_verify_cert_error_string(problem).map { String(cString: $0) } ?? ""
                throw UpstreamError("tls: failed to verify certificate: \(text)")
            }
            throw UpstreamError("\(what): \(OpenSSLError.last())")
        }
    }
}
