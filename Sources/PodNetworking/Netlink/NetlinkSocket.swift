import Glibc
import Synchronization

/// A failed netlink request, or a socket that cannot be used.
package struct NetlinkError: Error, CustomStringConvertible {
    /// The errno value.
    package let code: Int32
    /// What was asked ("create link veth1234").
    package let request: String
    /// The kernel's own words, often empty.
    package let explanation: String

    package init(code: Int32, request: String, explanation: String = "") {
        self.code = code
        self.request = request
        self.explanation = explanation
    }

    package var description: String {
        let reason = String(cString: strerror(code))
        return "\(request): \(reason)" + (explanation.isEmpty ? "" : " (\(explanation))")
    }
}

/// A netlink socket that sends batches of requests and collects the answers.
///
/// The kernel works on a request while it is being sent: when the send returns, every acknowledgement lies in the
/// receive queue, so nothing here ever waits. Safe from any thread; batches of one socket follow one another.
final class NetlinkSocket: Sendable {
    private let descriptor: Int32
    private let turn = Mutex<Void>(())
    /// The number of the network namespace that the socket was opened in; 0 where the kernel cannot tell (before 5.14).
    let namespaceCookie: UInt64

    /// Opens a socket in the calling thread's network namespace. `family` is one of NetlinkFamily.
    init(family: Int32) throws {
        descriptor = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), family)
        guard descriptor >= 0 else {
            throw NetlinkError(code: errno, request: "open a netlink socket (family \(family))", explanation: "")
        }
        var on: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        // Comforts of newer kernels: without them errors are terser and replies longer, and nothing else changes.
        for option in [NetlinkOption.NETLINK_CAP_ACK, NetlinkOption.NETLINK_EXT_ACK] {
            _ = setsockopt(descriptor, NetlinkOption.SOL_NETLINK, option, &on, size)
        }
        if family == NetlinkFamily.NETLINK_ROUTE {
            _ = setsockopt(descriptor, NetlinkOption.SOL_NETLINK, NetlinkOption.NETLINK_GET_STRICT_CHK, &on, size)
        }
        var bufferSize = Self.bufferSize
        for option in [NetlinkOption.SO_RCVBUFFORCE, NetlinkOption.SO_SNDBUFFORCE] {
            _ = setsockopt(descriptor, SOL_SOCKET, option, &bufferSize, size)
        }
        var cookie: UInt64 = 0
        var cookieSize = socklen_t(MemoryLayout<UInt64>.size)
        let known = getsockopt(descriptor, SOL_SOCKET, NetlinkOption.SO_NETNS_COOKIE, &cookie, &cookieSize) == 0
        namespaceCookie = known ? cookie : 0
    }

    deinit { close(descriptor) }

    /// Sends all messages and returns what the kernel answered besides acknowledgements. Throws the first error; the
    /// kernel has worked on the messages after the failed one nevertheless (netfilter batches are all or nothing).
    /// `tolerating` lists errno values that count as success. With `each`, replies go there one by one and are not kept:
    /// for tables of any length.
    @discardableResult
    func transact(
        _ batch: NetlinkBatch, tolerating tolerated: [Int32] = [], each: ((NetlinkReply) -> Void)? = nil
    ) throws -> [NetlinkReply] {
        try turn.withLock { _ in
            try send(batch)
            var collector = ReplyCollector(labels: batch.labels, tolerated: tolerated)
            var buffer = [UInt8](repeating: 0, count: 32768)
            while true {
                let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
                if count > 0 {
                    collector.take(buffer[..<count])
                    if let each { collector.takeReplies().forEach(each) }
                } else if count < 0 && errno == EINTR {
                    continue
                } else if count < 0 && errno != EAGAIN {
                    throw NetlinkError(code: errno, request: "read netlink replies", explanation: "")
                } else {
                    break
                }
            }
            if let error = collector.error { throw error }
            return collector.replies
        }
    }

    private static let bufferSize: Int32 = 1 << 20

    private func send(_ batch: NetlinkBatch) throws {
        // A transaction is one datagram, however long: the socket takes one only when its buffer could hold it.
        var wanted = Int32(clamping: batch.bytes.count + 4096)
        if wanted > Self.bufferSize {
            setsockopt(
                descriptor, SOL_SOCKET, NetlinkOption.SO_SNDBUFFORCE, &wanted, socklen_t(MemoryLayout<Int32>.size))
        }
        while true {
            let sent = Glibc.send(descriptor, batch.bytes, batch.bytes.count, 0)
            if sent == batch.bytes.count { return }
            if sent < 0 && errno == EINTR { continue }
            throw NetlinkError(
                code: sent < 0 ? errno : EMSGSIZE, request: "send \(batch.labels.first ?? "nothing")", explanation: "")
        }
    }
}

/// Sorts datagrams from the kernel into replies and the first error.
struct ReplyCollector {
    let labels: [String]
    let tolerated: [Int32]
    private(set) var replies: [NetlinkReply] = []
    private(set) var error: NetlinkError?

    init(labels: [String], tolerated: [Int32]) {
        self.labels = labels
        self.tolerated = tolerated
    }

    /// Hands over what has come so far.
    mutating func takeReplies() -> [NetlinkReply] {
        defer { replies = [] }
        return replies
    }

    /// Reads the messages of one datagram.
    mutating func take(_ datagram: ArraySlice<UInt8>) {
        var rest = datagram
        while let length = rest.number(as: UInt32.self), length >= 16, Int(length) <= rest.count {
            let type: UInt16 = rest.dropFirst(4).number() ?? 0
            let flags: UInt16 = rest.dropFirst(6).number() ?? 0
            let sequence: UInt32 = rest.dropFirst(8).number() ?? 0
            let payload = rest.dropFirst(16).prefix(Int(length) - 16)
            switch type {
            case NetlinkType.NLMSG_ERROR: acknowledge(payload, flags: flags, sequence: sequence)
            case NetlinkType.NLMSG_DONE: break
            default: replies.append(NetlinkReply(type: type, payload: Array(payload)))
            }
            rest = rest.dropFirst((Int(length) + 3) & ~3)
        }
    }

    private mutating func acknowledge(_ payload: ArraySlice<UInt8>, flags: UInt16, sequence: UInt32) {
        let code = -(payload.number(as: Int32.self) ?? 0)
        guard code != 0, !tolerated.contains(code), error == nil else { return }
        var explanation = ""
        if flags & NetlinkFlag.NLM_F_ACK_TLVS != 0 {
            // The error number and the request's header (16 bytes) come first, the whole request when it is not capped.
            let requestSize = payload.dropFirst(4).number(as: UInt32.self).map { Int($0) } ?? 16
            let head = flags & NetlinkFlag.NLM_F_CAPPED != 0 ? 20 : 4 + (requestSize + 3) & ~3
            explanation = NetlinkAttributes(payload.dropFirst(head)).text(NetlinkOption.NLMSGERR_ATTR_MSG) ?? ""
        }
        let label = labels.indices.contains(Int(sequence)) ? labels[Int(sequence)] : "netlink request"
        error = NetlinkError(code: code, request: label, explanation: explanation)
    }
}
