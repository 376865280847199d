import Glibc

/// The sockets of a network namespace that are connected by UDP, as sock_diag(7) lists and ends them.
package enum ConnectedSockets {
    /// Numbers of linux/sock_diag.h and linux/inet_diag.h.
    private static let SOCK_DIAG_BY_FAMILY: UInt16 = 20
    private static let SOCK_DESTROY: UInt16 = 21
    /// In `idiag_states`: connected.
    private static let establishedStates: UInt32 = 1 << 1
    /// Offset and size of `struct inet_diag_sockid` in an answer.
    private static let identityOffset = 4
    private static let identitySize = 48

    /// Ends those sockets for which `isStale` says so, told the socket's cookie and whom it is connected to. A process
    /// that reads at one gets ECONNABORTED, one that writes EDESTADDRREQ: it has to connect again.
    /// - Parameters:
    ///   - path: the network namespace; nil: the calling thread's own.
    ///   - cookie: its number; another namespace at that path is left alone.
    /// - Returns: false when the kernel cannot do it (CONFIG_INET_UDP_DIAG, CONFIG_INET_DIAG_DESTROY).
    package static func end(
        in path: String?, cookie: UInt64, where isStale: @escaping (_ socket: UInt64, _ peer: Endpoint) -> Bool
    ) throws -> Bool {
        do {
            guard let socket = try open(path), socket.namespaceCookie == cookie else { return true }
            var ends = NetlinkBatch()
            try socket.transact(listing()) { reply in
                guard let identity = staleIdentity(reply, isStale) else { return }
                ends.message(SOCK_DESTROY, NetlinkFlag.NLM_F_ACK, label: "end a socket")
                appendRequest(identity, to: &ends)
            }
            // One that its process has closed meanwhile is gone.
            if ends.count > 0 { try socket.transact(ends, tolerating: [ENOENT]) }
            return true
        } catch let error as NetlinkError where [ENOENT, EOPNOTSUPP, EPROTONOSUPPORT].contains(error.code) {
            return false
        }
    }

    /// Nil when the namespace is gone.
    private static func open(_ path: String?) throws -> NetlinkSocket? {
        guard let path else { return try NetlinkSocket(family: NetlinkFamily.NETLINK_SOCK_DIAG) }
        do {
            return try NetworkNamespace.socket(family: NetlinkFamily.NETLINK_SOCK_DIAG, path: path)
        } catch let error as NetlinkError where error.code == ENOENT {
            return nil
        }
    }

    private static func listing() -> NetlinkBatch {
        var batch = NetlinkBatch()
        batch.message(SOCK_DIAG_BY_FAMILY, NetlinkFlag.NLM_F_DUMP, label: "list connected sockets")
        appendRequest([UInt8](repeating: 0, count: identitySize), to: &batch)
        return batch
    }

    /// `struct inet_diag_req_v2`, and the end of the message.
    private static func appendRequest(_ identity: [UInt8], to batch: inout NetlinkBatch) {
        batch.append([UInt8(AF_INET), Transport.udp.rawValue, 0, 0])
        batch.append(establishedStates)
        batch.append(identity)
        batch.end()
    }

    /// `struct inet_diag_sockid` of a socket that has to end; nil for all others.
    private static func staleIdentity(
        _ reply: NetlinkReply, _ isStale: (_ socket: UInt64, _ peer: Endpoint) -> Bool
    ) -> [UInt8]? {
        let identity = Array(reply.payload.dropFirst(identityOffset).prefix(identitySize))
        guard reply.type == SOCK_DIAG_BY_FAMILY, identity.count == identitySize,
            let port = reply.number(at: identityOffset + 2, as: UInt16.self),
            let address = reply.number(at: identityOffset + 20, as: UInt32.self),
            let low = reply.number(at: identityOffset + 40, as: UInt32.self),
            let high = reply.number(at: identityOffset + 44, as: UInt32.self)
        else { return nil }
        let peer = Endpoint(address: IPv4Address(UInt32(bigEndian: address)), port: UInt16(bigEndian: port))
        return isStale(UInt64(high) << 32 | UInt64(low), peer) ? identity : nil
    }
}
