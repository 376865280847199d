/// Numbers of linux/netlink.h, under their Linux names.
enum NetlinkFlag {
    static let NLM_F_REQUEST: UInt16 = 0x1
    static let NLM_F_MULTI: UInt16 = 0x2
    static let NLM_F_ACK: UInt16 = 0x4
    static let NLM_F_DUMP: UInt16 = 0x300
    static let NLM_F_REPLACE: UInt16 = 0x100
    static let NLM_F_EXCL: UInt16 = 0x200
    static let NLM_F_CREATE: UInt16 = 0x400
    static let NLM_F_APPEND: UInt16 = 0x800
    /// In an acknowledgement: the request is not repeated in it / it carries attributes.
    static let NLM_F_CAPPED: UInt16 = 0x100
    static let NLM_F_ACK_TLVS: UInt16 = 0x200
}

enum NetlinkType {
    static let NLMSG_ERROR: UInt16 = 2
    static let NLMSG_DONE: UInt16 = 3
}

enum NetlinkFamily {
    static let NETLINK_ROUTE: Int32 = 0
    static let NETLINK_SOCK_DIAG: Int32 = 4
    static let NETLINK_NETFILTER: Int32 = 12
}

enum NetlinkOption {
    static let SOL_NETLINK: Int32 = 270
    static let NETLINK_CAP_ACK: Int32 = 10
    static let NETLINK_EXT_ACK: Int32 = 11
    static let NETLINK_GET_STRICT_CHK: Int32 = 12
    static let NLMSGERR_ATTR_MSG: UInt16 = 1
    /// getsockopt at SOL_SOCKET: the number of the socket's network namespace, unique until the next boot.
    static let SO_NETNS_COOKIE: Int32 = 71
    static let SO_RCVBUFFORCE: Int32 = 33
    static let SO_SNDBUFFORCE: Int32 = 32
}

/// Bits in the type of an attribute.
enum NetlinkAttributeBit {
    static let NLA_F_NESTED: UInt16 = 0x8000
    static let NLA_TYPE_MASK: UInt16 = 0x3fff
}
