/// The bridge that pods hang on.
package struct BridgeRequest: Hashable, Sendable {
    /// Name of the interface, at most 15 bytes.
    package let name: String
    /// The address of the host on it: the pods' gateway.
    package let address: IPv4Address
    /// The pods' addresses.
    package let podRange: IPv4Range
    /// The services' addresses, routed to the bridge so that they have a route, and a source address, even where the
    /// host has no default route.
    package let serviceRange: IPv4Range
    package let macAddress: MACAddress
    /// In bytes; 0 leaves the kernel's default.
    package let mtu: Int

    package init(
        name: String, address: IPv4Address, podRange: IPv4Range, serviceRange: IPv4Range, macAddress: MACAddress,
        mtu: Int
    ) {
        self.name = name
        self.address = address
        self.podRange = podRange
        self.serviceRange = serviceRange
        self.macAddress = macAddress
        self.mtu = mtu
    }
}

/// What is known of a bridge that is up.
package struct Bridge: Hashable, Sendable {
    /// Interface number.
    package let index: Int32
    package let macAddress: MACAddress

    package init(
        index: Int32, macAddress: MACAddress
    ) {
        self.index = index
        self.macAddress = macAddress
    }
}

/// One pod's link: a pair of virtual Ethernet devices, one end on the bridge and the other in the pod.
package struct PodLinkRequest: Hashable, Sendable {
    /// Name of the end on the bridge; "" when the host has none.
    package let hostName: String
    /// Note kept on the host's end; says which sandbox it belongs to.
    package let alias: String
    /// Name of the end in the pod, "eth0".
    package let podName: String
    /// Path of the pod's network namespace.
    package let networkNamespace: String
    package let address: IPv4Address
    package let podRange: IPv4Range
    package let gateway: IPv4Address
    package let gatewayMAC: MACAddress
    package let macAddress: MACAddress
    /// 0 for a link that another provider has put elsewhere.
    package let bridgeIndex: Int32
    /// In bytes; 0 leaves the kernel's default.
    package let mtu: Int

    package init(
        hostName: String, alias: String, podName: String, networkNamespace: String, address: IPv4Address,
        podRange: IPv4Range, gateway: IPv4Address, gatewayMAC: MACAddress, macAddress: MACAddress, bridgeIndex: Int32,
        mtu: Int
    ) {
        self.hostName = hostName
        self.alias = alias
        self.podName = podName
        self.networkNamespace = networkNamespace
        self.address = address
        self.podRange = podRange
        self.gateway = gateway
        self.gatewayMAC = gatewayMAC
        self.macAddress = macAddress
        self.bridgeIndex = bridgeIndex
        self.mtu = mtu
    }
}

/// What there is of a pod's link.
package struct PodLinkState: Hashable, Sendable {
    /// The host's end exists, is up and is a port of the bridge.
    package let isConnected: Bool
    /// The addresses of the pod's end; empty when it does not exist.
    package let addresses: [IPv4Address]
    /// Number of the pod's network namespace; 0 where the kernel cannot tell.
    package let namespaceCookie: UInt64
}

/// Everything that the plugin asks of the kernel's interfaces, addresses, routes and neighbours.
///
/// The real one is `RouteLinkControl`; tests of the logic above use a recorded fake. All functions may be called from
/// any thread and throw `NetlinkError` or `NetworkError`.
package protocol LinkControl: Sendable {
    /// Number of the host's network namespace; 0 where the kernel cannot tell.
    var namespaceCookie: UInt64 { get }
    /// Makes the bridge and its addresses and routes, or completes what there is of them.
    func ensureBridge(_ request: BridgeRequest) throws -> Bridge
    /// Removes the bridge and with it its routes; what is gone already is success.
    func removeBridge(named name: String) throws
    /// Makes a pod's link with its addresses and routes and returns the number of the pod's network namespace. Fails
    /// with EEXIST when a link of that name exists on either side.
    func connect(_ request: PodLinkRequest) throws -> UInt64
    /// Completes a link that another program has made on the bridge, so that it is as `connect` would have left it, and
    /// returns the number of the pod's network namespace. Idempotent.
    func adopt(_ request: PodLinkRequest) throws -> UInt64
    /// Number of the network namespace at a path; 0 where the kernel cannot tell.
    func namespaceCookie(of path: String) throws -> UInt64
    /// Looks at a pod's link.
    func inspect(_ request: PodLinkRequest) throws -> PodLinkState
    /// Removes a pod's link and the host's neighbour entry for its address; what is gone already is success.
    func disconnect(hostName: String, address: IPv4Address?, bridgeIndex: Int32) throws
    /// Removes many pods' links in little more time than one takes, and the host's neighbour entries for their addresses.
    func disconnect(_ links: [(hostName: String, address: IPv4Address)], bridgeIndex: Int32) throws
    /// Names and notes of the bridge's ports.
    func ports(of bridgeIndex: Int32) throws -> [(name: String, alias: String)]
    /// All IPv4 addresses of the host, loopback ones left out.
    func hostAddresses() throws -> [IPv4Address]
    /// The host's address towards other machines: that of its default route. Nil without one.
    func primaryAddress() throws -> IPv4Address?
}
