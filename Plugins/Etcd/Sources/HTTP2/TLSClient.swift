import COpenSSL
import Glibc
import PluginKit

/// Client side of TLS 1.2 and later: the authority that members must be signed by, and the certificate shown to them.
final class TLSClient: @unchecked Sendable {
    // SAFETY: an SSL_CTX may be used from any thread once it is set up.
    private let context: OpaquePointer

    /// - Parameters:
    ///   - authority: a file of PEM certificates; "" = those of the system.
    ///   - certificate, key: files in PEM; "" = none.
    init(authority: String, certificate: String, key: String) throws(PluginError) {
        guard let context = SSL_CTX_new(TLS_client_method()) else {
            throw .exhausted("TLS cannot be set up: \(Self.lastError())")
        }
        self.context = context
        func require(_ status: Int32, _ what: @autoclosure () -> String) throws(PluginError) {
            if status != 1 { throw .invalid("\(what()): \(Self.lastError())") }
        }
        try require(hostd_openssl_require_tls12(context), "TLS 1.2 is not to be had")
        hostd_openssl_set_lean_mode(context)
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        // "h2" with its length before it, as ALPN has it.
        let protocols: [UInt8] = [2] + Array("h2".utf8)
        guard SSL_CTX_set_alpn_protos(context, protocols, UInt32(protocols.count)) == 0 else {
            throw .exhausted("TLS cannot be set up: \(Self.lastError())")
        }
        ERR_clear_error()
        if authority.isEmpty {
            try require(SSL_CTX_set_default_verify_paths(context), "the system's authorities cannot be read")
        } else {
            try require(
                SSL_CTX_load_verify_locations(context, authority, nil), "options.caFile: \(authority) cannot be read")
        }
        if !certificate.isEmpty {
            try require(
                SSL_CTX_use_certificate_chain_file(context, certificate),
                "options.certFile: \(certificate) cannot be read")
            try require(
                SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM), "options.keyFile: \(key) cannot be read")
            try require(
                SSL_CTX_check_private_key(context), "options.keyFile: \(key) does not belong to \(certificate)")
        }
    }

    deinit { SSL_CTX_free(context) }

    /// A session over a connected socket that insists on the endpoint's name or address. Owned by the caller.
    func session(for endpoint: Endpoint, descriptor: Int32) throws(PluginError) -> OpaquePointer {
        guard let session = SSL_new(context) else { throw .exhausted("TLS has no memory: \(Self.lastError())") }
        var storage = in6_addr()
        let isAddress =
            inet_pton(AF_INET, endpoint.host, &storage) == 1 || inet_pton(AF_INET6, endpoint.host, &storage) == 1
        let parameters = SSL_get0_param(session)
        let isSet =
            isAddress
            ? X509_VERIFY_PARAM_set1_ip_asc(parameters, endpoint.host)
            : X509_VERIFY_PARAM_set1_host(parameters, endpoint.host, endpoint.host.utf8.count)
        // The name goes along for servers with several certificates; SSL_set_tlsext_host_name is a macro of this.
        var name = Array(endpoint.host.utf8CString)
        let isNamed = isAddress || SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, 0, &name) == 1
        guard isSet == 1, isNamed, SSL_set_fd(session, descriptor) == 1 else {
            SSL_free(session)
            throw .exhausted("TLS cannot be set up for \(endpoint): \(Self.lastError())")
        }
        SSL_set_connect_state(session)
        return session
    }

    /// The oldest error in OpenSSL's queue of this thread; empties the queue.
    static func lastError() -> String {
        let code = ERR_get_error()
        ERR_clear_error()
        guard code != 0 else { return "unknown error of OpenSSL" }
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(code, &text, text.count)
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
