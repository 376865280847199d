/// Numbers of linux/netfilter/nfnetlink.h and linux/netfilter/nf_tables.h, under their Linux names.
enum NFT {
    static let NFNL_MSG_BATCH_BEGIN: UInt16 = 0x10
    static let NFNL_MSG_BATCH_END: UInt16 = 0x11
    static let NFNL_SUBSYS_NFTABLES: UInt16 = 10
    static let NFPROTO_IPV4: UInt8 = 2

    static let NFT_MSG_NEWTABLE: UInt16 = 0
    static let NFT_MSG_GETTABLE: UInt16 = 1
    static let NFT_MSG_DELTABLE: UInt16 = 2
    static let NFT_MSG_NEWCHAIN: UInt16 = 3
    static let NFT_MSG_DELCHAIN: UInt16 = 5
    static let NFT_MSG_NEWRULE: UInt16 = 6
    static let NFT_MSG_DELRULE: UInt16 = 8
    static let NFT_MSG_NEWSET: UInt16 = 9
    static let NFT_MSG_DELSET: UInt16 = 11
    static let NFT_MSG_NEWSETELEM: UInt16 = 12
    static let NFT_MSG_GETSETELEM: UInt16 = 13
    static let NFT_MSG_DELSETELEM: UInt16 = 14

    static let NFTA_TABLE_NAME: UInt16 = 1

    static let NFTA_CHAIN_TABLE: UInt16 = 1
    static let NFTA_CHAIN_NAME: UInt16 = 3
    static let NFTA_CHAIN_HOOK: UInt16 = 4
    static let NFTA_CHAIN_TYPE: UInt16 = 7
    static let NFTA_HOOK_HOOKNUM: UInt16 = 1
    static let NFTA_HOOK_PRIORITY: UInt16 = 2
    static let NF_INET_PRE_ROUTING: UInt32 = 0
    static let NF_INET_LOCAL_IN: UInt32 = 1
    static let NF_INET_FORWARD: UInt32 = 2
    static let NF_INET_LOCAL_OUT: UInt32 = 3
    static let NF_INET_POST_ROUTING: UInt32 = 4
    static let NF_IP_PRI_RAW: Int32 = -300
    static let NF_IP_PRI_NAT_DST: Int32 = -100
    static let NF_IP_PRI_FILTER: Int32 = 0
    static let NF_IP_PRI_NAT_SRC: Int32 = 100

    static let NFTA_RULE_TABLE: UInt16 = 1
    static let NFTA_RULE_CHAIN: UInt16 = 2
    static let NFTA_RULE_EXPRESSIONS: UInt16 = 4
    static let NFTA_LIST_ELEM: UInt16 = 1
    static let NFTA_EXPR_NAME: UInt16 = 1
    static let NFTA_EXPR_DATA: UInt16 = 2

    static let NFTA_SET_TABLE: UInt16 = 1
    static let NFTA_SET_NAME: UInt16 = 2
    static let NFTA_SET_FLAGS: UInt16 = 3
    static let NFTA_SET_KEY_TYPE: UInt16 = 4
    static let NFTA_SET_KEY_LEN: UInt16 = 5
    static let NFTA_SET_DATA_TYPE: UInt16 = 6
    static let NFTA_SET_DATA_LEN: UInt16 = 7
    static let NFTA_SET_DESC: UInt16 = 9
    static let NFTA_SET_ID: UInt16 = 10
    static let NFTA_SET_TIMEOUT: UInt16 = 11
    static let NFTA_SET_DESC_SIZE: UInt16 = 1
    static let NFT_SET_INTERVAL: UInt32 = 0x4
    static let NFT_SET_MAP: UInt32 = 0x8
    static let NFT_SET_TIMEOUT: UInt32 = 0x10
    static let NFT_SET_EVAL: UInt32 = 0x20

    static let NFTA_SET_ELEM_LIST_TABLE: UInt16 = 1
    static let NFTA_SET_ELEM_LIST_SET: UInt16 = 2
    static let NFTA_SET_ELEM_LIST_ELEMENTS: UInt16 = 3
    static let NFTA_SET_ELEM_KEY: UInt16 = 1
    static let NFTA_SET_ELEM_DATA: UInt16 = 2
    static let NFTA_SET_ELEM_FLAGS: UInt16 = 3
    static let NFT_SET_ELEM_INTERVAL_END: UInt32 = 1
    static let NFTA_DATA_VALUE: UInt16 = 1
    static let NFTA_DATA_VERDICT: UInt16 = 2
    static let NFTA_VERDICT_CODE: UInt16 = 1
    static let NFTA_VERDICT_CHAIN: UInt16 = 2

    static let NF_DROP: Int32 = 0
    static let NF_ACCEPT: Int32 = 1
    static let NFT_JUMP: Int32 = -3
    static let NFT_GOTO: Int32 = -4
    static let NFT_RETURN: Int32 = -5
    static let NFT_DATA_VERDICT: UInt32 = 0xffff_ff00

    /// The verdict register, and the first of the sixteen registers of four bytes.
    static let NFT_REG_VERDICT: UInt32 = 0
    static let NFT_REG32_00: UInt32 = 8

    // The nft tool's own numbers of data types; the kernel only keeps them, for listings.
    static let TYPE_IPADDR: UInt32 = 7
    static let TYPE_INET_PROTOCOL: UInt32 = 12
    static let TYPE_INET_SERVICE: UInt32 = 13
    static let TYPE_MARK: UInt32 = 19

    /// The type of a concatenation, as the nft tool numbers it: six bits a part.
    static func concatenation(_ types: [UInt32]) -> UInt32 { types.reduce(0) { $0 << 6 | $1 } }
}
