import CEpoll
import COpenSSL
import Glibc

/// One TLS connection over a non-blocking socket; without a context, the plain socket. Confined to its connection's thread.
struct Transport {
    enum Result {
        case count(Int)
        case wantsRead
        case wantsWrite
        case end
        case failed(String)
    }

    private let session: OpaquePointer?
    private let descriptor: Int32
    private let context: TLSContext?

    /// Takes over the accepted `descriptor`; nil when OpenSSL has no memory.
    init?(descriptor: Int32, context: TLSContext?) {
        self.descriptor = descriptor
        self.context = context
        guard let context else {
            session = nil
            return
        }
        guard let session = SSL_new(context.pointer), SSL_set_fd(session, descriptor) == 1 else { return nil }
        SSL_set_accept_state(session)
        self.session = session
    }

    /// Goes on with the handshake; `.count` when it is done.
    func handshake() -> Result {
        guard let session else { return .count(0) }
        ERR_clear_error()
        let status = SSL_do_handshake(session)
        return status == 1 ? .count(0) : result(status)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Result {
        guard let session else {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .count(count) }
            if count == 0 { return .end }
            return errno == EAGAIN || errno == EINTR ? .wantsRead : .failed(String(cString: strerror(errno)))
        }
        ERR_clear_error()
        let count = SSL_read(session, buffer.baseAddress, Int32(buffer.count))
        return count > 0 ? .count(Int(count)) : result(count)
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> Result {
        guard let session else {
            let count = send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 { return .count(count) }
            return errno == EAGAIN || errno == EINTR ? .wantsWrite : .failed(String(cString: strerror(errno)))
        }
        ERR_clear_error()
        let count = SSL_write(session, bytes.baseAddress, Int32(min(bytes.count, 1 << 20)))
        return count > 0 ? .count(Int(count)) : result(count)
    }

    /// Tells the peer that nothing more comes; its answer is not awaited.
    func shutdown() {
        guard let session, SSL_is_init_finished(session) == 1 else { return }
        ERR_clear_error()
        SSL_shutdown(session)
        ERR_clear_error()
    }

    func free() {
        if let session { SSL_free(session) }
    }

    var isTLS: Bool { session != nil }

    /// Whether client and server have agreed upon HTTP/2 (ALPN). After the handshake.
    var speaksHTTP2: Bool {
        guard let session else { return false }
        var name: UnsafePointer<UInt8>?
        var size: UInt32 = 0
        SSL_get0_alpn_selected(session, &name, &size)
        return UnsafeBufferPointer(start: name, count: Int(size)).elementsEqual("h2".utf8)
    }

    /// Who the peer's certificate says it is; nil without one.
    func clientCertificate() -> ClientCertificate? {
        guard let session, let certificate = SSL_get1_peer_certificate(session) else { return nil }
        defer { X509_free(certificate) }
        let isTrusted = SSL_get_verify_result(session) == Int(X509_V_OK)
        return ClientCertificate(
            certificate: certificate, isTrusted: isTrusted, isOfProxy: context?.isOfProxy(certificate) ?? false)
    }

    private func result(_ status: Int32) -> Result {
        let code = errno
        switch SSL_get_error(session, status) {
        case SSL_ERROR_WANT_READ: return .wantsRead
        case SSL_ERROR_WANT_WRITE: return .wantsWrite
        case SSL_ERROR_ZERO_RETURN: return .end
        case SSL_ERROR_SYSCALL:
            return code == 0 || code == ECONNRESET || code == EPIPE ? .end : .failed(String(cString: strerror(code)))
        default: return .failed(OpenSSLError.last())
        }
    }
}

/// The oldest error in OpenSSL's queue of this thread, in its words; empties the queue.
enum OpenSSLError {
    static func last() -> String {
        let code = ERR_get_error()
        ERR_clear_error()
        guard code != 0 else { return "unknown OpenSSL error" }
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(code, &text, text.count)
        return text.withUnsafeBufferPointer { buffer in
            String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }
}
