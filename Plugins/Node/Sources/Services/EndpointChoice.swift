import Objects

/// The endpoints of one port of a service that clients on one node get. Pure.
///
/// Hints in EndpointSlices keep clients near, where all ready endpoints carry them and one is meant for this node, or for its
/// zone: see https://kubernetes.io/docs/concepts/services-networking/service/#traffic-distribution.
struct EndpointChoice {
    private struct Candidate {
        let entry: JSON
        let nodes: [String]
        let zones: [String]
    }

    let nodeName: String
    /// "" for a node without a zone.
    let zone: String
    private var ready: [Candidate] = []
    private var draining: [JSON] = []
    private var seen: Set<String> = []

    init(nodeName: String, zone: String) {
        self.nodeName = nodeName
        self.zone = zone
    }

    mutating func add(_ endpoint: JSON, port: Int64) {
        let conditions = endpoint["conditions"]
        let isReady = conditions["ready"].boolValue ?? true
        let isDraining = (conditions["serving"].boolValue ?? isReady) && conditions["terminating"].boolValue == true
        guard isReady || isDraining else { return }
        let node = endpoint["nodeName"].stringValue
        func names(_ member: String) -> [String] {
            endpoint["hints"][member].arrayValue.compactMap { $0["name"].stringValue }
        }
        for address in endpoint["addresses"].arrayValue.compactMap(\.stringValue) {
            guard seen.insert("\(address) \(port)").inserted else { continue }
            var entry: JSONObject = ["address": .string(address), "port": .integer(port)]
            if let node { entry["node"] = .string(node) }
            entry["local"] = .bool(node == nodeName)
            if isReady {
                ready.append(
                    Candidate(entry: .object(entry), nodes: names("forNodes"), zones: names("forZones")))
            } else {
                draining.append(.object(entry))
            }
        }
    }

    /// Those that are ready, near ones alone where hints say so. Pods that end but still serve take over when none is left.
    var endpoints: [JSON] { ready.isEmpty ? draining : near.map(\.entry) }

    private var near: [Candidate] {
        if ready.allSatisfy({ !$0.nodes.isEmpty }) {
            let own = ready.filter { $0.nodes.contains(nodeName) }
            if !own.isEmpty { return own }
        }
        if !zone.isEmpty, ready.allSatisfy({ !$0.zones.isEmpty }) {
            let own = ready.filter { $0.zones.contains(zone) }
            if !own.isEmpty { return own }
        }
        return ready
    }

    /// Those of this node that end but still serve, where others are ready but none of this node: they take over for
    /// clients that get endpoints of this node alone.
    var drainingHere: [JSON] {
        if ready.isEmpty || ready.contains(where: { $0.entry["local"] == true }) { return [] }
        return draining.filter { $0["local"] == true }
    }
}
