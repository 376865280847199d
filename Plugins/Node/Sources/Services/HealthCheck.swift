import Objects

/// A service whose balancer asks each node, at a port of its own, whether it has endpoints: one of type LoadBalancer with
/// `externalTrafficPolicy: Local`. Pure.
/// See https://kubernetes.io/docs/tasks/access-application-cluster/create-external-load-balancer/.
struct HealthCheck: Hashable, Sendable {
    let namespace: String
    let name: String
    /// `spec.healthCheckNodePort`.
    let port: UInt16
    /// Addresses of endpoints on this node that are ready. Those that are ending serve on, but no balancer is to choose them.
    let localEndpoints: Int

    init(namespace: String, name: String, port: UInt16, localEndpoints: Int) {
        self.namespace = namespace
        self.name = name
        self.port = port
        self.localEndpoints = localEndpoints
    }

    /// Nil for a service that no balancer asks for, or that somebody else routes.
    init?(_ service: JSON, slices: [JSON], nodeName: String) {
        let specification = service["spec"]
        guard ServiceTranslation.isRouted(service), specification["type"].stringValue == "LoadBalancer",
            specification["externalTrafficPolicy"].stringValue == "Local",
            let port = specification["healthCheckNodePort"].integerValue.flatMap(UInt16.init(exactly:)), port > 0
        else { return nil }
        var addresses: Set<String> = []
        for slice in slices where slice["addressType"].stringValue != "FQDN" && !slice["ports"].isEmpty {
            for endpoint in slice["endpoints"].arrayValue
            where endpoint["nodeName"].stringValue == nodeName && endpoint["conditions"]["ready"].boolValue ?? true {
                addresses.formUnion(endpoint["addresses"].arrayValue.compactMap(\.stringValue))
            }
        }
        self.init(
            namespace: service.namespace, name: service.name, port: port, localEndpoints: addresses.count)
    }

    /// "NAMESPACE/NAME" of the service.
    var key: String { "\(namespace)/\(name)" }
}

/// How far the network is behind what the API says of services.
struct RoutingHealth: Sendable, Equatable {
    /// When the network last had been told everything; nil before the first time.
    var updated: Timestamp?
    /// Since when something has not been told yet, in nanoseconds of the monotonic clock; nil when all has.
    var pendingSince: UInt64?

    /// Longer than this, in nanoseconds, nothing waits on a node whose routing works.
    static let patience: UInt64 = 60_000_000_000

    func isHealthy(monotonic now: UInt64) -> Bool { pendingSince.map { now < $0 + Self.patience } ?? true }
}
