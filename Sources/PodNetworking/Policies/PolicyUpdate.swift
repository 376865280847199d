import Objects

/// The message policy_rules_set of hostd/roles/network.h, checked.
package struct PolicyUpdate: Sendable, Equatable {
    /// A group's change: all its members, or which came and went.
    package struct Group: Sendable, Equatable {
        package let name: String
        package let kind: PolicyGroupKind
        /// Whether `added` is all there is.
        package let isFull: Bool
        package let added: [PolicyMember]
        package let removed: [PolicyMember]

        package init(
            name: String, kind: PolicyGroupKind, isFull: Bool = false, added: [PolicyMember] = [],
            removed: [PolicyMember] = []
        ) {
            self.name = name
            self.kind = kind
            self.isFull = isFull
            self.added = added
            self.removed = removed
        }
    }

    /// Whether all that is not given goes.
    package var isFull = false
    package var groups: [Group] = []
    package var policies: [PolicyRules] = []
    package var subjects: [PolicySubject] = []
    package var removedGroups: [String] = []
    package var removedPolicies: [String] = []
    package var removedSubjects: [IPv4Address] = []

    package init() {}

    package init(_ json: JSON) throws(NetworkError) {
        isFull = json["full"].boolValue ?? false
        for entry in json["groups"].arrayValue { groups.append(try Group(entry)) }
        for entry in json["policies"].arrayValue { policies.append(try PolicyRules(entry)) }
        for entry in json["subjects"].arrayValue { subjects.append(try PolicySubject(entry)) }
        let removed = json["removed"]
        removedGroups = removed["groups"].arrayValue.compactMap(\.stringValue)
        removedPolicies = removed["policies"].arrayValue.compactMap(\.stringValue)
        for entry in removed["subjects"].arrayValue {
            removedSubjects.append(try Self.address(entry, "removed.subjects"))
        }
    }

    fileprivate static func address(_ json: JSON, _ place: String) throws(NetworkError) -> IPv4Address {
        guard let address = json.stringValue.flatMap({ IPv4Address(parsing: $0) }) else {
            throw .invalid("\(place): \(json.serializedString()) is no IPv4 address")
        }
        return address
    }

    fileprivate static func name(_ json: JSON, _ place: String) throws(NetworkError) -> String {
        guard let name = json["name"].stringValue, !name.isEmpty else { throw .invalid("\(place) needs a name") }
        return name
    }

    fileprivate static func port(_ json: JSON, _ place: String) throws(NetworkError) -> UInt16 {
        guard let port = json.integerValue.flatMap(UInt16.init(exactly:)), port > 0 else {
            throw .invalid("\(place): a port must be from 1 to 65535")
        }
        return port
    }

    fileprivate static func transport(_ json: JSON, _ place: String) throws(NetworkError) -> Transport {
        let name = json["protocol"].stringValue ?? "TCP"
        guard let transport = Transport(name: name) else {
            throw .invalid("\(place): protocol \"\(name)\" is not TCP, UDP or SCTP")
        }
        return transport
    }
}

extension PolicyUpdate.Group {
    fileprivate init(_ json: JSON) throws(NetworkError) {
        let name = try PolicyUpdate.name(json, "a group")
        let place = "group \(name)"
        let kindName = json["type"].stringValue ?? "addresses"
        guard let kind = PolicyGroupKind(rawValue: kindName) else {
            throw .invalid("\(place): type \"\(kindName)\" is not addresses or endpoints")
        }
        self.init(
            name: name, kind: kind, isFull: json["full"].boolValue ?? false,
            added: try Self.members(json["added"], kind, place),
            removed: try Self.members(json["removed"], kind, place))
    }

    private static func members(
        _ json: JSON, _ kind: PolicyGroupKind, _ place: String
    ) throws(NetworkError) -> [PolicyMember] {
        var members: [PolicyMember] = []
        for entry in json.arrayValue {
            switch kind {
            case .addresses: members.append(.address(try PolicyUpdate.address(entry, place)))
            case .endpoints:
                members.append(
                    .endpoint(
                        try PolicyUpdate.address(entry["address"], place), try PolicyUpdate.transport(entry, place),
                        try PolicyUpdate.port(entry["port"], place)))
            }
        }
        return members
    }
}

extension PolicyRules {
    fileprivate init(_ json: JSON) throws(NetworkError) {
        let name = try PolicyUpdate.name(json, "a policy")
        self.init(
            name: name, ingress: try Self.rules(json["ingress"], "policy \(name)"),
            egress: try Self.rules(json["egress"], "policy \(name)"))
    }

    private static func rules(_ json: JSON, _ place: String) throws(NetworkError) -> [PolicyRule]? {
        guard json.exists else { return nil }
        var rules: [PolicyRule] = []
        for entry in json.arrayValue { rules.append(try PolicyRule(entry, place)) }
        return rules
    }
}

extension PolicyRule {
    fileprivate init(_ json: JSON, _ place: String) throws(NetworkError) {
        var peers: [Peer] = []
        for entry in json["peers"].arrayValue {
            if let group = entry["group"].stringValue {
                peers.append(.group(group))
            } else if let peer = try Self.block(entry, place) {
                peers.append(peer)
            }
        }
        var ports: [Port] = []
        for entry in json["ports"].arrayValue {
            if let group = entry["group"].stringValue {
                ports.append(.group(group))
            } else {
                ports.append(try Self.range(entry, place))
            }
        }
        self.init(peers: json["peers"].exists ? peers : nil, ports: json["ports"].exists ? ports : nil)
    }

    /// Nil for a block of IPv6 addresses: nothing of those comes here.
    private static func block(_ json: JSON, _ place: String) throws(NetworkError) -> Peer? {
        let text = json["cidr"].stringValue ?? ""
        if text.contains(":") { return nil }
        return .block(
            try range(text, place),
            except: try json["except"].arrayValue.compactMap(\.stringValue).map { (text) throws(NetworkError) in
                try range(text, place)
            })
    }

    /// A block; bits behind its prefix mean nothing.
    private static func range(_ text: String, _ place: String) throws(NetworkError) -> IPv4Range {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPv4Address(parsing: parts[0]), let length = Int(parts[1]),
            (0...32).contains(length)
        else { throw .invalid("\(place): a peer needs a group, or a cidr such as 10.0.0.0/8, not \"\(text)\"") }
        return IPv4Range(around: address, prefixLength: length)
    }

    private static func range(_ json: JSON, _ place: String) throws(NetworkError) -> Port {
        let transport = try PolicyUpdate.transport(json, place)
        guard json["port"].exists else { return .range(transport, 0...UInt16.max) }
        let first = try PolicyUpdate.port(json["port"], place)
        let last = json["endPort"].exists ? try PolicyUpdate.port(json["endPort"], place) : first
        guard first <= last else { throw .invalid("\(place): endPort \(last) is less than port \(first)") }
        return .range(transport, first...last)
    }
}

extension PolicySubject {
    fileprivate init(_ json: JSON) throws(NetworkError) {
        func names(_ json: JSON) -> [String]? { json.exists ? json.arrayValue.compactMap(\.stringValue) : nil }
        self.init(
            address: try PolicyUpdate.address(json["address"], "a subject"), ingress: names(json["ingress"]),
            egress: names(json["egress"]))
    }
}
