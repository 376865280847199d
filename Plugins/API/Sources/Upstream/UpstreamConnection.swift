import CEpoll
import Glibc

/// A connection to another server, whoever has it: a request, or the pool. It closes with its last holder.
final class UpstreamConnection: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): one at a time has it; the pool hands it over under its lock.

    /// Where it leads, and what it may be used for again.
    struct Key: Hashable, Sendable {
        var address: UpstreamAddress
        var security: UpstreamSecurity
        /// Who the forwarded port of a pod is for; nil where the connection is this server's own.
        var user: UserInfo?
    }

    let key: Key
    /// A TCP socket, or a SOCK_SEQPACKET socket whose packets are pieces of the bytes; non-blocking.
    let descriptor: Int32
    /// Made with the first request; nil without TLS.
    var session: TLSClientSession?
    /// Whether it has answered a request already, so that its server may have ended it meanwhile; the pool's to set.
    var isReused = false
    /// CLOCK_MONOTONIC, nanoseconds: since when it waits in the pool.
    var since: UInt64 = 0

    /// Takes over `descriptor`.
    init(_ descriptor: Int32, _ key: Key) {
        self.descriptor = descriptor
        self.key = key
    }

    deinit { close(descriptor) }

    /// Whether nothing has come since it went to wait: neither its end, nor something that nobody asked for.
    var isQuiet: Bool {
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) < 0 && errno == EAGAIN
    }
}
