import Objects

/// A network that enforces policy_rules_set in memory: takes messages as hostd/roles/network.h describes them and says
/// which connections pass.
struct PolicyModel: Equatable {
    private(set) var groups: [String: Set<String>] = [:]
    private(set) var policies: [String: JSON] = [:]
    private(set) var subjects: [String: JSON] = [:]

    mutating func apply(_ message: JSON) {
        if message["full"].boolValue == true { self = PolicyModel() }
        for group in message["groups"].arrayValue {
            let name = group["name"].stringValue ?? ""
            func members(_ list: JSON) -> Set<String> {
                Set(list.arrayValue.map { $0.stringValue ?? Self.endpoint($0["address"], $0["protocol"], $0["port"]) })
            }
            if group["full"].boolValue == true { groups[name] = [] }
            groups[name, default: []].formUnion(members(group["added"]))
            groups[name]?.subtract(members(group["removed"]))
        }
        for policy in message["policies"].arrayValue { policies[policy["name"].stringValue ?? ""] = policy }
        for subject in message["subjects"].arrayValue { subjects[subject["address"].stringValue ?? ""] = subject }
        for name in message["removed"]["policies"].arrayValue { policies[name.stringValue ?? ""] = nil }
        for address in message["removed"]["subjects"].arrayValue { subjects[address.stringValue ?? ""] = nil }
        for name in message["removed"]["groups"].arrayValue { groups[name.stringValue ?? ""] = nil }
    }

    private static func endpoint(_ address: JSON, _ transport: JSON, _ port: JSON) -> String {
        "\(address.stringValue ?? "") \(transport.stringValue ?? "") \(port.integerValue ?? 0)"
    }

    /// Names that something refers to and that nothing has.
    var dangling: [String] {
        var found: [String] = []
        for policy in policies.values {
            for rule in policy["ingress"].arrayValue + policy["egress"].arrayValue {
                for entry in rule["peers"].arrayValue + rule["ports"].arrayValue {
                    if let name = entry["group"].stringValue, groups[name] == nil { found.append(name) }
                }
            }
        }
        for subject in subjects.values {
            for name in (subject["ingress"].arrayValue + subject["egress"].arrayValue).compactMap(\.stringValue)
            where policies[name] == nil { found.append(name) }
        }
        return found
    }

    func allows(_ from: String, _ to: String, _ transport: String = "TCP", _ port: Int64 = 80) -> Bool {
        [("egress", from, to), ("ingress", to, from)].allSatisfy { direction, subject, peer in
            let names = subjects[subject]?[direction] ?? .null
            if !names.exists { return true }
            return names.arrayValue.compactMap(\.stringValue).contains { name in
                policies[name]?[direction].arrayValue.contains { rule in
                    matches(rule["peers"]) { matchesPeer($0, peer, to, transport, port) }
                        && matches(rule["ports"]) { matchesPort($0, to, transport, port) }
                } ?? false
            }
        }
    }

    private func matches(_ list: JSON, _ body: (JSON) -> Bool) -> Bool {
        !list.exists || list.arrayValue.contains(where: body)
    }

    private func matchesPeer(_ peer: JSON, _ address: String, _ to: String, _ transport: String, _ port: Int64) -> Bool
    {
        if let name = peer["group"].stringValue {
            let group = groups[name] ?? []
            return group.contains(address) || group.contains("\(to) \(transport) \(port)")
        }
        func isInside(_ block: JSON) -> Bool {
            let parts = (block.stringValue ?? "").split(separator: "/")
            func number(_ text: some StringProtocol) -> UInt32 {
                text.split(separator: ".").reduce(0) { $0 << 8 | (UInt32($1) ?? 0) }
            }
            let shift = 32 - (UInt32(parts[1]) ?? 0)
            return shift == 32 || number(parts[0]) >> shift == number(address) >> shift
        }
        return isInside(peer["cidr"]) && !peer["except"].arrayValue.contains(where: isInside)
    }

    private func matchesPort(_ entry: JSON, _ to: String, _ transport: String, _ port: Int64) -> Bool {
        if let name = entry["group"].stringValue {
            return groups[name]?.contains("\(to) \(transport) \(port)") ?? false
        }
        guard entry["protocol"].stringValue == transport else { return false }
        guard let first = entry["port"].integerValue else { return true }
        return (first...(entry["endPort"].integerValue ?? first)).contains(port)
    }
}
