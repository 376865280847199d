import COpenSSL
import CEpoll
import Glibc

/// The bytes of a probe's connection, plain or TLS, over a non-blocking socket that belongs to someone else. Used by one
/// thread. Certificates are not checked: a probe asks whether the container serves, as Kubernetes' do.
final class ProbeTransport {
    enum Outcome {
        case count(Int)
        case wantsRead
        case wantsWrite
        case end
        case failed(String)
    }

    // SAFETY: made once, never changed afterwards; OpenSSL's contexts may be shared by threads.
    nonisolated(unsafe) private static let context: OpaquePointer? = SSL_CTX_new(TLS_client_method())

    let descriptor: Int32
    private let session: OpaquePointer?
    private let isTLS: Bool

    init(descriptor: Int32, isTLS: Bool) {
        self.descriptor = descriptor
        self.isTLS = isTLS
        session = isTLS ? Self.context.flatMap { SSL_new($0) } : nil
        if let session {
            SSL_set_fd(session, descriptor)
            SSL_set_connect_state(session)
        }
    }

    deinit { if let session { SSL_free(session) } }

    /// Goes on with the TLS handshake; `.count` when there is nothing (more) to shake.
    func handshake() -> Outcome {
        guard isTLS else { return .count(0) }
        guard let session else { return .failed("TLS is out of memory") }
        ERR_clear_error()
        let status = SSL_do_handshake(session)
        return status == 1 ? .count(0) : outcome(status)
    }

    func send(_ bytes: ArraySlice<UInt8>) -> Outcome {
        bytes.withUnsafeBytes { buffer in
            guard let session else {
                let count = Glibc.send(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_NOSIGNAL))
                return count >= 0 ? .count(count) : failure(.wantsWrite)
            }
            ERR_clear_error()
            let count = SSL_write(session, buffer.baseAddress, Int32(clamping: buffer.count))
            return count > 0 ? .count(Int(count)) : outcome(count)
        }
    }

    func receive(into chunk: inout [UInt8]) -> Outcome {
        chunk.withUnsafeMutableBytes { buffer in
            guard let session else {
                let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
                if count == 0 { return .end }
                return count > 0 ? .count(count) : failure(.wantsRead)
            }
            ERR_clear_error()
            let count = SSL_read(session, buffer.baseAddress, Int32(clamping: buffer.count))
            return count > 0 ? .count(Int(count)) : outcome(count)
        }
    }

    private func failure(_ pause: Outcome) -> Outcome {
        errno == EAGAIN || errno == EINTR ? pause : .failed(String(cString: strerror(errno)))
    }

    private func outcome(_ status: Int32) -> Outcome {
        switch SSL_get_error(session, status) {
        case SSL_ERROR_WANT_READ: return .wantsRead
        case SSL_ERROR_WANT_WRITE: return .wantsWrite
        case SSL_ERROR_ZERO_RETURN: return .end
        case SSL_ERROR_SYSCALL where errno == 0: return .end
        default:
            var text = [CChar](repeating: 0, count: 256)
            let code = ERR_get_error()
            if code == 0 { return .failed(String(cString: strerror(errno))) }
            ERR_error_string_n(code, &text, text.count)
            return .failed(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
    }
}
