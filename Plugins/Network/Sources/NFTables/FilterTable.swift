/// What the plugin's table of packet filter rules is made for.
struct FilterTable: Sendable, Equatable {
    /// Name of the table, one per bridge.
    let name: String
    let bridge: String
    let podRange: IPv4Range
    let serviceRange: IPv4Range
    /// Whether the host's own connections to services are routed here.
    let servesHost: Bool

    // Names within the table.
    static let services = "services"
    static let outside = "outside-services"
    static let nodePorts = "node-ports"
    static let outsideNodePorts = "outside-node-ports"
    static let hostPorts = "host-ports"
    static let boundHostPorts = "bound-host-ports"
    static let pods = "pods"
    static let route = "route"
    static let refuse = "refuse"

    static let frontendType = NFT.concatenation(NFT.TYPE_IPADDR, NFT.TYPE_INET_PROTOCOL, NFT.TYPE_INET_SERVICE)
    static let endpointType = NFT.concatenation(NFT.TYPE_IPADDR, NFT.TYPE_INET_SERVICE)
    static let endpointLayout: (type: UInt32, size: UInt32) = (endpointType, 8)

    /// The table without services and pods: sets, chains and the rules that never change.
    func addSkeleton(to batch: inout FilterBatch) {
        batch.addTable()
        let verdicts: (type: UInt32, size: UInt32) = (NFT.NFT_DATA_VERDICT, 0)
        batch.addChain(Self.refuse)
        batch.addSet(Self.services, .init(keyType: Self.frontendType, keySize: 12, data: verdicts))
        batch.addSet(Self.outside, .init(keyType: Self.frontendType, keySize: 12, data: verdicts))
        let portType = NFT.concatenation(NFT.TYPE_INET_PROTOCOL, NFT.TYPE_INET_SERVICE)
        batch.addSet(Self.nodePorts, .init(keyType: portType, keySize: 8, data: verdicts))
        batch.addSet(Self.outsideNodePorts, .init(keyType: portType, keySize: 8, data: verdicts))
        let bound = FilterBatch.SetLayout(keyType: Self.frontendType, keySize: 12, data: Self.endpointLayout)
        batch.addSet(Self.boundHostPorts, bound)
        batch.addSet(Self.hostPorts, .init(keyType: portType, keySize: 8, data: Self.endpointLayout))
        let pairs = NFT.concatenation(NFT.TYPE_IPADDR, NFT.TYPE_IPADDR)
        batch.addSet(Self.pods, .init(keyType: pairs, keySize: 8, data: nil))
        addRefusal(to: &batch)
        addRouting(to: &batch)
        addGuards(to: &batch)
        addMasquerade(to: &batch)
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
        batch.addChain("prerouting", hook: ("nat", NFT.NF_INET_PRE_ROUTING, NFT.NF_IP_PRI_NAT_DST))
        batch.addRule(
            "prerouting",
            fromElsewhere.load(.destinationAddress, to: 0).load(.transport, to: 1).load(.destinationPort, to: 2)
                .dispatch(by: Self.outside, key: 0))
        batch.addRule(
            "prerouting",
            fromElsewhere.destinationIsLocal(using: 3).load(.transport, to: 1).load(.destinationPort, to: 2)
                .dispatch(by: Self.outsideNodePorts, key: 1))
        batch.addRule("prerouting", FilterExpressions().verdict(NFT.NFT_GOTO, chain: Self.route))
        if servesHost {
            batch.addChain("output", hook: ("nat", NFT.NF_INET_LOCAL_OUT, NFT.NF_IP_PRI_NAT_DST))
            batch.addRule("output", FilterExpressions().verdict(NFT.NFT_GOTO, chain: Self.route))
        }
        batch.addRule(Self.route, frontend.dispatch(by: Self.services, key: 0))
        batch.addRule(Self.route, nodePort.dispatch(by: Self.nodePorts, key: 1))
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
        // Pods towards other machines; pod addresses mean nothing there.
        batch.addRule(
            "postrouting", leaves.load(.sourceAddress, to: 0).compare(0, inside: true, podRange).masquerade())
        // A pod that reaches itself through a service.
        batch.addRule(
            "postrouting",
            FilterExpressions().load(.sourceAddress, to: 0).load(.destinationAddress, to: 1)
                .look(up: Self.pods, key: 0).masquerade())
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
