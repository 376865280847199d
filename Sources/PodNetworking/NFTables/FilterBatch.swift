import Glibc

/// One transaction of nf_tables: everything in it happens together or not at all.
struct FilterBatch {
    private(set) var netlink = NetlinkBatch()
    let table: String
    private var nextSetID: UInt32 = 1

    init(table: String) {
        self.table = table
        netlink.message(NFT.NFNL_MSG_BATCH_BEGIN, 0, label: "begin the packet filter's transaction")
        head(resource: NFT.NFNL_SUBSYS_NFTABLES)
        netlink.end()
    }

    /// The finished transaction.
    func finished() -> NetlinkBatch {
        var copy = self
        copy.netlink.message(NFT.NFNL_MSG_BATCH_END, 0, label: "end the packet filter's transaction")
        copy.head(resource: NFT.NFNL_SUBSYS_NFTABLES)
        copy.netlink.end()
        return copy.netlink
    }

    /// struct nfgenmsg
    private mutating func head(resource: UInt16 = 0) {
        netlink.append(resource == 0 ? NFT.NFPROTO_IPV4 : UInt8(AF_UNSPEC))
        netlink.append(UInt8(0))
        netlink.append(resource.bigEndian)
    }

    private mutating func message(
        _ type: UInt16, _ flags: UInt16, label: String, _ body: (inout NetlinkBatch) -> Void
    ) {
        netlink.message(NFT.NFNL_SUBSYS_NFTABLES << 8 | type, flags, label: label)
        head()
        body(&netlink)
        netlink.end()
    }

    /// Adds the table, or does nothing when it is there.
    mutating func addTable() {
        let name = table
        message(NFT.NFT_MSG_NEWTABLE, NetlinkFlag.NLM_F_CREATE, label: "add table \(name)") {
            $0.attribute(NFT.NFTA_TABLE_NAME, text: name)
        }
    }

    /// Deletes the table and everything in it; it must be there.
    mutating func deleteTable() {
        let name = table
        message(NFT.NFT_MSG_DELTABLE, 0, label: "delete table \(name)") {
            $0.attribute(NFT.NFTA_TABLE_NAME, text: name)
        }
    }

    /// Adds a chain; with a hook it is where packets come in.
    mutating func addChain(_ name: String, hook: (type: String, number: UInt32, priority: Int32)? = nil) {
        let table = table
        message(NFT.NFT_MSG_NEWCHAIN, NetlinkFlag.NLM_F_CREATE, label: "add chain \(name)") { message in
            message.attribute(NFT.NFTA_CHAIN_TABLE, text: table)
            message.attribute(NFT.NFTA_CHAIN_NAME, text: name)
            guard let hook else { return }
            message.nested(NFT.NFTA_CHAIN_HOOK) {
                $0.attribute(NFT.NFTA_HOOK_HOOKNUM, networkOrder: hook.number)
                $0.attribute(NFT.NFTA_HOOK_PRIORITY, networkOrder: UInt32(bitPattern: hook.priority))
            }
            message.attribute(NFT.NFTA_CHAIN_TYPE, text: hook.type)
        }
    }

    /// Deletes all rules of a chain.
    mutating func flushChain(_ name: String) {
        let table = table
        message(NFT.NFT_MSG_DELRULE, 0, label: "flush chain \(name)") { message in
            message.attribute(NFT.NFTA_RULE_TABLE, text: table)
            message.attribute(NFT.NFTA_RULE_CHAIN, text: name)
        }
    }

    /// Deletes a chain with its rules; nothing may lead to it any more.
    mutating func deleteChain(_ name: String) {
        let table = table
        message(NFT.NFT_MSG_DELCHAIN, 0, label: "delete chain \(name)") { message in
            message.attribute(NFT.NFTA_CHAIN_TABLE, text: table)
            message.attribute(NFT.NFTA_CHAIN_NAME, text: name)
        }
    }

    /// Adds a rule at the end of a chain.
    mutating func addRule(_ chain: String, _ expressions: FilterExpressions) {
        let table = table
        let flags = NetlinkFlag.NLM_F_CREATE | NetlinkFlag.NLM_F_APPEND
        message(NFT.NFT_MSG_NEWRULE, flags, label: "add rule to \(chain)") { message in
            message.attribute(NFT.NFTA_RULE_TABLE, text: table)
            message.attribute(NFT.NFTA_RULE_CHAIN, text: chain)
            message.nested(NFT.NFTA_RULE_EXPRESSIONS) { expressions.write(into: &$0) }
        }
    }

    /// What a set holds.
    struct SetLayout {
        var keyType: UInt32
        var keySize: UInt32
        /// Data of a map: its type and size; nil for a set.
        var data: (type: UInt32, size: UInt32)?
        /// Rules add entries themselves, which go after so many milliseconds unless a rule says otherwise; nil = neither.
        var timeout: UInt64?
        /// The most entries that rules may add.
        var limit: UInt32?
        /// Whether elements are borders: the first key of an interval, and the one behind its last.
        var holdsIntervals = false
    }

    /// Adds a set or map.
    mutating func addSet(_ name: String, _ layout: SetLayout) {
        let table = table
        let id = nextSetID
        nextSetID += 1
        var flags: UInt32 = 0
        if layout.holdsIntervals { flags |= NFT.NFT_SET_INTERVAL }
        if layout.data != nil { flags |= NFT.NFT_SET_MAP }
        if layout.timeout != nil { flags |= NFT.NFT_SET_TIMEOUT | NFT.NFT_SET_EVAL }
        message(NFT.NFT_MSG_NEWSET, NetlinkFlag.NLM_F_CREATE, label: "add set \(name)") { message in
            message.attribute(NFT.NFTA_SET_TABLE, text: table)
            message.attribute(NFT.NFTA_SET_NAME, text: name)
            message.attribute(NFT.NFTA_SET_FLAGS, networkOrder: flags)
            message.attribute(NFT.NFTA_SET_KEY_TYPE, networkOrder: layout.keyType)
            message.attribute(NFT.NFTA_SET_KEY_LEN, networkOrder: layout.keySize)
            if let data = layout.data {
                message.attribute(NFT.NFTA_SET_DATA_TYPE, networkOrder: data.type)
                message.attribute(NFT.NFTA_SET_DATA_LEN, networkOrder: data.size)
            }
            if let limit = layout.limit {
                message.nested(NFT.NFTA_SET_DESC) { $0.attribute(NFT.NFTA_SET_DESC_SIZE, networkOrder: limit) }
            }
            message.attribute(NFT.NFTA_SET_ID, networkOrder: id)
            if let timeout = layout.timeout { message.attribute(NFT.NFTA_SET_TIMEOUT, timeout.bigEndian) }
        }
    }

    /// Deletes a set or map with its elements; no rule may look into it any more.
    mutating func deleteSet(_ name: String) {
        let table = table
        message(NFT.NFT_MSG_DELSET, 0, label: "delete set \(name)") { message in
            message.attribute(NFT.NFTA_SET_TABLE, text: table)
            message.attribute(NFT.NFTA_SET_NAME, text: name)
        }
    }

    /// Adds elements; one that is there already with the same data is fine, one with other data fails.
    mutating func addElements(_ set: String, _ elements: [FilterElement]) {
        change(NFT.NFT_MSG_NEWSETELEM, NetlinkFlag.NLM_F_CREATE, set, elements, label: "add elements to \(set)")
    }

    /// Deletes elements, all of which must be there.
    mutating func deleteElements(_ set: String, _ elements: [FilterElement]) {
        change(NFT.NFT_MSG_DELSETELEM, 0, set, elements, label: "delete elements from \(set)")
    }

    /// Elements go in portions: one attribute holds 64 KiB.
    private mutating func change(
        _ type: UInt16, _ flags: UInt16, _ set: String, _ elements: [FilterElement], label: String
    ) {
        let table = table
        var rest = elements[...]
        while !rest.isEmpty {
            let portion = rest.prefix(400)
            rest = rest.dropFirst(400)
            message(type, flags, label: label) { message in
                message.attribute(NFT.NFTA_SET_ELEM_LIST_TABLE, text: table)
                message.attribute(NFT.NFTA_SET_ELEM_LIST_SET, text: set)
                message.nested(NFT.NFTA_SET_ELEM_LIST_ELEMENTS) { list in
                    for element in portion { list.nested(NFT.NFTA_LIST_ELEM) { element.write(into: &$0) } }
                }
            }
        }
    }
}

/// One element of a set or map.
struct FilterElement: Hashable {
    enum Data: Hashable {
        case none
        case bytes([UInt8])
        /// Go on in this chain.
        case goto(String)
        /// Go on in this chain, and come back from it.
        case jump(String)
        /// The key is the first one behind an interval.
        case intervalEnd
    }
    var key: [UInt8]
    var data: Data = .none

    func write(into message: inout NetlinkBatch) {
        message.nested(NFT.NFTA_SET_ELEM_KEY) { $0.attribute(NFT.NFTA_DATA_VALUE, key) }
        switch data {
        case .none: break
        case .intervalEnd: message.attribute(NFT.NFTA_SET_ELEM_FLAGS, networkOrder: NFT.NFT_SET_ELEM_INTERVAL_END)
        case .bytes(let bytes):
            message.nested(NFT.NFTA_SET_ELEM_DATA) { $0.attribute(NFT.NFTA_DATA_VALUE, bytes) }
        case .goto(let chain): Self.write(NFT.NFT_GOTO, chain, into: &message)
        case .jump(let chain): Self.write(NFT.NFT_JUMP, chain, into: &message)
        }
    }

    private static func write(_ verdict: Int32, _ chain: String, into message: inout NetlinkBatch) {
        message.nested(NFT.NFTA_SET_ELEM_DATA) { data in
            data.nested(NFT.NFTA_DATA_VERDICT) { $0.verdict(verdict, chain: chain) }
        }
    }
}

extension NetlinkBatch {
    mutating func verdict(_ code: Int32, chain: String?) {
        attribute(NFT.NFTA_VERDICT_CODE, networkOrder: UInt32(bitPattern: code))
        if let chain { attribute(NFT.NFTA_VERDICT_CHAIN, text: chain) }
    }
}
