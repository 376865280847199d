/// What a plugin's table of packet filter rules is made for, and the part of it that never changes.
///
/// Services are elements of maps, and there is no rule or chain for any one of them. A connection takes one lookup to find
/// its service, however many there are, and one to find an endpoint:
///
///     services:           address . transport . port        → the chain of the service's class
///     services-endpoints: address . transport . port . slot → address . port
///
/// A class is all that a rule has to know beforehand: the number of endpoints, and whether clients stay with one. The
/// rules keep to what the nft tool can show.
package struct FilterTable: Sendable, Equatable {
    /// Name of the table, one per bridge and provider.
    package let name: String
    let bridge: String
    let podRange: IPv4Range
    let serviceRange: IPv4Range
    /// Whether the host's own connections to services are routed here.
    let servesHost: Bool

    package init(name: String, bridge: String, podRange: IPv4Range, serviceRange: IPv4Range, servesHost: Bool) {
        self.name = name
        self.bridge = bridge
        self.podRange = podRange
        self.serviceRange = serviceRange
        self.servesHost = servesHost
    }

    // Names within the table.
    static let affinity = "affinity"
    static let restricted = "restricted-services"
    static let sticky = "sticky-services"
    static let stickyNodePorts = "sticky-node-ports"
    static let hostPorts = "host-ports"
    static let boundHostPorts = "bound-host-ports"
    static let pods = "pods"
    static let direct = "direct-pods"
    static let remember = "remember"
    static let route = "route"
    static let refuse = "refuse"

    static let verdicts: (type: UInt32, size: UInt32) = (NFT.NFT_DATA_VERDICT, 0)
    private static let endpoint: (type: UInt32, size: UInt32) = (
        NFT.concatenation([NFT.TYPE_IPADDR, NFT.TYPE_INET_SERVICE]), 8
    )

    /// A set's layout by the types of its key's parts, four bytes each.
    static func layout(
        _ key: [UInt32], _ data: (type: UInt32, size: UInt32)? = nil
    ) -> FilterBatch.SetLayout {
        .init(keyType: NFT.concatenation(key), keySize: UInt32(4 * key.count), data: data)
    }

    /// The table without services and pods: sets, chains and the rules that never change.
    func addSkeleton(to batch: inout FilterBatch) {
        batch.addTable()
        batch.addChain(Self.refuse)
        addServiceMaps(to: &batch)
        batch.addSet(Self.boundHostPorts, Self.layout(FrontendKind.service.keyTypes, Self.endpoint))
        batch.addSet(Self.hostPorts, Self.layout(FrontendKind.nodePort.keyTypes, Self.endpoint))
        batch.addSet(Self.pods, Self.layout([NFT.TYPE_IPADDR, NFT.TYPE_IPADDR]))
        batch.addSet(Self.direct, Self.layout([NFT.TYPE_IPADDR]))
        addRefusal(to: &batch)
        addRouting(to: &batch)
        addGuards(to: &batch)
        addMasquerade(to: &batch)
    }

    private func addServiceMaps(to batch: inout FilterBatch) {
        for kind in FrontendKind.allCases {
            batch.addSet(kind.rawValue, Self.layout(kind.keyTypes, Self.verdicts))
            batch.addSet(kind.endpoints, Self.layout(kind.keyTypes + [NFT.TYPE_MARK], Self.endpoint))
        }
        batch.addSet(Self.restricted, Self.layout(FrontendKind.service.keyTypes, Self.verdicts))
        batch.addSet(Self.sticky, Self.layout(FrontendKind.service.keyTypes, Self.verdicts))
        batch.addSet(Self.stickyNodePorts, Self.layout(FrontendKind.nodePort.keyTypes, Self.verdicts))
        var affinity = Self.layout(FrontendKind.service.keyTypes + [NFT.TYPE_IPADDR], Self.endpoint)
        affinity.timeout = 10_800_000
        affinity.limit = FilterClass.rememberedClients
        batch.addSet(Self.affinity, affinity)
    }

    private func addRefusal(to batch: inout FilterBatch) {
        let tcp = FilterExpressions().load(.transport, to: 0).compare(0, equals: true, [Transport.tcp.rawValue])
        batch.addRule(Self.refuse, tcp.reject(withReset: true))
        batch.addRule(Self.refuse, FilterExpressions().reject(withReset: false))
    }

    /// Where connections begin: services first, then ports of pods on the host; the rest of the services' range is
    /// nobody's and is refused here, so that it never leaves the machine.
    private func addRouting(to batch: inout FilterBatch) {
        batch.addChain(Self.route)
        let frontend = FilterExpressions().load(.destinationAddress, to: 0).load(.transport, to: 1)
            .load(.destinationPort, to: 2)
        let nodePort = FilterExpressions().destinationIsLocal(using: 3).load(.transport, to: 1)
            .load(.destinationPort, to: 2)
        let fromElsewhere = FilterExpressions().load(.sourceAddress, to: 3).compare(3, inside: false, podRange)
        // Clients that a service does not admit are dropped before anything else.
        let admission = frontend.dispatch(by: Self.restricted, key: 0)
        batch.addChain("prerouting", hook: ("nat", NFT.NF_INET_PRE_ROUTING, NFT.NF_IP_PRI_NAT_DST))
        batch.addRule("prerouting", admission)
        batch.addRule("prerouting", FrontendKind.outside.dispatch(fromElsewhere))
        batch.addRule(
            "prerouting", FrontendKind.outsideNodePort.dispatch(fromElsewhere.destinationIsLocal(using: 3)))
        batch.addRule("prerouting", FilterExpressions().verdict(NFT.NFT_GOTO, chain: Self.route))
        if servesHost {
            batch.addChain("output", hook: ("nat", NFT.NF_INET_LOCAL_OUT, NFT.NF_IP_PRI_NAT_DST))
            batch.addRule("output", admission)
            batch.addRule("output", FilterExpressions().verdict(NFT.NFT_GOTO, chain: Self.route))
        }
        batch.addRule(Self.route, FrontendKind.service.dispatch(FilterExpressions()))
        batch.addRule(Self.route, FrontendKind.nodePort.dispatch(FilterExpressions().destinationIsLocal(using: 3)))
        batch.addRule(
            Self.route, frontend.look(up: Self.boundHostPorts, key: 0, data: 4).translateDestination(from: 4))
        batch.addRule(
            Self.route,
            nodePort.look(up: Self.hostPorts, key: 1, data: 4).translateDestination(from: 4))
        batch.addRule(
            Self.route,
            FilterExpressions().load(.destinationAddress, to: 0).compare(0, inside: true, serviceRange)
                .verdict(NFT.NFT_GOTO, chain: Self.refuse))
    }

    /// Pods must not reach the host's loopback addresses, which the bridge lets through for node ports at 127.0.0.1;
    /// and the host must not tell pods to talk to each other directly, past its address translation.
    private func addGuards(to batch: inout FilterBatch) {
        let bridgeName = FilterExpressions.interfaceName(bridge)
        batch.addChain("guard-in", hook: ("filter", NFT.NF_INET_PRE_ROUTING, NFT.NF_IP_PRI_RAW))
        batch.addRule(
            "guard-in",
            FilterExpressions().load(.inputName, to: 0).compare(0, equals: true, bridgeName)
                .load(.destinationAddress, to: 0).compare(0, inside: true, Self.loopback).verdict(NFT.NF_DROP))
        batch.addChain("guard-out", hook: ("filter", NFT.NF_INET_LOCAL_OUT, NFT.NF_IP_PRI_FILTER))
        batch.addRule(
            "guard-out",
            FilterExpressions().load(.outputName, to: 0).compare(0, equals: true, bridgeName)
                .load(.transport, to: 0).compare(0, equals: true, [1]).load(.icmpType, to: 0)
                .compare(0, equals: true, [5]).verdict(NFT.NF_DROP))
    }

    static let loopback = IPv4Range(around: IPv4Address(0x7f00_0000), prefixLength: 8)

    /// Traffic that would otherwise be answered past the translation, or not at all, gets the host's address.
    private func addMasquerade(to batch: inout FilterBatch) {
        let bridgeName = FilterExpressions.interfaceName(bridge)
        batch.addChain("postrouting", hook: ("nat", NFT.NF_INET_POST_ROUTING, NFT.NF_IP_PRI_NAT_SRC))
        let leaves = FilterExpressions().load(.outputName, to: 0).compare(0, equals: false, bridgeName)
            .load(.destinationAddress, to: 0).compare(0, inside: false, podRange)
        // Which endpoint a client has got, where it is to keep it: now the packet says so itself.
        let original = FilterExpressions().isTranslated(using: 0).load(.originalDestinationAddress, to: 0)
            .load(.transport, to: 1).load(.originalDestinationPort, to: 2)
        batch.addChain(Self.remember)
        batch.addRule(Self.remember, original.dispatch(by: Self.sticky, key: 0))
        batch.addRule(Self.remember, original.dispatch(by: Self.stickyNodePorts, key: 1))
        batch.addRule("postrouting", FilterExpressions().verdict(NFT.NFT_JUMP, chain: Self.remember))
        // Pods towards other machines; pod addresses mean nothing there.
        batch.addRule(
            "postrouting", leaves.load(.sourceAddress, to: 0).compare(0, inside: true, podRange).masquerade())
        // A pod that reaches itself through a service.
        batch.addRule(
            "postrouting",
            FilterExpressions().load(.sourceAddress, to: 0).load(.destinationAddress, to: 1)
                .look(up: Self.pods, key: 0).masquerade())
        // A pod that reaches, through a service, a pod that would answer it past the host.
        batch.addRule(
            "postrouting",
            FilterExpressions().isTranslated(using: 0).load(.destinationAddress, to: 0).look(up: Self.direct, key: 0)
                .load(.sourceAddress, to: 0).load(.sourceAddress, to: 1).look(up: Self.pods, key: 0).masquerade())
        // The host's loopback address towards a pod.
        batch.addRule(
            "postrouting",
            FilterExpressions().load(.outputName, to: 0).compare(0, equals: true, bridgeName)
                .load(.sourceAddress, to: 0).compare(0, inside: true, Self.loopback).masquerade())
        // Others' traffic to a service whose endpoint is on another machine.
        batch.addRule(
            "postrouting",
            leaves.isTranslated(using: 0).load(.outputName, to: 0)
                .compare(0, equals: false, FilterExpressions.interfaceName("lo")).masquerade())
    }
}
