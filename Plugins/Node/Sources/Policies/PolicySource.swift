import Objects

/// A NetworkPolicy as the tables read it.
/// See https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/.
struct PolicySource: Hashable, Sendable {
    enum Peer: Hashable, Sendable {
        case pods(PeerSelector)
        case block(cidr: String, except: [String])
    }

    enum Port: Hashable, Sendable {
        /// Nil: all ports of the protocol.
        case number(transport: String, port: Int64?, endPort: Int64?)
        case named(PortName)
    }

    /// Nil peers: everybody; nil ports: all of all protocols.
    struct Rule: Hashable, Sendable {
        let peers: [Peer]?
        let ports: [Port]?
    }

    /// "namespace/name".
    let key: String
    let namespace: String
    let subjects: LabelSelector
    /// Nil: pods are not isolated in this direction.
    let ingress: [Rule]?
    let egress: [Rule]?

    init(_ policy: JSON) throws(LabelSelector.ParseError) {
        key = "\(policy.namespace)/\(policy.name)"
        namespace = policy.namespace
        let specification = policy["spec"]
        // A selector that is missing selects, here as in the API, everything.
        let selector = specification["podSelector"]
        subjects = try LabelSelector(object: selector.isNull ? [:] : selector)
        var types = specification["policyTypes"].arrayValue.compactMap(\.stringValue)
        if types.isEmpty { types = specification["egress"].isEmpty ? ["Ingress"] : ["Ingress", "Egress"] }
        ingress = types.contains("Ingress") ? try Self.rules(specification["ingress"], "from", namespace) : nil
        egress = types.contains("Egress") ? try Self.rules(specification["egress"], "to", namespace) : nil
    }

    var rules: [Rule] { (ingress ?? []) + (egress ?? []) }

    private static func rules(
        _ json: JSON, _ peers: String, _ namespace: String
    ) throws(LabelSelector.ParseError) -> [Rule] {
        var rules: [Rule] = []
        for entry in json.arrayValue {
            var found: [Peer] = []
            for peer in entry[peers].arrayValue { found.append(try Self.peer(peer, namespace)) }
            let ports = entry["ports"].arrayValue.map(port)
            // An empty list is, unlike an empty set of addresses, no restriction.
            rules.append(Rule(peers: found.isEmpty ? nil : found, ports: ports.isEmpty ? nil : ports))
        }
        return rules
    }

    private static func peer(_ json: JSON, _ namespace: String) throws(LabelSelector.ParseError) -> Peer {
        if let cidr = json["ipBlock"]["cidr"].stringValue {
            return .block(cidr: cidr, except: json["ipBlock"]["except"].arrayValue.compactMap(\.stringValue))
        }
        let namespaces = json["namespaceSelector"]
        let pods = json["podSelector"]
        return .pods(
            PeerSelector(
                namespaces: namespaces.isNull ? .named(namespace) : .matching(try LabelSelector(object: namespaces)),
                pods: try LabelSelector(object: pods.isNull ? [:] : pods)))
    }

    private static func port(_ json: JSON) -> Port {
        let transport = json["protocol"].stringValue ?? "TCP"
        if let name = json["port"].stringValue { return .named(PortName(transport: transport, name: name)) }
        return .number(
            transport: transport, port: json["port"].integerValue, endPort: json["endPort"].integerValue)
    }
}

/// Pods that a rule names as peers.
struct PeerSelector: Hashable, Sendable, CustomStringConvertible {
    enum Namespaces: Hashable, Sendable {
        case named(String)
        case matching(LabelSelector)
    }

    let namespaces: Namespaces
    let pods: LabelSelector

    /// - Parameter labels: of the namespace.
    func matchesNamespace(_ name: String, labels: JSON) -> Bool {
        switch namespaces {
        case .named(let own): own == name
        case .matching(let selector): selector.matches(labels: labels)
        }
    }

    /// Equal for equal selectors, and for no others: the names of namespaces have no brackets.
    var description: String {
        switch namespaces {
        case .named(let name): "\(name)/\(pods)"
        case .matching(let selector): "[\(selector)]/\(pods)"
        }
    }
}

/// A port that pods give a name, each to a number of its own.
struct PortName: Hashable, Sendable {
    let transport: String
    let name: String
}
