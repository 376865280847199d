import Objects

/// An IPv4 address in the machine's byte order; nil for anything but dotted decimal.
func parseAddress(_ text: some StringProtocol, separator: Character = ".") -> UInt32? {
    var value: UInt32 = 0
    let parts = text.split(separator: separator, omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    for part in parts {
        guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
            let number = UInt32(part), number <= 255, number == 0 || part.utf8.first != 48,
            number != 0 || part.count == 1
        else { return nil }
        value = value << 8 | number
    }
    return value
}

/// Dotted decimal, or with another separator ("10-244-0-5").
func formatAddress(_ address: UInt32, separator: String = ".") -> String {
    [24, 16, 8, 0].map { String(address >> UInt32($0) & 255) }.joined(separator: separator)
}

/// A named port of a service or of its endpoints.
struct ZonePort: Hashable, Sendable {
    let name: String
    /// "tcp", "udp", "sctp".
    let transport: String
    let number: UInt16

    init?(_ json: JSON) {
        guard let number = json["port"].integerValue.flatMap(UInt16.init(exactly:)) else { return nil }
        name = (json["name"].stringValue ?? "").lowercased()
        transport = (json["protocol"].stringValue ?? "TCP").lowercased()
        self.number = number
    }
}

/// What the zone keeps of a Service.
struct ZoneService: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        case cluster([UInt32])
        case headless
        case external(DomainName)
    }
    let kind: Kind
    let ports: [ZonePort]
    /// Endpoints that are not ready have names too.
    let publishesAll: Bool

    /// Nil when the service has no names: IPv6 only, or an ExternalName that is no domain name.
    init?(_ json: JSON) {
        let spec = json["spec"]
        ports = spec["ports"].arrayValue.compactMap(ZonePort.init)
        publishesAll = spec["publishNotReadyAddresses"].boolValue ?? false
        if spec["type"].stringValue == "ExternalName" {
            guard let name = DomainName(spec["externalName"].stringValue ?? ""), !name.labels.isEmpty else {
                return nil
            }
            kind = .external(name)
        } else if spec["clusterIP"].stringValue == "None" {
            kind = .headless
        } else {
            var texts = spec["clusterIPs"].arrayValue.compactMap(\.stringValue)
            if texts.isEmpty, let text = spec["clusterIP"].stringValue { texts = [text] }
            let addresses = texts.compactMap { parseAddress($0) }
            guard !addresses.isEmpty else { return nil }
            kind = .cluster(addresses)
        }
    }
}

/// What the zone keeps of an EndpointSlice.
struct ZoneSlice: Hashable, Sendable {
    struct Endpoint: Hashable, Sendable {
        let address: UInt32
        /// The pod's hostname in lower case, or its address with dashes.
        let label: String
        let isReady: Bool
    }
    let service: String
    let endpoints: [Endpoint]
    let ports: [ZonePort]

    /// Nil when it belongs to no service, or is not IPv4.
    init?(_ json: JSON) {
        guard let service = json.labels["kubernetes.io/service-name"].stringValue,
            json["addressType"].stringValue ?? "IPv4" == "IPv4"
        else { return nil }
        self.service = service
        ports = json["ports"].arrayValue.compactMap(ZonePort.init)
        endpoints = json["endpoints"].arrayValue.flatMap { endpoint -> [Endpoint] in
            // Absent counts as ready, as the API page of EndpointSlice says.
            let isReady = endpoint["conditions"]["ready"].boolValue ?? true
            let hostname = endpoint["hostname"].stringValue?.lowercased() ?? ""
            return endpoint["addresses"].arrayValue.compactMap { text in
                guard let address = text.stringValue.flatMap({ parseAddress($0) }) else { return nil }
                let label = hostname.isEmpty ? formatAddress(address, separator: "-") : hostname
                return Endpoint(address: address, label: label, isReady: isReady)
            }
        }
    }
}
