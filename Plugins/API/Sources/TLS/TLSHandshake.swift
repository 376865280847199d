import COpenSSL
import Glibc

/// What the handshake of a connection has found out.
struct TLSPeer {
    var certificate: ClientCertificate?
    /// Whether client and server have agreed upon HTTP/2 (ALPN).
    var speaksHTTP2: Bool

    static let plain = TLSPeer(certificate: nil, speaksHTTP2: false)
}

/// A connection's handshake, by OpenSSL. What comes is read here and given to it, so that nothing beyond the handshake is taken:
/// a connection of TLS 1.3 goes on with `TLSRecords`, from the traffic secrets, and OpenSSL's state is freed. One of TLS 1.2 stays
/// with OpenSSL. Confined to its connection's thread.
final class TLSHandshake {
    private let session: OpaquePointer
    /// What has come and OpenSSL has not taken; the session's own. Nil once the session reads the socket itself.
    private var incoming: OpaquePointer?
    private let descriptor: Int32
    private let context: TLSContext
    private var clientSecret: [UInt8] = []
    private var serverSecret: [UInt8] = []
    /// Records that were written under the server's traffic secret: tickets.
    private var writtenRecords: UInt64 = 0

    /// Nil when OpenSSL has no memory.
    init?(descriptor: Int32, context: TLSContext) {
        guard let session = SSL_new(context.pointer) else { return nil }
        guard SSL_set_wfd(session, descriptor) == 1, let incoming = BIO_new(BIO_s_mem()) else {
            SSL_free(session)
            return nil
        }
        SSL_set0_rbio(session, incoming)
        SSL_set_accept_state(session)
        self.session = session
        self.incoming = incoming
        self.descriptor = descriptor
        self.context = context
        SSL_set_ex_data(session, 0, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit {
        Self.wipe(&clientSecret)
        Self.wipe(&serverSecret)
        SSL_free(session)
    }

    private static func wipe(_ secret: inout [UInt8]) {
        secret.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
    }

    /// Goes on; `.count` when it is done.
    func advance(through buffer: UnsafeMutableRawBufferPointer) -> Transport.Result {
        while true {
            ERR_clear_error()
            let status = SSL_do_handshake(session)
            guard status != 1 else { return .count(0) }
            let result = result(status)
            guard case .wantsRead = result else { return result }
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            guard count > 0 else { return count == 0 ? .end : .ofErrno(errno, or: .wantsRead) }
            guard BIO_write(incoming, buffer.baseAddress, Int32(count)) == count else {
                return .failed("out of memory")
            }
        }
    }

    /// After the handshake.
    var peer: TLSPeer { TLSPeer(certificate: clientCertificate(), speaksHTTP2: speaksHTTP2) }

    private var speaksHTTP2: Bool {
        var name: UnsafePointer<UInt8>?
        var size: UInt32 = 0
        SSL_get0_alpn_selected(session, &name, &size)
        return UnsafeBufferPointer(start: name, count: Int(size)).elementsEqual("h2".utf8)
    }

    private func clientCertificate() -> ClientCertificate? {
        guard let certificate = SSL_get1_peer_certificate(session) else { return nil }
        defer { X509_free(certificate) }
        return ClientCertificate(
            certificate: certificate, isTrusted: SSL_get_verify_result(session) == Int(X509_V_OK),
            isOfProxy: context.isOfProxy(certificate))
    }

    // MARK: What follows in TLS 1.3

    /// The records that the connection goes on with, and what has come of them already; nil in TLS 1.2. After the handshake.
    func records() -> (records: TLSRecords, received: [UInt8])? {
        guard SSL_version(session) == TLS1_3_VERSION, SSL_has_pending(session) == 0,
            let suite = CipherSuite(rawValue: SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(session))),
            let reading = TrafficKey(suite, secret: clientSecret),
            let writing = TrafficKey(suite, secret: serverSecret, sequence: writtenRecords)
        else { return nil }
        var received = [UInt8](repeating: 0, count: BIO_ctrl_pending(incoming))
        if !received.isEmpty { _ = BIO_read(incoming, &received, Int32(received.count)) }
        return (TLSRecords(reading: reading, writing: writing), received)
    }

    /// Lets a context's handshakes tell their secrets, and count what they protect.
    static func prepare(_ context: OpaquePointer) {
        SSL_CTX_set_keylog_callback(context) { session, line in
            guard let handshake = TLSHandshake.of(session), let line else { return }
            handshake.learn(UnsafeBufferPointer(start: line, count: strlen(line)))
        }
        SSL_CTX_set_msg_callback(context) { isWritten, _, type, _, _, session, _ in
            guard isWritten == 1, type == SSL3_RT_HEADER else { return }
            TLSHandshake.of(session)?.countRecord()
        }
    }

    private static func of(_ session: OpaquePointer?) -> TLSHandshake? {
        SSL_get_ex_data(session, 0).map { Unmanaged<TLSHandshake>.fromOpaque($0).takeUnretainedValue() }
    }

    private func countRecord() {
        if !serverSecret.isEmpty { writtenRecords += 1 }
    }

    /// Takes a line "LABEL RANDOM SECRET", numbers in hexadecimal: the format of key logs (RFC 9850).
    private func learn(_ line: UnsafeBufferPointer<CChar>) {
        let blank = CChar(bitPattern: 0x20)
        let parts = line.split(separator: blank)
        guard parts.count == 3 else { return }
        let label = String(decoding: parts[0].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard label == "CLIENT_TRAFFIC_SECRET_0" || label == "SERVER_TRAFFIC_SECRET_0" else { return }
        var secret: [UInt8] = []
        secret.reserveCapacity(parts[2].count / 2)
        var position = parts[2].startIndex
        while position + 1 < parts[2].endIndex {
            guard let high = Self.digit(parts[2][position]), let low = Self.digit(parts[2][position + 1]) else {
                return
            }
            secret.append(high << 4 | low)
            position += 2
        }
        if label.hasPrefix("CLIENT") { clientSecret = secret } else { serverSecret = secret }
    }

    private static func digit(_ character: CChar) -> UInt8? {
        switch UInt8(bitPattern: character) {
        case let byte where byte >= 0x30 && byte <= 0x39: byte - 0x30
        case let byte where byte >= 0x41 && byte <= 0x46: byte - 0x41 + 10
        case let byte where byte >= 0x61 && byte <= 0x66: byte - 0x61 + 10
        default: nil
        }
    }

    // MARK: What follows in TLS 1.2

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Transport.Result {
        while true {
            ERR_clear_error()
            let count = SSL_read(session, buffer.baseAddress, Int32(buffer.count))
            if count > 0 { return .count(Int(count)) }
            let result = result(count)
            guard case .wantsRead = result, incoming != nil else { return result }
            // What had come with the handshake is taken: from now on the session reads the socket.
            guard SSL_set_rfd(session, descriptor) == 1 else { return .failed(OpenSSLError.last()) }
            // A whole record, or several, in one system call.
            SSL_set_read_ahead(session, 1)
            incoming = nil
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> Transport.Result {
        ERR_clear_error()
        let count = SSL_write(session, bytes.baseAddress, Int32(min(bytes.count, 1 << 20)))
        return count > 0 ? .count(Int(count)) : result(count)
    }

    /// Tells the peer that nothing more comes; its answer is not awaited.
    func shutdown() {
        guard SSL_is_init_finished(session) == 1 else { return }
        ERR_clear_error()
        SSL_shutdown(session)
        ERR_clear_error()
    }

    private func result(_ status: Int32) -> Transport.Result {
        let code = errno
        switch SSL_get_error(session, status) {
        case SSL_ERROR_WANT_READ: return .wantsRead
        case SSL_ERROR_WANT_WRITE: return .wantsWrite
        case SSL_ERROR_ZERO_RETURN: return .end
        case SSL_ERROR_SYSCALL: return code == 0 ? .end : .ofErrno(code, or: .end)
        default: return .failed(OpenSSLError.last())
        }
    }
}
