import Objects

/// A service as the role's message services_set describes it, checked.
package struct Service: Sendable, Hashable {
    package struct Port: Sendable, Hashable {
        package let name: String
        package let transport: Transport
        package let port: UInt16
        package let nodePort: UInt16?
        package let endpoints: [Endpoint]
        /// Those on this node that count where only local ones do. Not always among `endpoints`: while no local one is
        /// ready, those that are ending serve on.
        package let localEndpoints: [Endpoint]
    }

    /// "namespace/name".
    package let key: String
    package let clusterAddresses: [IPv4Address]
    package let externalAddresses: [IPv4Address]
    /// External addresses that only clients in one of the `sources` reach.
    package let restrictedAddresses: [IPv4Address]
    package let sources: [IPv4Range]
    package let affinitySeconds: UInt32?
    package let clusterIsLocal: Bool
    package let outsideIsLocal: Bool
    package let ports: [Port]

    package init(_ json: JSON) throws(NetworkError) {
        key = try Self.key(json)
        clusterAddresses = Self.addresses(json["clusterIPs"])
        externalAddresses = Self.addresses(json["externalIPs"])
        restrictedAddresses = Self.addresses(json["restrictedIPs"])
        sources = try Self.ranges(json["sourceRanges"], service: key)
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

    /// The message that says the same.
    package var json: JSON {
        let parts = key.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        var json: JSONObject = [
            "namespace": .string(parts[0]), "name": .string(parts[1]),
            "clusterIPs": JSON(clusterAddresses.map(\.description)),
            "externalIPs": JSON(externalAddresses.map(\.description)),
            "internalTrafficPolicy": clusterIsLocal ? "Local" : "Cluster",
            "externalTrafficPolicy": outsideIsLocal ? "Local" : "Cluster", "ports": .array(ports.map(\.json)),
        ]
        if !restrictedAddresses.isEmpty {
            json["restrictedIPs"] = JSON(restrictedAddresses.map(\.description))
            json["sourceRanges"] = JSON(sources.map(\.description))
        }
        if let affinitySeconds {
            json["sessionAffinity"] = "ClientIP"
            json["affinityTimeoutSeconds"] = JSON(affinitySeconds)
        }
        return .object(json)
    }

    /// "namespace/name" of anything that has both members.
    package static func key(_ json: JSON) throws(NetworkError) -> String {
        guard let namespace = json["namespace"].stringValue, let name = json["name"].stringValue, !name.isEmpty else {
            throw .invalid("a service needs namespace and name")
        }
        return "\(namespace)/\(name)"
    }

    /// IPv4 blocks only; bits behind a prefix mean nothing.
    private static func ranges(_ json: JSON, service: String) throws(NetworkError) -> [IPv4Range] {
        var ranges: [IPv4Range] = []
        for text in json.arrayValue.compactMap(\.stringValue) where !text.contains(":") {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, let address = IPv4Address(parsing: parts[0]), let length = Int(parts[1]),
                (0...32).contains(length)
            else { throw .invalid("service \(service): source range \"\(text)\" is no block such as 10.0.0.0/8") }
            ranges.append(IPv4Range(around: address, prefixLength: length))
        }
        return ranges
    }

    /// IPv4 addresses only: "None" and IPv6 have no routes.
    private static func addresses(_ json: JSON) -> [IPv4Address] {
        json.arrayValue.compactMap { $0.stringValue.flatMap { IPv4Address(parsing: $0) } }
    }
}

extension Service.Port {
    package init(_ json: JSON, service: String) throws(NetworkError) {
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
            guard let endpoint = try Self.endpoint(entry, service), seen.insert(endpoint).inserted else { continue }
            endpoints.append(endpoint)
            if entry["local"].boolValue == true { local.append(endpoint) }
        }
        if local.isEmpty {
            for entry in json["draining"].arrayValue {
                if let endpoint = try Self.endpoint(entry, service), !local.contains(endpoint) {
                    local.append(endpoint)
                }
            }
        }
        self.endpoints = endpoints
        localEndpoints = local
    }

    /// Nil for one of IPv6: those of a dual-stack service are expected, and have no route here.
    private static func endpoint(_ json: JSON, _ service: String) throws(NetworkError) -> Endpoint? {
        guard let address = json["address"].stringValue.flatMap({ IPv4Address(parsing: $0) }),
            let port = json["port"].integerValue.flatMap(UInt16.init(exactly:)), port > 0
        else {
            if json["address"].stringValue?.contains(":") == true { return nil }
            throw .invalid("service \(service): an endpoint needs an IPv4 address and a port from 1 to 65535")
        }
        return Endpoint(address: address, port: port)
    }

    var json: JSON {
        let local = Set(localEndpoints)
        var json: JSONObject = [
            "name": .string(name), "protocol": .string(transport.name), "port": JSON(port),
            "endpoints": .array(
                endpoints.map { endpoint in
                    [
                        "address": .string(endpoint.address.description), "port": JSON(endpoint.port),
                        "local": .bool(local.contains(endpoint)),
                    ]
                }),
        ]
        if let nodePort { json["nodePort"] = JSON(nodePort) }
        let draining = localEndpoints.filter { !endpoints.contains($0) }
        if !draining.isEmpty {
            json["draining"] = .array(
                draining.map { ["address": .string($0.address.description), "port": JSON($0.port)] })
        }
        return .object(json)
    }
}
