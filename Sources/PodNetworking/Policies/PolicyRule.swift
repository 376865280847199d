/// One side of a pod's connections that policies speak of.
package enum PolicyDirection: String, CaseIterable, Sendable {
    /// What others begin towards the pod.
    case ingress
    /// What the pod begins.
    case egress
}

/// What a policy allows in one direction: the peers and the ports together.
package struct PolicyRule: Hashable, Sendable {
    package enum Peer: Hashable, Sendable {
        /// The members of a group: addresses of peers, or endpoints that are reached.
        case group(String)
        /// Addresses of a block that lie in none of the others.
        case block(IPv4Range, except: [IPv4Range])
    }

    package enum Port: Hashable, Sendable {
        case range(Transport, ClosedRange<UInt16>)
        /// The endpoints of a group: a port that has another number at every pod.
        case group(String)
    }

    /// Nil: everybody. An empty list: nobody.
    package let peers: [Peer]?
    /// Nil: all ports of all protocols. An empty list: none.
    package let ports: [Port]?

    package init(peers: [Peer]? = nil, ports: [Port]? = nil) {
        self.peers = peers
        self.ports = ports
    }

    /// The groups that the rule names.
    package var groups: [String] {
        let peers = (peers ?? []).compactMap { if case .group(let name) = $0 { name } else { nil } }
        return peers + (ports ?? []).compactMap { if case .group(let name) = $0 { name } else { nil } }
    }
}

/// A policy's rules. Nil in a direction: the policy says nothing of it.
package struct PolicyRules: Hashable, Sendable {
    package let name: String
    package let ingress: [PolicyRule]?
    package let egress: [PolicyRule]?

    package init(name: String, ingress: [PolicyRule]? = nil, egress: [PolicyRule]? = nil) {
        self.name = name
        self.ingress = ingress
        self.egress = egress
    }

    /// The rules of both directions.
    var rules: [PolicyRule] { (ingress ?? []) + (egress ?? []) }

    /// The groups that the rules name, each as often as it is named.
    var groups: [String] { rules.flatMap(\.groups) }

    package subscript(direction: PolicyDirection) -> [PolicyRule]? {
        switch direction {
        case .ingress: ingress
        case .egress: egress
        }
    }
}

/// A pod that policies isolate. Nil in a direction: everything is allowed. A list: what one of its policies allows.
package struct PolicySubject: Hashable, Sendable {
    package let address: IPv4Address
    /// Names of policies, in the order of their bytes.
    package let ingress: [String]?
    package let egress: [String]?

    package init(address: IPv4Address, ingress: [String]? = nil, egress: [String]? = nil) {
        self.address = address
        self.ingress = ingress?.sorted()
        self.egress = egress?.sorted()
    }

    /// The policies of both directions.
    var policies: [String] { (ingress ?? []) + (egress ?? []) }

    package subscript(direction: PolicyDirection) -> [String]? {
        switch direction {
        case .ingress: ingress
        case .egress: egress
        }
    }
}

/// A member of a group.
package enum PolicyMember: Hashable, Sendable {
    case address(IPv4Address)
    case endpoint(IPv4Address, Transport, UInt16)

    /// Its key in a set of the packet filter.
    var bytes: [UInt8] {
        switch self {
        case .address(let address): address.bytes
        case .endpoint(let address, let transport, let port): address.bytes + FilterPods.bytes(transport, port)
        }
    }
}

/// What the members of a group are.
package enum PolicyGroupKind: String, Sendable {
    case addresses
    case endpoints

    package func holds(_ member: PolicyMember) -> Bool {
        switch member {
        case .address: self == .addresses
        case .endpoint: self == .endpoints
        }
    }
}
