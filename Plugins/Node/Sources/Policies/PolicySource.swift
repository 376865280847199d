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
            for peer in entry[peers].arrayValue {
                if let peer = try Self.peer(peer, namespace) { found.append(peer) }
            }
            // An empty list is no restriction; one whose entries can match nothing is.
            let ports = entry["ports"].arrayValue
            rules.append(
                Rule(
                    peers: entry[peers].isEmpty ? nil : found, ports: ports.isEmpty ? nil : ports.compactMap(port)))
        }
        return rules
    }

    /// Nil for one that no network could read; the API takes none such.
    private static func peer(_ json: JSON, _ namespace: String) throws(LabelSelector.ParseError) -> Peer? {
        if json["ipBlock"].exists {
            let cidr = json["ipBlock"]["cidr"].stringValue ?? ""
            let except = json["ipBlock"]["except"].arrayValue.compactMap(\.stringValue)
            return ([cidr] + except).allSatisfy(isRange) ? .block(cidr: cidr, except: except) : nil
        }
        let namespaces = json["namespaceSelector"]
        let pods = json["podSelector"]
        return .pods(
            PeerSelector(
                namespaces: namespaces.isNull ? .named(namespace) : .matching(try LabelSelector(object: namespaces)),
                pods: try LabelSelector(object: pods.isNull ? [:] : pods)))
    }

    private static func isRange(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let bits = Int(parts[1]) else { return false }
        if parts[0].contains(":") { return (0...128).contains(bits) }
        let numbers = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        return (0...32).contains(bits) && numbers.count == 4
            && numbers.allSatisfy { UInt8($0).map(String.init) == String($0) }
    }

    /// Nil for one that no network could read.
    private static func port(_ json: JSON) -> Port? {
        let transport = json["protocol"].stringValue ?? "TCP"
        guard ["TCP", "UDP", "SCTP"].contains(transport) else { return nil }
        if let name = json["port"].stringValue { return .named(PortName(transport: transport, name: name)) }
        guard let port = json["port"].integerValue else {
            return .number(transport: transport, port: nil, endPort: nil)
        }
        let last = json["endPort"].integerValue
        guard (1...65535).contains(port), (port...max(port, 65535)).contains(last ?? port) else { return nil }
        return .number(transport: transport, port: port, endPort: last)
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
