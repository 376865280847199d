import Glibc

/// The kernel's table of translated connections. A UDP client that keeps its port keeps its endpoint, as long as it goes
/// on sending, even when the endpoint has gone from the service: its entry has to go too. One that began before there was a
/// service keeps going past it in the same way.
package enum ConnectionTracking {
    /// Numbers of linux/netfilter/nfnetlink_conntrack.h.
    private static let NFNL_SUBSYS_CTNETLINK: UInt16 = 1
    private static let IPCTNL_MSG_CT_NEW: UInt16 = 0
    private static let IPCTNL_MSG_CT_GET: UInt16 = 1
    private static let IPCTNL_MSG_CT_DELETE: UInt16 = 2
    private static let CTA_TUPLE_ORIG: UInt16 = 1
    private static let CTA_TUPLE_REPLY: UInt16 = 2
    private static let CTA_TUPLE_IP: UInt16 = 1
    private static let CTA_TUPLE_PROTO: UInt16 = 2
    private static let CTA_IP_V4_SRC: UInt16 = 1
    private static let CTA_IP_V4_DST: UInt16 = 2
    private static let CTA_PROTO_NUM: UInt16 = 1
    private static let CTA_PROTO_SRC_PORT: UInt16 = 2
    private static let CTA_PROTO_DST_PORT: UInt16 = 3

    /// What was dialled, and the endpoint there that is no more; nil: what was not translated at all.
    package struct Stale: Hashable {
        package let frontend: Frontend
        package let endpoint: Endpoint?
    }

    /// Pairs of frontend and endpoint of UDP that led to each other before a change of routes, and do so no more.
    package static func parted(by changes: RouteChanges) -> Set<Stale> {
        func pairs(_ route: ServiceRoute?) -> [Stale] {
            guard let route, route.transport == .udp else { return [] }
            return route.frontends.flatMap { frontend in
                route.endpoints.map { Stale(frontend: frontend, endpoint: $0) }
            }
        }
        let before = changes.removed.flatMap(pairs) + changes.changed.flatMap { pairs($0.old) }
        return Set(before).subtracting(changes.changed.flatMap { pairs($0.new) })
    }

    /// What a change of routes leaves behind of UDP: pairs that it parted, and frontends that led nowhere.
    /// - Parameter refused: addresses that are refused while no service has them: nothing goes past a service there.
    static func stale(_ changes: RouteChanges, refused: IPv4Range) -> Set<Stale> {
        func frontends(_ route: ServiceRoute?) -> [Frontend] {
            guard let route, route.transport == .udp else { return [] }
            return route.frontends.filter { $0.address.map { !refused.contains($0) } ?? true }
        }
        let fresh = Set(changes.changed.flatMap { frontends($0.new) })
            .subtracting(changes.changed.flatMap { frontends($0.old) } + changes.removed.flatMap { frontends($0) })
        return parted(by: changes).union(fresh.map { Stale(frontend: $0, endpoint: nil) })
    }

    /// Deletes the entries of connections from such frontends to such endpoints. Complexity: one pass over the table.
    static func forget(_ stale: Set<Stale>, by socket: NetlinkSocket) throws {
        guard !stale.isEmpty else { return }
        var dump = NetlinkBatch()
        dump.message(
            NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NetlinkFlag.NLM_F_DUMP, label: "list connections")
        dump.append([NFT.NFPROTO_IPV4, 0, 0, 0])
        dump.end()
        var deletion = NetlinkBatch()
        try socket.transact(dump) { reply in
            guard let original = staleOriginal(reply, stale) else { return }
            deletion.message(
                NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, NetlinkFlag.NLM_F_ACK, label: "delete a connection")
            deletion.append([NFT.NFPROTO_IPV4, 0, 0, 0])
            deletion.attribute(CTA_TUPLE_ORIG | NetlinkAttributeBit.NLA_F_NESTED, original)
            deletion.end()
        }
        if deletion.count > 0 { try socket.transact(deletion, tolerating: [ENOENT]) }
    }

    /// The first direction of a connection that has to go, by which it is deleted; nil for all others.
    private static func staleOriginal(_ reply: NetlinkReply, _ stale: Set<Stale>) -> [UInt8]? {
        guard reply.type == NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW else { return nil }
        let entry = reply.attributes(after: 4)
        guard let original = entry[CTA_TUPLE_ORIG], let tuple = Tuple(original),
            let back = entry[CTA_TUPLE_REPLY].flatMap({ Tuple($0) }), tuple.transport == Transport.udp.rawValue
        else { return nil }
        let isTranslated = back.source != tuple.destination || back.sourcePort != tuple.destinationPort
        let endpoint = isTranslated ? Endpoint(address: back.source, port: back.sourcePort) : nil
        let isStale = holds(stale, address: tuple.destination, port: tuple.destinationPort, endpoint: endpoint)
        return isStale ? Array(original) : nil
    }

    /// Whether a client that dialled such an address, a service's or a node's, and was led to an endpoint is among the stale.
    package static func holds(
        _ stale: Set<Stale>, address: IPv4Address, port: UInt16, endpoint: Endpoint?
    ) -> Bool {
        [address, nil].contains { address in
            let frontend = Frontend(address: address, port: port, transport: .udp)
            return stale.contains(Stale(frontend: frontend, endpoint: endpoint))
        }
    }

    /// One direction of a connection.
    private struct Tuple {
        let source: IPv4Address
        let destination: IPv4Address
        let transport: UInt8
        let sourcePort: UInt16
        let destinationPort: UInt16

        init?(_ bytes: ArraySlice<UInt8>) {
            let attributes = NetlinkAttributes(bytes)
            guard let addresses = attributes.nested(CTA_TUPLE_IP), let ports = attributes.nested(CTA_TUPLE_PROTO),
                let source = addresses.address(CTA_IP_V4_SRC), let destination = addresses.address(CTA_IP_V4_DST),
                let transport: UInt8 = ports.number(CTA_PROTO_NUM),
                let sourcePort: UInt16 = ports.number(CTA_PROTO_SRC_PORT),
                let destinationPort: UInt16 = ports.number(CTA_PROTO_DST_PORT)
            else { return nil }
            self.source = source
            self.destination = destination
            self.transport = transport
            self.sourcePort = UInt16(bigEndian: sourcePort)
            self.destinationPort = UInt16(bigEndian: destinationPort)
        }
    }
}
