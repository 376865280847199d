import Objects

/// The names of a cluster, as the Kubernetes DNS specification 1.1.0 sets them. A pure value: objects in, answers out.
///
/// Nothing is spelled out beforehand: a name is taken apart and its parts are looked up, so that memory grows with the
/// objects alone and a change costs what it changes.
public struct ClusterZone: Sendable {
    struct ObjectKey: Hashable, Sendable {
        let namespace: String
        let name: String
    }

    let domain: DomainName
    /// Seconds.
    let timeToLive: UInt32
    /// Blocks of addresses whose reverse names are answered here and nowhere else: (network, mask).
    let reverseRanges: [(network: UInt32, mask: UInt32)]
    private(set) var serial: UInt32 = 1

    private(set) var services: [ObjectKey: ZoneService] = [:]
    private(set) var slices: [ObjectKey: [String: ZoneSlice]] = [:]
    private(set) var pods: [ObjectKey: UInt32] = [:]
    private(set) var podsByAddress: [UInt32: ObjectKey] = [:]
    private(set) var servicesByAddress: [UInt32: ObjectKey] = [:]
    /// Number of services and of pods in a namespace.
    private(set) var serviceNamespaces: [String: Int] = [:]
    private(set) var podNamespaces: [String: Int] = [:]
    private var serviceOfSlice: [ObjectKey: String] = [:]

    /// - Parameter reverseRanges: blocks such as "10.96.0.0/16"; malformed ones are left out.
    public init(domain: DomainName, timeToLive: UInt32, reverseRanges: [String] = []) {
        self.domain = domain
        self.timeToLive = timeToLive
        self.reverseRanges = reverseRanges.compactMap { text in
            let parts = text.split(separator: "/")
            guard parts.count == 2, let address = parseAddress(parts[0]), let length = UInt32(parts[1]), length <= 32
            else { return nil }
            let mask = length == 0 ? 0 : ~UInt32(0) << (32 - length)
            return (address & mask, mask)
        }
    }

    /// Takes over a Service, new or changed.
    public mutating func setService(_ object: JSON) {
        removeService(namespace: object.namespace, name: object.name)
        guard let service = ZoneService(object) else { return }
        let key = ObjectKey(namespace: object.namespace, name: object.name)
        services[key] = service
        serviceNamespaces[key.namespace, default: 0] += 1
        if case .cluster(let addresses) = service.kind {
            for address in addresses { servicesByAddress[address] = key }
        }
    }

    public mutating func removeService(namespace: String, name: String) {
        serial &+= 1
        let key = ObjectKey(namespace: namespace, name: name)
        guard let old = services.removeValue(forKey: key) else { return }
        Self.decrement(&serviceNamespaces, namespace)
        if case .cluster(let addresses) = old.kind {
            for address in addresses where servicesByAddress[address] == key { servicesByAddress[address] = nil }
        }
    }

    /// Takes over an EndpointSlice, new or changed.
    public mutating func setSlice(_ object: JSON) {
        removeSlice(namespace: object.namespace, name: object.name)
        guard let slice = ZoneSlice(object) else { return }
        serviceOfSlice[ObjectKey(namespace: object.namespace, name: object.name)] = slice.service
        slices[ObjectKey(namespace: object.namespace, name: slice.service), default: [:]][object.name] = slice
    }

    public mutating func removeSlice(namespace: String, name: String) {
        serial &+= 1
        let key = ObjectKey(namespace: namespace, name: name)
        guard let service = serviceOfSlice.removeValue(forKey: key) else { return }
        let owner = ObjectKey(namespace: namespace, name: service)
        slices[owner]?[name] = nil
        if slices[owner]?.isEmpty == true { slices[owner] = nil }
    }

    /// Takes over a Pod, new or changed. Pods of the host's network and finished ones have no names.
    public mutating func setPod(_ object: JSON) {
        removePod(namespace: object.namespace, name: object.name)
        let status = object["status"]
        let phase = status["phase"].stringValue
        guard let address = status["podIP"].stringValue.flatMap({ parseAddress($0) }), phase != "Succeeded",
            phase != "Failed", object["spec"]["hostNetwork"].boolValue != true
        else { return }
        let key = ObjectKey(namespace: object.namespace, name: object.name)
        pods[key] = address
        podsByAddress[address] = key
        podNamespaces[key.namespace, default: 0] += 1
    }

    public mutating func removePod(namespace: String, name: String) {
        let key = ObjectKey(namespace: namespace, name: name)
        guard let address = pods.removeValue(forKey: key) else { return }
        serial &+= 1
        Self.decrement(&podNamespaces, namespace)
        if podsByAddress[address] == key { podsByAddress[address] = nil }
    }

    private static func decrement(_ counts: inout [String: Int], _ key: String) {
        counts[key] = (counts[key] ?? 1) - 1
        if counts[key] == 0 { counts[key] = nil }
    }

    /// The endpoints of a service that have names, each once.
    func endpoints(of key: ObjectKey, _ service: ZoneService) -> [ZoneSlice.Endpoint] {
        var seen: Set<ZoneSlice.Endpoint> = []
        return (slices[key] ?? [:]).sorted { $0.key < $1.key }.flatMap(\.value.endpoints)
            .filter { ($0.isReady || service.publishesAll) && seen.insert($0).inserted }
    }
}
