import Objects

/// A service as the role's message services_set describes it, checked.
struct Service: Sendable, Hashable {
    struct Port: Sendable, Hashable {
        let name: String
        let transport: Transport
        let port: UInt16
        let nodePort: UInt16?
        let endpoints: [Endpoint]
        let localEndpoints: [Endpoint]
    }

    /// "namespace/name".
    let key: String
    let clusterAddresses: [IPv4Address]
    let externalAddresses: [IPv4Address]
    let affinitySeconds: UInt32?
    let clusterIsLocal: Bool
    let outsideIsLocal: Bool
    let ports: [Port]

    init(_ json: JSON) throws(NetworkError) {
        key = try Self.key(json)
        clusterAddresses = Self.addresses(json["clusterIPs"])
        externalAddresses = Self.addresses(json["externalIPs"])
        if json["sessionAffinity"].stringValue == "ClientIP" {
            affinitySeconds = UInt32(clamping: max(1, json["affinityTimeoutSeconds"].integerValue ?? 10800))
        } else {
            affinitySeconds = nil
        }
        clusterIsLocal = json["internalTrafficPolicy"].stringValue == "Local"
        outsideIsLocal = json["externalTrafficPolicy"].stringValue == "Local"
        var ports: [Port] = []
        for entry in json["ports"].arrayValue { ports.append(try Port(entry, service: key)) }
        self.ports = ports
    }

    /// "namespace/name" of anything that has both members.
    static func key(_ json: JSON) throws(NetworkError) -> String {
        guard let namespace = json["namespace"].stringValue, let name = json["name"].stringValue, !name.isEmpty else {
            throw .invalid("a service needs namespace and name")
        }
        return "\(namespace)/\(name)"
    }

    /// IPv4 addresses only: "None" and IPv6 have no routes.
    private static func addresses(_ json: JSON) -> [IPv4Address] {
        json.arrayValue.compactMap { $0.stringValue.flatMap { IPv4Address(parsing: $0) } }
    }
}

extension Service.Port {
    init(_ json: JSON, service: String) throws(NetworkError) {
        name = json["name"].stringValue ?? ""
        let transportName = json["protocol"].stringValue ?? "TCP"
        guard let transport = Transport(name: transportName) else {
            throw .invalid("service \(service): protocol \"\(transportName)\" is not TCP, UDP or SCTP")
        }
        self.transport = transport
        guard let port = json["port"].integerValue.flatMap(UInt16.init(exactly:)), port > 0 else {
            throw .invalid("service \(service): a port must be from 1 to 65535")
        }
        self.port = port
        nodePort = json["nodePort"].integerValue.flatMap(UInt16.init(exactly:)).flatMap { $0 > 0 ? $0 : nil }
        var endpoints: [Endpoint] = []
        var local: [Endpoint] = []
        var seen: Set<Endpoint> = []
        for entry in json["endpoints"].arrayValue {
            guard let address = entry["address"].stringValue.flatMap({ IPv4Address(parsing: $0) }),
                let port = entry["port"].integerValue.flatMap(UInt16.init(exactly:)), port > 0
            else {
                // IPv6 endpoints of a dual-stack service are expected, and have no route here.
                if entry["address"].stringValue?.contains(":") == true { continue }
                throw .invalid("service \(service): an endpoint needs an IPv4 address and a port from 1 to 65535")
            }
            let endpoint = Endpoint(address: address, port: port)
            guard seen.insert(endpoint).inserted else { continue }
            endpoints.append(endpoint)
            if entry["local"].boolValue == true { local.append(endpoint) }
        }
        self.endpoints = endpoints
        localEndpoints = local
    }
}
