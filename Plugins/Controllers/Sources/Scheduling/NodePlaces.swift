import Objects

/// By what nodes can be told apart: how many there are, and whether all of them have a zone.
struct NodePlaces {
    /// Whether they have one, by name.
    private var zones: [String: Bool] = [:]
    private var zoned = 0

    mutating func insert(_ node: JSON) {
        remove(node.name)
        let hasZone = node.labels[DefaultSpread.zoneLabel].exists
        zones[node.name] = hasZone
        if hasZone { zoned += 1 }
    }

    mutating func remove(_ name: String) { if zones.removeValue(forKey: name) == true { zoned -= 1 } }

    /// The labels to spread pods by; a single node is no place to spread over.
    var keys: [String] {
        if zones.count < 2 { return [] }
        return zoned == zones.count ? [DefaultSpread.hostLabel, DefaultSpread.zoneLabel] : [DefaultSpread.hostLabel]
    }
}
