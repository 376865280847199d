import Objects

/// How endpoints are shared out to zones, by the processors that the zones' nodes have, where a Service says
/// `service.kubernetes.io/topology-mode: Auto`. Pure.
/// See https://kubernetes.io/docs/concepts/services-networking/topology-aware-routing/.
struct TopologyHints {
    /// What came of it for the endpoints of one address family.
    enum Outcome: Equatable {
        /// The zone whose clients get an endpoint, by the endpoint's identity.
        case zones([String: String])
        /// Why there are no hints.
        case none(String)
    }

    /// An endpoint that is ready.
    struct Candidate {
        let identity: String
        /// Where it is; nil when that is not known.
        let zone: String?
        /// The zone that its slice names for it now.
        let former: String?
    }

    /// By how much more than its share an endpoint may get.
    private static let overload = 0.2
    private static let annotations = [
        "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode",
    ]
    private static let zoneLabel = "topology.kubernetes.io/zone"
    private static let controlPlaneLabels = [
        "node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master",
    ]

    /// The share of each zone in all processors; nil where too little is known of the nodes, or they are all in one zone.
    private let shares: [(zone: String, share: Double)]?

    /// Whether a Service wants such hints. The older annotation goes first.
    static func areWanted(by service: JSON) -> Bool {
        let value = annotations.lazy.compactMap { service.annotations[$0].stringValue }.first
        return value == "Auto" || value == "auto"
    }

    /// What of a node matters here.
    static func facts(of node: JSON) -> JSON {
        [
            node.labels[zoneLabel], .bool(controlPlaneLabels.contains { node.labels[$0].exists }),
            node["status"]["allocatable"]["cpu"], node["status"]["conditions"].condition("Ready")["status"],
        ]
    }

    init(nodes: [JSON]) {
        var processors: [String: Int64] = [:]
        for node in nodes {
            if Self.controlPlaneLabels.contains(where: { node.labels[$0].exists }) { continue }
            guard node["status"]["conditions"].condition("Ready")["status"].stringValue == "True" else { continue }
            // Without an amount that can be read there are no hints, as where it is none.
            let amount = (try? Quantity(node["status"]["allocatable"]["cpu"]))?.milliValue ?? 0
            guard let zone = node.labels[Self.zoneLabel].stringValue, !zone.isEmpty, amount > 0 else {
                shares = nil
                return
            }
            processors[zone, default: 0] += amount
        }
        let all = processors.values.reduce(0, +)
        guard processors.count > 1 else {
            shares = nil
            return
        }
        shares = processors.sorted { $0.key < $1.key }.map { ($0.key, Double($0.value) / Double(all)) }
    }

    private struct Allocation {
        let minimum: Int
        let desired: Double
        var maximum = 0
    }

    /// Shares endpoints out. As long as what they have is fair, they keep it.
    func outcome(for candidates: [Candidate]) -> Outcome {
        guard let shares else {
            return .none(
                "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes")
        }
        let counts = "(\(candidates.count) endpoints, \(shares.count) zones)"
        if shares.count > candidates.count { return .none("Insufficient number of endpoints \(counts)") }
        guard let allocations = allocations(candidates.count, shares) else {
            return .none(
                "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold \(counts)"
            )
        }
        if candidates.contains(where: { $0.zone == nil }) {
            return .none("One or more endpoints do not have a zone specified")
        }
        return .zones(kept(candidates, allocations) ?? shared(candidates, allocations))
    }

    private func allocations(_ count: Int, _ shares: [(zone: String, share: Double)]) -> [String: Allocation]? {
        var allocations: [String: Allocation] = [:]
        var left = count
        for (zone, share) in shares {
            let desired = share * Double(count)
            let minimum = Int((desired / (1 + Self.overload)).rounded(.up))
            allocations[zone] = Allocation(minimum: minimum, desired: max(desired, Double(minimum)))
            left -= minimum
        }
        if left < 0 { return nil }
        return allocations.mapValues {
            Allocation(minimum: $0.minimum, desired: $0.desired, maximum: $0.minimum + left)
        }
    }

    /// What the endpoints have, where each has something and no zone too little or too much.
    private func kept(_ candidates: [Candidate], _ allocations: [String: Allocation]) -> [String: String]? {
        var counts: [String: Int] = [:]
        var zones: [String: String] = [:]
        for candidate in candidates {
            guard let zone = candidate.former, allocations[zone] != nil else { return nil }
            counts[zone, default: 0] += 1
            zones[candidate.identity] = zone
        }
        let isFair = allocations.allSatisfy { zone, allocation in
            (allocation.minimum...allocation.maximum).contains(counts[zone] ?? 0)
        }
        return isFair ? zones : nil
    }

    /// Each to its own zone, and then some from zones that have more than they should to those that have less.
    private func shared(_ candidates: [Candidate], _ allocations: [String: Allocation]) -> [String: String] {
        var counts: [String: Int] = [:]
        var zones: [String: String] = [:]
        for candidate in candidates {
            let zone = candidate.zone ?? ""
            zones[candidate.identity] = zone
            counts[zone, default: 0] += 1
        }
        var (giving, receiving) = moves(counts, allocations)
        for candidate in candidates {
            guard let zone = candidate.zone, let left = giving[zone], left > 0,
                let target = receiving.filter({ $0.value > 0 }).keys.min()
            else { continue }
            zones[candidate.identity] = target
            giving[zone] = left - 1
            receiving[target, default: 0] -= 1
        }
        return zones
    }

    /// How many endpoints each zone gives to others, and how many it gets.
    private func moves(
        _ counts: [String: Int], _ allocations: [String: Allocation]
    ) -> (giving: [String: Int], receiving: [String: Int]) {
        var more: [String: Double] = [:]
        var less: [String: Double] = [:]
        for (zone, allocation) in allocations {
            let difference = Double(counts[zone] ?? 0) - allocation.desired
            if difference > 0 { more[zone] = difference }
            if difference < 0 { less[zone] = -difference }
        }
        var giving: [String: Int] = [:]
        var receiving: [String: Int] = [:]
        while let most = Self.most(more), let least = Self.most(less),
            most.amount >= 1 || least.amount >= 1, most.amount >= 0.5, least.amount >= 0.5
        {
            giving[most.zone, default: 0] += 1
            receiving[least.zone, default: 0] += 1
            more[most.zone] = most.amount - 1
            less[least.zone] = least.amount - 1
        }
        return (giving, receiving)
    }

    /// The zone with the greatest amount above 0; of equal ones the first by name.
    private static func most(_ amounts: [String: Double]) -> (zone: String, amount: Double)? {
        amounts.filter { $0.value > 0 }.max { ($0.value, $1.key) < ($1.value, $0.key) }.map { ($0.key, $0.value) }
    }
}

extension EndpointPlan {
    /// Puts the hints into the endpoints that the topology mode `Auto` asks for, in place of those by traffic distribution.
    /// - Parameter existing: the slices that there are.
    /// - Returns: what came of it, by address family.
    mutating func share(by hints: TopologyHints, existing: [JSON]) -> [String: TopologyHints.Outcome] {
        var former: [String: String] = [:]
        for endpoint in existing.flatMap({ $0["endpoints"].arrayValue }) {
            former[Self.identity(endpoint)] = endpoint["hints"]["forZones"][0]["name"].stringValue
        }
        var outcomes: [String: TopologyHints.Outcome] = [:]
        for family in Set(groups.keys.map(\.addressType)) {
            let ready = groups.filter { $0.key.addressType == family }.values.joined()
                .filter { $0["conditions"]["ready"] == true }
            let candidates = ready.map { endpoint in
                let identity = Self.identity(endpoint)
                return TopologyHints.Candidate(
                    identity: identity, zone: endpoint["zone"].stringValue, former: former[identity])
            }
            outcomes[family] = hints.outcome(for: candidates.sorted { $0.identity < $1.identity })
        }
        for (group, endpoints) in groups {
            groups[group] = endpoints.map { endpoint in
                var endpoint = endpoint
                endpoint.removeValue(forKey: "hints")
                if endpoint["conditions"]["ready"] == true, case .zones(let zones) = outcomes[group.addressType],
                    let zone = zones[Self.identity(endpoint)]
                {
                    endpoint["hints"] = ["forZones": [["name": .string(zone)]]]
                }
                return endpoint
            }
        }
        return outcomes
    }
}
