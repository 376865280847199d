/// What a client dials: an address and port of a service.
package struct Frontend: Hashable, Sendable, CustomStringConvertible {
    /// Nil: a node port, at every address of the node.
    package let address: IPv4Address?
    package let port: UInt16
    package let transport: Transport

    package var description: String { "\(address.map(\.description) ?? "node"):\(port)/\(transport.name)" }
}

/// Where traffic ends: a pod's address and port.
package struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    package let address: IPv4Address
    package let port: UInt16

    package var description: String { "\(address):\(port)" }
}

/// Frontends that lead to one set of endpoints: the unit that routers work with.
package struct ServiceRoute: Hashable, Sendable {
    /// Stable while the service exists.
    package let id: UInt32
    /// For people: "default/web:http".
    package let name: String
    package let transport: Transport
    package var frontends: [Frontend]
    /// In the order given; empty refuses.
    package let endpoints: [Endpoint]
    /// For clients outside of the cluster where they differ: those on this node, under externalTrafficPolicy Local.
    package let outsideEndpoints: [Endpoint]?
    /// How long a client stays with an endpoint; nil = no affinity.
    package let affinitySeconds: UInt32?
    /// Where clients must be for their packets not to be dropped; nil = anywhere.
    package var sources: [IPv4Range]?
}

/// A change of routes, in the order in which it must happen.
package struct RouteChanges: Equatable, Sendable {
    package var removed: [ServiceRoute] = []
    package var changed: [Replacement] = []
    /// Frontends that another service has already and that were left out.
    package var conflicts: [String] = []

    package struct Replacement: Equatable, Sendable {
        /// Nil when the route is new.
        package let old: ServiceRoute?
        package let new: ServiceRoute
    }

    package var isEmpty: Bool { removed.isEmpty && changed.isEmpty }
}

/// Brings services' addresses to their endpoints by one mechanism of the kernel. Calls do not overlap.
package protocol ServiceRouter: Sendable {
    /// Makes exactly these routes, whatever there was before; what stays the same works on without a gap.
    func replaceAll(_ routes: [ServiceRoute]) throws
    /// Carries out a change. Cost grows with the change.
    func apply(_ changes: RouteChanges) throws
    /// A pod's network is there: serve its clients and its port mappings. Idempotent.
    func add(_ attachment: Attachment) throws
    /// A pod's network is about to go. Idempotent.
    func remove(_ attachment: Attachment) throws
}
