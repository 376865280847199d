/// The bridge that pods hang on.
struct BridgeRequest: Hashable, Sendable {
    /// Name of the interface, at most 15 bytes.
    let name: String
    /// The address of the host on it: the pods' gateway.
    let address: IPv4Address
    /// The pods' addresses.
    let podRange: IPv4Range
    /// The services' addresses, routed to the bridge so that they have a route, and a source address, even where the
    /// host has no default route.
    let serviceRange: IPv4Range
    let macAddress: MACAddress
    /// In bytes; 0 leaves the kernel's default.
    let mtu: Int
}

/// What is known of a bridge that is up.
struct Bridge: Hashable, Sendable {
    /// Interface number.
    let index: Int32
    let macAddress: MACAddress
}

/// One pod's link: a pair of virtual Ethernet devices, one end on the bridge and the other in the pod.
struct PodLinkRequest: Hashable, Sendable {
    /// Name of the end on the bridge.
    let hostName: String
    /// Note kept on the host's end; says which sandbox it belongs to.
    let alias: String
    /// Name of the end in the pod, "eth0".
    let podName: String
    /// Path of the pod's network namespace.
    let networkNamespace: String
    let address: IPv4Address
    let podRange: IPv4Range
    let gateway: IPv4Address
    let gatewayMAC: MACAddress
    let macAddress: MACAddress
    let bridgeIndex: Int32
    /// In bytes; 0 leaves the kernel's default.
    let mtu: Int
}

/// What there is of a pod's link.
struct PodLinkState: Hashable, Sendable {
    /// The host's end exists, is up and is a port of the bridge.
    let isConnected: Bool
    /// The addresses of the pod's end; empty when it does not exist.
    let addresses: [IPv4Address]
    /// Number of the pod's network namespace; 0 where the kernel cannot tell.
    let namespaceCookie: UInt64
}

/// Everything that the plugin asks of the kernel's interfaces, addresses, routes and neighbours.
///
/// The real one is `RouteLinkControl`; tests of the logic above use a recorded fake. All functions may be called from
/// any thread and throw `NetlinkError` or `NetworkError`.
protocol LinkControl: Sendable {
    /// Number of the host's network namespace; 0 where the kernel cannot tell.
    var namespaceCookie: UInt64 { get }
    /// Makes the bridge and its addresses and routes, or completes what there is of them.
    func ensureBridge(_ request: BridgeRequest) throws -> Bridge
    /// Removes the bridge and with it its routes; what is gone already is success.
    func removeBridge(named name: String) throws
    /// Makes a pod's link with its addresses and routes and returns the number of the pod's network namespace. Fails
    /// with EEXIST when a link of that name exists on either side.
    func connect(_ request: PodLinkRequest) throws -> UInt64
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
