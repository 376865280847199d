import COpenSSL

/// The settings of all TLS connections of a listener: certificate, authority for clients, protocol versions.
///
/// Lean in memory: OpenSSL makes the handshake alone (`TLSHandshake`), sessions resume by ticket and not from a cache.
final class TLSContext: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): SSL_CTX is reference-counted and locked by OpenSSL; it is not changed after `init`.
    let pointer: OpaquePointer
    /// The authority of proxies that speak for their clients.
    private let proxyAuthority: OpaquePointer?

    /// - Parameters: PEM texts of the server's chain and key, of the authority whose client certificates count, and of the
    ///   one whose clients are proxies that say for whom they ask.
    init(
        certificate: [UInt8], key: [UInt8], clientAuthority: [UInt8], proxyAuthority: [UInt8]? = nil
    ) throws(HTTPServerError) {
        self.proxyAuthority = proxyAuthority.flatMap { PEM.certificate($0) }
        guard let context = SSL_CTX_new(TLS_server_method()) else { throw .tls(OpenSSLError.last()) }
        pointer = context
        hostd_openssl_set_lean_mode(context)
        hostd_openssl_disable_session_cache(context)
        _ = SSL_CTX_set_num_tickets(context, 1)
        TLSHandshake.prepare(context)
        guard hostd_openssl_require_tls12(context) == 1 else { throw .tls(OpenSSLError.last()) }
        // SSL_OP_NO_RENEGOTIATION: a connection's client certificate is settled by its handshake.
        SSL_CTX_set_options(context, UInt64(1) << 30)
        try Self.use(certificate: certificate, key: key, in: context)
        try Self.trust(clientAuthority, in: context)
        if let proxyAuthority { try Self.trust(proxyAuthority, in: context) }
        SSL_CTX_set_alpn_select_cb(
            context,
            { _, output, outputLength, input, inputLength, _ in
                TLSContext.selectProtocol(output, outputLength, input, inputLength)
            }, nil)
    }

    deinit {
        SSL_CTX_free(pointer)
        X509_free(proxyAuthority)
    }

    /// Whether a client's certificate is a proxy's.
    func isOfProxy(_ certificate: OpaquePointer) -> Bool {
        guard let proxyAuthority,
            X509_NAME_cmp(X509_get_issuer_name(certificate), X509_get_subject_name(proxyAuthority)) == 0
        else { return false }
        ERR_clear_error()
        defer { ERR_clear_error() }
        return X509_verify(certificate, X509_get0_pubkey(proxyAuthority)) == 1
    }

    private static func use(
        certificate: [UInt8], key: [UInt8], in context: OpaquePointer
    ) throws(HTTPServerError) {
        guard let x509 = PEM.certificate(certificate) else { throw .tls("the server's certificate is not valid PEM") }
        defer { X509_free(x509) }
        guard let privateKey = PEM.privateKey(key) else { throw .tls("the server's key is not valid PEM") }
        defer { EVP_PKEY_free(privateKey) }
        guard SSL_CTX_use_certificate(context, x509) == 1, SSL_CTX_use_PrivateKey(context, privateKey) == 1,
            SSL_CTX_check_private_key(context) == 1
        else { throw .tls("the server's certificate and key do not fit: \(OpenSSLError.last())") }
    }

    /// Asks clients for a certificate without needing one. A bad one does not break the handshake: the request is then
    /// answered 401, which tells the client more.
    private static func trust(_ authority: [UInt8], in context: OpaquePointer) throws(HTTPServerError) {
        guard let x509 = PEM.certificate(authority) else { throw .tls("the certificate authority is not valid PEM") }
        defer { X509_free(x509) }
        guard X509_STORE_add_cert(SSL_CTX_get_cert_store(context), x509) == 1,
            SSL_CTX_add_client_CA(context, x509) == 1
        else { throw .tls(OpenSSLError.last()) }
        let identifier = Array("hostd".utf8)
        SSL_CTX_set_session_id_context(context, identifier, UInt32(identifier.count))
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, { _, _ in 1 })
    }

    /// ALPN: HTTP/2 where the client offers it, otherwise HTTP/1.1; when it offers neither, the extension is ignored.
    private static func selectProtocol(
        _ output: UnsafeMutablePointer<UnsafePointer<UInt8>?>?, _ outputLength: UnsafeMutablePointer<UInt8>?,
        _ input: UnsafePointer<UInt8>?, _ inputLength: UInt32
    ) -> Int32 {
        let offered = UnsafeBufferPointer(start: input, count: Int(inputLength))
        for wanted in ["h2", "http/1.1"] {
            var position = 0
            while position < offered.count {
                let end = position + 1 + Int(offered[position])
                guard end <= offered.count else { return SSL_TLSEXT_ERR_NOACK }
                if offered[(position + 1)..<end].elementsEqual(wanted.utf8) {
                    output?.pointee = input.map { $0 + position + 1 }
                    outputLength?.pointee = offered[position]
                    return SSL_TLSEXT_ERR_OK
                }
                position = end
            }
        }
        return SSL_TLSEXT_ERR_NOACK
    }
}
