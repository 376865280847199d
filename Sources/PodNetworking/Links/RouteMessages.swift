import Glibc

/// The requests of rtnetlink that the plugin uses.
extension NetlinkBatch {
    private typealias Flag = NetlinkFlag
    private static let change = NetlinkFlag.NLM_F_ACK
    private static let create = NetlinkFlag.NLM_F_ACK | NetlinkFlag.NLM_F_CREATE | NetlinkFlag.NLM_F_EXCL
    private static let replace = NetlinkFlag.NLM_F_ACK | NetlinkFlag.NLM_F_CREATE | NetlinkFlag.NLM_F_REPLACE

    /// struct ifinfomsg
    private mutating func linkHead(index: Int32 = 0, up: Bool = false) {
        append(UInt8(AF_UNSPEC))
        append(UInt8(0))
        append(UInt16(0))
        append(index)
        append(up ? LinkAttribute.IFF_UP : 0)
        append(up ? LinkAttribute.IFF_UP : 0)
    }

    private mutating func linkCommon(name: String, macAddress: MACAddress?, mtu: Int) {
        attribute(LinkAttribute.IFLA_IFNAME, text: name)
        if let macAddress { attribute(LinkAttribute.IFLA_ADDRESS, macAddress.bytes) }
        if mtu > 0 { attribute(LinkAttribute.IFLA_MTU, UInt32(mtu)) }
    }

    mutating func createBridge(_ request: BridgeRequest) {
        message(RouteMessage.RTM_NEWLINK, Self.create, label: "create bridge \(request.name)")
        linkHead(up: true)
        linkCommon(name: request.name, macAddress: request.macAddress, mtu: request.mtu)
        nested(LinkAttribute.IFLA_LINKINFO) { $0.attribute(LinkAttribute.IFLA_INFO_KIND, text: "bridge") }
        end()
    }

    /// Sets a link up, and its Ethernet address when one is given.
    mutating func setUp(index: Int32, macAddress: MACAddress? = nil) {
        message(RouteMessage.RTM_NEWLINK, Self.change, label: "set link \(index) up")
        linkHead(index: index, up: true)
        if let macAddress { attribute(LinkAttribute.IFLA_ADDRESS, macAddress.bytes) }
        end()
    }

    /// Both ends of a virtual Ethernet pair, the peer in another namespace from the start. Only this end can be up from
    /// the start too: the kernel opens no device whose peer is not ready.
    mutating func createPair(_ request: PodLinkRequest, namespace descriptor: Int32) {
        message(RouteMessage.RTM_NEWLINK, Self.create, label: "create link \(request.hostName)")
        linkHead(up: true)
        linkCommon(name: request.hostName, macAddress: nil, mtu: request.mtu)
        attribute(LinkAttribute.IFLA_MASTER, request.bridgeIndex)
        nested(LinkAttribute.IFLA_LINKINFO) { information in
            information.attribute(LinkAttribute.IFLA_INFO_KIND, text: "veth")
            information.nested(LinkAttribute.IFLA_INFO_DATA) { data in
                data.nested(LinkAttribute.VETH_INFO_PEER) { peer in
                    peer.linkHead()
                    peer.linkCommon(name: request.podName, macAddress: request.macAddress, mtu: request.mtu)
                    peer.attribute(LinkAttribute.IFLA_NET_NS_FD, UInt32(bitPattern: descriptor))
                }
            }
        }
        end()
    }

    /// Completes the host's end of a pod's link: a note, and hairpin mode. The mode is for machines whose bridges pass
    /// packets through IP filters (br_netfilter): there a pod's packet to a service that leads back to the pod never
    /// leaves the bridge. Only a change of an existing link takes either.
    /// - Parameter isApart: whether the bridge carries nothing between this port and others like it.
    mutating func completePort(name: String, alias: String, isApart: Bool = false) {
        message(RouteMessage.RTM_NEWLINK, Self.change, label: "configure link \(name)")
        linkHead()
        attribute(LinkAttribute.IFLA_IFNAME, text: name)
        attribute(LinkAttribute.IFLA_IFALIAS, Array(alias.utf8.prefix(255)))
        nested(LinkAttribute.IFLA_LINKINFO) { information in
            information.attribute(LinkAttribute.IFLA_INFO_SLAVE_KIND, text: "bridge")
            information.nested(LinkAttribute.IFLA_INFO_SLAVE_DATA) {
                $0.attribute(LinkAttribute.IFLA_BRPORT_MODE, UInt8(1))
                if isApart { $0.attribute(LinkAttribute.IFLA_BRPORT_ISOLATED, UInt8(1)) }
            }
        }
        end()
    }

    mutating func deleteLink(name: String) {
        message(RouteMessage.RTM_DELLINK, Self.change, label: "delete link \(name)")
        linkHead()
        attribute(LinkAttribute.IFLA_IFNAME, text: name)
        end()
    }

    /// Puts a link into a group, by which many can be removed at once.
    mutating func setGroup(name: String, group: UInt32) {
        message(RouteMessage.RTM_NEWLINK, Self.change, label: "group link \(name)")
        linkHead()
        attribute(LinkAttribute.IFLA_IFNAME, text: name)
        attribute(LinkAttribute.IFLA_GROUP, group)
        end()
    }

    mutating func deleteLinks(group: UInt32) {
        message(RouteMessage.RTM_DELLINK, Self.change, label: "delete links of group \(group)")
        linkHead()
        attribute(LinkAttribute.IFLA_GROUP, group)
        end()
    }

    mutating func getLink(name: String) {
        message(RouteMessage.RTM_GETLINK, Self.change, label: "find link \(name)")
        linkHead()
        attribute(LinkAttribute.IFLA_IFNAME, text: name)
        end()
    }

    mutating func getLink(index: Int32) {
        message(RouteMessage.RTM_GETLINK, Self.change, label: "find link \(index)")
        linkHead(index: index)
        end()
    }

    /// All links, or those on one bridge.
    mutating func dumpLinks(master: Int32? = nil) {
        message(RouteMessage.RTM_GETLINK, NetlinkFlag.NLM_F_DUMP, label: "list links")
        linkHead()
        if let master { attribute(LinkAttribute.IFLA_MASTER, master) }
        end()
    }

    mutating func dumpAddresses() {
        message(RouteMessage.RTM_GETADDR, NetlinkFlag.NLM_F_DUMP, label: "list addresses")
        append([UInt8(AF_INET), 0, 0, 0])
        append(UInt32(0))
        end()
    }

    /// `ownRoute` false leaves out the route to the address' own block.
    mutating func addAddress(_ address: IPv4Address, prefixLength: Int, index: Int32, ownRoute: Bool) {
        message(RouteMessage.RTM_NEWADDR, Self.replace, label: "add address \(address)")
        append([UInt8(AF_INET), UInt8(prefixLength), 0, RouteAttribute.RT_SCOPE_UNIVERSE])
        append(index)
        attribute(AddressAttribute.IFA_LOCAL, address.bytes)
        attribute(AddressAttribute.IFA_ADDRESS, address.bytes)
        if !ownRoute { attribute(AddressAttribute.IFA_FLAGS, AddressAttribute.IFA_F_NOPREFIXROUTE) }
        end()
    }

    private mutating func routeHead(prefixLength: Int, scope: UInt8) {
        append([
            UInt8(AF_INET), UInt8(prefixLength), 0, 0, RouteAttribute.RT_TABLE_MAIN, RouteAttribute.RTPROT_STATIC,
            scope,
            RouteAttribute.RTN_UNICAST,
        ])
        append(UInt32(0))
    }

    /// A route to a block that is reached directly at a link, or through `gateway`.
    mutating func addRoute(to range: IPv4Range, index: Int32, gateway: IPv4Address? = nil, source: IPv4Address? = nil) {
        message(RouteMessage.RTM_NEWROUTE, Self.replace, label: "add route \(range)")
        let scope = gateway == nil ? RouteAttribute.RT_SCOPE_LINK : RouteAttribute.RT_SCOPE_UNIVERSE
        routeHead(prefixLength: range.prefixLength, scope: scope)
        if range.prefixLength > 0 { attribute(RouteAttribute.RTA_DST, range.network.bytes) }
        attribute(RouteAttribute.RTA_OIF, index)
        if let gateway { attribute(RouteAttribute.RTA_GATEWAY, gateway.bytes) }
        if let source { attribute(RouteAttribute.RTA_PREFSRC, source.bytes) }
        end()
    }

    mutating func dumpRoutes() {
        message(RouteMessage.RTM_GETROUTE, NetlinkFlag.NLM_F_DUMP, label: "list routes")
        append([UInt8(AF_INET), 0, 0, 0, 0, 0, 0, 0])
        append(UInt32(0))
        end()
    }

    private mutating func neighbour(_ type: UInt16, _ flags: UInt16, index: Int32, address: IPv4Address, label: String)
    {
        message(type, flags, label: "\(label) \(address)")
        append([UInt8(AF_INET), 0, 0, 0])
        append(index)
        append(NeighbourAttribute.NUD_PERMANENT)
        append(UInt16(0))
        attribute(NeighbourAttribute.NDA_DST, address.bytes)
    }

    /// A fixed neighbour entry: no ARP needed, none believed.
    mutating func addNeighbour(index: Int32, address: IPv4Address, macAddress: MACAddress) {
        neighbour(RouteMessage.RTM_NEWNEIGH, Self.replace, index: index, address: address, label: "add neighbour")
        attribute(NeighbourAttribute.NDA_LLADDR, macAddress.bytes)
        end()
    }

    /// A fixed entry in a bridge's forwarding table. It goes with the port.
    mutating func addForwarding(port: Int32, macAddress: MACAddress) {
        message(RouteMessage.RTM_NEWNEIGH, Self.replace, label: "add forwarding to \(macAddress)")
        append([UInt8(AF_BRIDGE), 0, 0, 0])
        append(port)
        append(NeighbourAttribute.NUD_NOARP)
        append([NeighbourAttribute.NTF_MASTER, 0])
        attribute(NeighbourAttribute.NDA_LLADDR, macAddress.bytes)
        end()
    }

    mutating func deleteNeighbour(index: Int32, address: IPv4Address) {
        neighbour(RouteMessage.RTM_DELNEIGH, Self.change, index: index, address: address, label: "delete neighbour")
        end()
    }
}
