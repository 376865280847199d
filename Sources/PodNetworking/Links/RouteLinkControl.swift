import Glibc

/// `LinkControl` over rtnetlink: a few datagrams per call and never another program.
package final class RouteLinkControl: LinkControl {
    private let host: NetlinkSocket
    /// For what takes the kernel long, so that nothing else waits for it.
    private let removals: NetlinkSocket

    /// Works in the calling thread's network namespace from now on, whichever thread calls later.
    package init() throws {
        host = try NetlinkSocket(family: NetlinkFamily.NETLINK_ROUTE)
        removals = try NetlinkSocket(family: NetlinkFamily.NETLINK_ROUTE)
    }

    package var namespaceCookie: UInt64 { host.namespaceCookie }

    package func ensureBridge(_ request: BridgeRequest) throws -> Bridge {
        if try link(named: request.name, at: host) == nil {
            var creation = NetlinkBatch()
            creation.createBridge(request)
            try host.transact(creation, tolerating: [EEXIST])
        }
        guard let link = try link(named: request.name, at: host), link.kind == "bridge" else {
            throw NetworkError.notABridge(request.name)
        }
        var batch = NetlinkBatch()
        batch.setUp(index: link.index, macAddress: link.macAddress == request.macAddress ? nil : request.macAddress)
        batch.addAddress(
            request.address, prefixLength: request.podRange.prefixLength, index: link.index, ownRoute: true)
        batch.addRoute(to: request.serviceRange, index: link.index, source: request.address)
        try host.transact(batch)
        return Bridge(index: link.index, macAddress: request.macAddress)
    }

    package func removeBridge(named name: String) throws {
        var batch = NetlinkBatch()
        batch.deleteLink(name: name)
        try host.transact(batch, tolerating: [ENODEV])
    }

    package func connect(_ request: PodLinkRequest) throws -> UInt64 {
        let path = request.networkNamespace
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw NetlinkError(code: errno, request: "open the network namespace \(path)", explanation: "")
        }
        defer { close(descriptor) }
        let pod = try NetworkNamespace.routeSocket(descriptor: descriptor, path: path)
        if pod.namespaceCookie != 0 && pod.namespaceCookie == host.namespaceCookie {
            throw NetworkError.hostNamespace(path)
        }
        var pair = NetlinkBatch()
        pair.createPair(request, namespace: descriptor)
        try host.transact(pair)
        do {
            var outside = NetlinkBatch()
            outside.completePort(
                name: request.hostName, alias: request.alias, isApart: !HostSettings.bridgesPassIPFilters)
            outside.addNeighbour(
                index: request.bridgeIndex, address: request.address, macAddress: request.macAddress)
            try host.transact(outside)
            try configure(request, in: pod)
            try settle(request)
        } catch {
            // The first error is the one to report; a link that stays is removed by collect_garbage.
            do {
                try disconnect(hostName: request.hostName, address: request.address, bridgeIndex: request.bridgeIndex)
            } catch _ {}
            throw error
        }
        return pod.namespaceCookie
    }

    /// Makes the link usable before attach returns. A port learns of its carrier, and the bridge of its first port, by
    /// work that the kernel has only queued, and until then they drop packets; asking for a link makes the kernel do that
    /// work first (since Linux 6.8; before, a pod's very first datagram can be lost). The bridge is told where the pod's
    /// address is, so that it need not try all ports before the pod has spoken.
    private func settle(_ request: PodLinkRequest) throws {
        var batch = NetlinkBatch()
        batch.getLink(name: request.hostName)
        batch.getLink(index: request.bridgeIndex)
        let links = try host.transact(batch).compactMap(Link.init)
        guard let port = links.first(where: { $0.name == request.hostName }) else { return }
        var forwarding = NetlinkBatch()
        forwarding.addForwarding(port: port.index, macAddress: request.macAddress)
        try host.transact(forwarding)
    }

    /// Everything on the pod's side. All of a pod's traffic goes through the gateway, that to other pods included: on
    /// the way back it then passes the host's address translation too, without bridge netfilter.
    private func configure(_ request: PodLinkRequest, in pod: NetlinkSocket) throws {
        guard let link = try link(named: request.podName, at: pod) else {
            throw NetlinkError(code: ENODEV, request: "find link \(request.podName) in the pod", explanation: "")
        }
        let gateway = IPv4Range(around: request.gateway, prefixLength: 32)
        let everywhere = IPv4Range(around: IPv4Address(0), prefixLength: 0)
        var batch = NetlinkBatch()
        batch.setUp(index: 1)
        batch.setUp(index: link.index)
        batch.addAddress(
            request.address, prefixLength: request.podRange.prefixLength, index: link.index, ownRoute: false)
        batch.addRoute(to: gateway, index: link.index, source: request.address)
        batch.addRoute(to: everywhere, index: link.index, gateway: request.gateway, source: request.address)
        batch.addNeighbour(index: link.index, address: request.gateway, macAddress: request.gatewayMAC)
        try pod.transact(batch)
    }

    package func adopt(_ request: PodLinkRequest) throws -> UInt64 {
        let pod = try NetworkNamespace.routeSocket(path: request.networkNamespace)
        guard let link = try link(named: request.podName, at: pod) else {
            throw NetlinkError(code: ENODEV, request: "find link \(request.podName) in the pod", explanation: "")
        }
        var outside = NetlinkBatch()
        outside.completePort(
            name: request.hostName, alias: request.alias, isApart: !HostSettings.bridgesPassIPFilters)
        outside.addNeighbour(index: request.bridgeIndex, address: request.address, macAddress: request.macAddress)
        try host.transact(outside)
        let gateway = IPv4Range(around: request.gateway, prefixLength: 32)
        let everywhere = IPv4Range(around: IPv4Address(0), prefixLength: 0)
        var inside = NetlinkBatch()
        inside.setUp(index: 1)
        inside.addRoute(to: gateway, index: link.index, source: request.address)
        // The pod's own block stays a route, as those who check a CNI plugin's work expect, but no direct one.
        inside.addRoute(to: request.podRange, index: link.index, gateway: request.gateway, source: request.address)
        inside.addRoute(to: everywhere, index: link.index, gateway: request.gateway, source: request.address)
        inside.addNeighbour(index: link.index, address: request.gateway, macAddress: request.gatewayMAC)
        try pod.transact(inside)
        try settle(request)
        return pod.namespaceCookie
    }

    package func namespaceCookie(of path: String) throws -> UInt64 {
        try NetworkNamespace.routeSocket(path: path).namespaceCookie
    }

    package func inspect(_ request: PodLinkRequest) throws -> PodLinkState {
        let outside = request.hostName.isEmpty ? nil : try link(named: request.hostName, at: host)
        let isConnected =
            request.hostName.isEmpty
            || outside.map {
                $0.isUp && (request.bridgeIndex == 0 || $0.master == request.bridgeIndex)
            } ?? false
        let pod = try NetworkNamespace.routeSocket(path: request.networkNamespace)
        guard let inside = try link(named: request.podName, at: pod) else {
            return PodLinkState(isConnected: false, addresses: [], namespaceCookie: pod.namespaceCookie)
        }
        let addresses = try addresses(at: pod).filter { $0.index == inside.index }.map(\.address)
        return PodLinkState(
            isConnected: isConnected && inside.isUp, addresses: addresses, namespaceCookie: pod.namespaceCookie)
    }

    package func disconnect(hostName: String, address: IPv4Address?, bridgeIndex: Int32) throws {
        var batch = NetlinkBatch()
        batch.deleteLink(name: hostName)
        if let address { batch.deleteNeighbour(index: bridgeIndex, address: address) }
        try removals.transact(batch, tolerating: [ENODEV, ENOENT])
    }

    /// "hostd" and a little, as a number: links in this group are about to go.
    private static let doomed: UInt32 = 0x686f_7364

    package func disconnect(_ links: [(hostName: String, address: IPv4Address)], bridgeIndex: Int32) throws {
        if links.isEmpty { return }
        var batch = NetlinkBatch()
        for link in links {
            batch.setGroup(name: link.hostName, group: Self.doomed)
            batch.deleteNeighbour(index: bridgeIndex, address: link.address)
        }
        batch.deleteLinks(group: Self.doomed)
        // Some may have gone already, with their pods' namespaces.
        try removals.transact(batch, tolerating: [ENODEV, ENOENT])
    }

    package func ports(of bridgeIndex: Int32) throws -> [(name: String, alias: String)] {
        var batch = NetlinkBatch()
        batch.dumpLinks(master: bridgeIndex)
        return try host.transact(batch).compactMap(Link.init).filter { $0.master == bridgeIndex }
            .map { ($0.name, $0.alias) }
    }

    package func hostAddresses() throws -> [IPv4Address] {
        try addresses(at: host).map(\.address).filter { !$0.isLoopback }
    }

    package func primaryAddress() throws -> IPv4Address? {
        var batch = NetlinkBatch()
        batch.dumpRoutes()
        let routes = try host.transact(batch).compactMap(DefaultRoute.init)
        guard let route = routes.min(by: { $0.metric < $1.metric }) else { return nil }
        if let source = route.source { return source }
        return try addresses(at: host).first { $0.index == route.index && !$0.address.isLoopback }?.address
    }

    private func link(named name: String, at socket: NetlinkSocket) throws -> Link? {
        var batch = NetlinkBatch()
        batch.getLink(name: name)
        return try socket.transact(batch, tolerating: [ENODEV]).compactMap(Link.init).first
    }

    private func addresses(at socket: NetlinkSocket) throws -> [(index: UInt32, address: IPv4Address)] {
        var batch = NetlinkBatch()
        batch.dumpAddresses()
        return try socket.transact(batch).compactMap { reply in
            guard reply.type == RouteMessage.RTM_NEWADDR, let index: UInt32 = reply.number(at: 4) else { return nil }
            let attributes = reply.attributes(after: RouteMessage.addressHeadSize)
            return attributes.address(AddressAttribute.IFA_LOCAL).map { (index, $0) }
        }
    }
}

/// A network interface as the kernel describes it.
private struct Link {
    let index: Int32
    let isUp: Bool
    let name: String
    let alias: String
    let kind: String
    let master: Int32?
    let macAddress: MACAddress?

    init?(_ reply: NetlinkReply) {
        guard reply.type == RouteMessage.RTM_NEWLINK, let index: Int32 = reply.number(at: 4),
            let flags: UInt32 = reply.number(at: 8)
        else { return nil }
        let attributes = reply.attributes(after: RouteMessage.linkHeadSize)
        self.index = index
        isUp = flags & LinkAttribute.IFF_UP != 0
        name = attributes.text(LinkAttribute.IFLA_IFNAME) ?? ""
        alias = attributes.text(LinkAttribute.IFLA_IFALIAS) ?? ""
        kind = attributes.nested(LinkAttribute.IFLA_LINKINFO)?.text(LinkAttribute.IFLA_INFO_KIND) ?? ""
        master = attributes.number(LinkAttribute.IFLA_MASTER)
        macAddress = attributes[LinkAttribute.IFLA_ADDRESS].flatMap { MACAddress(bytes: $0) }
    }
}

/// A route to everywhere in the main table.
private struct DefaultRoute {
    let index: UInt32
    let metric: UInt32
    let source: IPv4Address?

    init?(_ reply: NetlinkReply) {
        guard reply.type == RouteMessage.RTM_NEWROUTE, reply.payload.count >= RouteMessage.routeHeadSize,
            reply.payload[1] == 0, reply.payload[4] == RouteAttribute.RT_TABLE_MAIN,
            reply.payload[7] == RouteAttribute.RTN_UNICAST
        else { return nil }
        let attributes = reply.attributes(after: RouteMessage.routeHeadSize)
        guard let index: UInt32 = attributes.number(RouteAttribute.RTA_OIF) else { return nil }
        self.index = index
        metric = attributes.number(RouteAttribute.RTA_PRIORITY) ?? 0
        source = attributes.address(RouteAttribute.RTA_PREFSRC)
    }
}
