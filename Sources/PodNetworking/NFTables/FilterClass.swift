/// A map that leads from what a client dials to the way in which one of the endpoints is chosen. The raw value is its name.
enum FrontendKind: String, CaseIterable {
    case service = "services"
    /// For clients that are no pods, where those have endpoints of their own.
    case outside = "outside-services"
    case nodePort = "node-ports"
    case outsideNodePort = "outside-node-ports"

    init(isNodePort: Bool, outside: Bool) {
        switch (isNodePort, outside) {
        case (false, false): self = .service
        case (false, true): self = .outside
        case (true, false): self = .nodePort
        case (true, true): self = .outsideNodePort
        }
    }

    /// The map from what a client dials, and a slot, to an endpoint.
    var endpoints: String { "\(rawValue)-endpoints" }

    private var hasAddress: Bool { self == .service || self == .outside }
    var keyTypes: [UInt32] {
        (hasAddress ? [NFT.TYPE_IPADDR] : []) + [NFT.TYPE_INET_PROTOCOL, NFT.TYPE_INET_SERVICE]
    }

    /// The register at which the key begins that `load` makes; it ends before register 3.
    private var register: Int { hasAddress ? 0 : 1 }

    private func load(_ rule: FilterExpressions) -> FilterExpressions {
        (hasAddress ? rule.load(.destinationAddress, to: 0) : rule).load(.transport, to: 1)
            .load(.destinationPort, to: 2)
    }

    /// A rule that sends a packet to the chain of its service's class.
    func dispatch(_ rule: FilterExpressions) -> FilterExpressions {
        load(rule).dispatch(by: rawValue, key: register)
    }

    /// A rule that sends a packet to one of so many endpoints.
    func translate(toOneOf count: Int) -> FilterExpressions {
        load(FilterExpressions()).random(below: count, to: 3).look(up: endpoints, key: register, data: 4)
            .translateDestination(from: 4)
    }
}

/// Services that are routed by the same rules: how many endpoints they have, and whether clients stay with one. The rules
/// cannot take these two from a map, so there is a chain for every class that is in use.
struct FilterClass: Hashable {
    let kind: FrontendKind
    let endpointCount: Int
    let isSticky: Bool

    /// Clients beyond this number are served without affinity until others have left.
    static let rememberedClients: UInt32 = 262_144

    /// The chain's name, for people.
    var chain: String {
        endpointCount == 0 ? FilterTable.refuse : "\(kind.rawValue)-\(endpointCount)\(isSticky ? "-sticky" : "")"
    }

    func add(to batch: inout FilterBatch) {
        batch.addChain(chain)
        if isSticky {
            let key = FilterExpressions().load(.destinationAddress, to: 0).load(.transport, to: 1)
                .load(.destinationPort, to: 2).load(.sourceAddress, to: 3)
            batch.addRule(
                chain, key.look(up: FilterTable.affinity, key: 0, data: 4).translateDestination(from: 4))
        }
        batch.addRule(chain, kind.translate(toOneOf: endpointCount))
    }

    /// The chain that remembers which endpoint a client has got, for so long after its last connection.
    static func remembering(_ seconds: UInt32) -> String { "remember-\(seconds)" }

    static func addRemembering(_ seconds: UInt32, to batch: inout FilterBatch) {
        let chain = remembering(seconds)
        batch.addChain(chain)
        batch.addRule(
            chain,
            FilterExpressions().load(.originalDestinationAddress, to: 0).load(.transport, to: 1)
                .load(.originalDestinationPort, to: 2).load(.sourceAddress, to: 3)
                .load(.destinationAddress, to: 4).load(.destinationPort, to: 5)
                .remember(in: FilterTable.affinity, key: 0, data: 4, milliseconds: UInt64(seconds) * 1000))
    }
}
