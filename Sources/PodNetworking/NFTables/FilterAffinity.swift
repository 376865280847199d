import Glibc

/// The clients that a table's rules have remembered. When an endpoint goes, those that had it must choose again.
enum FilterAffinity {
    /// What a change of routes takes from clients: frontends with affinity, and the endpoints that they lose.
    static func lost(_ changes: RouteChanges) -> [Frontend: Set<Endpoint>] {
        var lost: [Frontend: Set<Endpoint>] = [:]
        func note(_ old: ServiceRoute?, _ new: ServiceRoute?) {
            guard let old, old.affinitySeconds != nil else { return }
            for frontend in old.frontends {
                let stays = new.map { $0.frontends.contains(frontend) && $0.affinitySeconds != nil } ?? false
                let before = Set(old.endpoints + (old.outsideEndpoints ?? []))
                // Under another policy an endpoint may go for clients from outside alone: they choose again, too.
                let after = new.map { Set($0.endpoints).intersection($0.outsideEndpoints ?? $0.endpoints) } ?? []
                let gone = stays ? before.subtracting(after) : before
                if !gone.isEmpty { lost[frontend, default: []].formUnion(gone) }
            }
        }
        for route in changes.removed { note(route, nil) }
        for change in changes.changed { note(change.old, change.new) }
        return lost
    }

    /// Forgets the clients that had lost endpoints. Complexity: one pass over those that are remembered.
    static func forget(_ lost: [Frontend: Set<Endpoint>], table: String, by socket: NetlinkSocket) throws {
        guard !lost.isEmpty else { return }
        var dump = NetlinkBatch()
        dump.message(
            NFT.NFNL_SUBSYS_NFTABLES << 8 | NFT.NFT_MSG_GETSETELEM, NetlinkFlag.NLM_F_DUMP, label: "list clients")
        dump.append([NFT.NFPROTO_IPV4, 0, 0, 0])
        dump.attribute(NFT.NFTA_SET_ELEM_LIST_TABLE, text: table)
        dump.attribute(NFT.NFTA_SET_ELEM_LIST_SET, text: FilterTable.affinity)
        dump.end()
        var gone: [FilterElement] = []
        try socket.transact(dump) { reply in
            let list = reply.attributes(after: 4)[NFT.NFTA_SET_ELEM_LIST_ELEMENTS] ?? []
            NetlinkAttributes.each(in: list) { _, element in
                if let key = staleKey(NetlinkAttributes(element), lost) { gone.append(FilterElement(key: key)) }
            }
        }
        // One at a time: an entry may have run out meanwhile, and a transaction is all or nothing.
        for element in gone {
            var batch = FilterBatch(table: table)
            batch.deleteElements(FilterTable.affinity, [element])
            try socket.transact(batch.finished(), tolerating: [ENOENT])
        }
    }

    /// The key of an entry that leads to a lost endpoint: address, transport, port, client.
    private static func staleKey(_ element: NetlinkAttributes, _ lost: [Frontend: Set<Endpoint>]) -> [UInt8]? {
        guard let key = element.nested(NFT.NFTA_SET_ELEM_KEY)?[NFT.NFTA_DATA_VALUE].map(Array.init), key.count == 16,
            let data = element.nested(NFT.NFTA_SET_ELEM_DATA)?[NFT.NFTA_DATA_VALUE].map(Array.init), data.count == 8,
            let transport = Transport(rawValue: key[4])
        else { return nil }
        let port = UInt16(key[8]) << 8 | UInt16(key[9])
        let endpoint = Endpoint(address: address(data[..<4]), port: UInt16(data[4]) << 8 | UInt16(data[5]))
        let isStale = [address(key[..<4]), nil].contains { address in
            lost[Frontend(address: address, port: port, transport: transport)]?.contains(endpoint) ?? false
        }
        return isStale ? key : nil
    }

    private static func address(_ bytes: ArraySlice<UInt8>) -> IPv4Address {
        IPv4Address(bytes.reduce(0) { $0 << 8 | UInt32($1) })
    }
}
