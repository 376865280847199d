/// Numbers of linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h and linux/neighbour.h, under their Linux names.
enum RouteMessage {
    static let RTM_NEWLINK: UInt16 = 16
    static let RTM_DELLINK: UInt16 = 17
    static let RTM_GETLINK: UInt16 = 18
    static let RTM_NEWADDR: UInt16 = 20
    static let RTM_GETADDR: UInt16 = 22
    static let RTM_NEWROUTE: UInt16 = 24
    static let RTM_DELROUTE: UInt16 = 25
    static let RTM_GETROUTE: UInt16 = 26
    static let RTM_NEWNEIGH: UInt16 = 28
    static let RTM_DELNEIGH: UInt16 = 29
    /// Sizes of the fixed heads: ifinfomsg, ifaddrmsg, rtmsg, ndmsg.
    static let linkHeadSize = 16
    static let addressHeadSize = 8
    static let routeHeadSize = 12
}

enum LinkAttribute {
    static let IFLA_ADDRESS: UInt16 = 1
    static let IFLA_IFNAME: UInt16 = 3
    static let IFLA_MTU: UInt16 = 4
    static let IFLA_MASTER: UInt16 = 10
    static let IFLA_LINKINFO: UInt16 = 18
    static let IFLA_IFALIAS: UInt16 = 20
    static let IFLA_GROUP: UInt16 = 27
    static let IFLA_NET_NS_FD: UInt16 = 28
    static let IFLA_INFO_KIND: UInt16 = 1
    static let IFLA_INFO_DATA: UInt16 = 2
    static let IFLA_INFO_SLAVE_KIND: UInt16 = 4
    static let IFLA_INFO_SLAVE_DATA: UInt16 = 5
    static let IFLA_BRPORT_MODE: UInt16 = 4
    static let IFLA_BRPORT_ISOLATED: UInt16 = 33
    static let VETH_INFO_PEER: UInt16 = 1
    static let IFF_UP: UInt32 = 1
    static let IFF_LOOPBACK: UInt32 = 8
}

enum AddressAttribute {
    static let IFA_ADDRESS: UInt16 = 1
    static let IFA_LOCAL: UInt16 = 2
    static let IFA_FLAGS: UInt16 = 8
    static let IFA_F_NOPREFIXROUTE: UInt32 = 0x200
}

enum RouteAttribute {
    static let RTA_DST: UInt16 = 1
    static let RTA_OIF: UInt16 = 4
    static let RTA_GATEWAY: UInt16 = 5
    static let RTA_PRIORITY: UInt16 = 6
    static let RTA_PREFSRC: UInt16 = 7
    static let RT_TABLE_MAIN: UInt8 = 254
    static let RTPROT_STATIC: UInt8 = 4
    static let RT_SCOPE_UNIVERSE: UInt8 = 0
    static let RT_SCOPE_LINK: UInt8 = 253
    static let RT_SCOPE_HOST: UInt8 = 254
    static let RTN_UNICAST: UInt8 = 1
}

enum NeighbourAttribute {
    static let NDA_DST: UInt16 = 1
    static let NDA_LLADDR: UInt16 = 2
    static let NUD_NOARP: UInt16 = 0x40
    static let NUD_PERMANENT: UInt16 = 0x80
    static let NTF_MASTER: UInt8 = 0x04
}
