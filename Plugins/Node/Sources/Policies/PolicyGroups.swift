import Objects

/// What rules look peers and ports up in, and how it differs from what the network has.
struct PolicyGroup: Sendable {
    enum Key: Hashable, Sendable {
        /// Addresses of pods.
        case peers(PeerSelector)
        /// Where pods have a port of this name.
        case port(PortName)
        /// Where the cluster's DNS answers.
        case dns

        var name: String {
            switch self {
            case .peers(let selector): "pods \(selector)"
            case .port(let port): "port \(port.transport)/\(port.name)"
            case .dns: "dns"
            }
        }

        var type: String { if case .peers = self { "addresses" } else { "endpoints" } }
    }

    enum Member: Hashable, Sendable {
        case address(String)
        case endpoint(address: String, transport: String, port: Int64)

        var json: JSON {
            switch self {
            case .address(let address): .string(address)
            case .endpoint(let address, let transport, let port):
                ["address": .string(address), "protocol": .string(transport), "port": .integer(port)]
            }
        }
    }

    let key: Key
    private(set) var members: Set<Member> = []
    /// How many rules name it.
    var uses = 0
    /// Nil: the network has nothing of it yet.
    private var difference: (added: Set<Member>, removed: Set<Member>)?

    init(_ key: Key) { self.key = key }

    /// Whether the network has to be told.
    var isDirty: Bool { difference.map { !$0.added.isEmpty || !$0.removed.isEmpty } ?? true }

    /// False when it was there already.
    @discardableResult
    mutating func insert(_ member: Member) -> Bool {
        guard members.insert(member).inserted else { return false }
        if difference?.removed.remove(member) == nil { difference?.added.insert(member) }
        return true
    }

    @discardableResult
    mutating func remove(_ member: Member) -> Bool {
        guard members.remove(member) != nil else { return false }
        if difference?.added.remove(member) == nil { difference?.removed.insert(member) }
        return true
    }

    /// The network's group as of now; from here on it is taken to have it.
    mutating func take() -> JSON {
        func list(_ members: Set<Member>) -> JSON { .array(members.map(\.json)) }
        var json: JSONObject = ["name": .string(key.name), "type": .string(key.type)]
        if let difference {
            json["added"] = list(difference.added)
            json["removed"] = list(difference.removed)
        } else {
            json["full"] = true
            json["added"] = list(members)
        }
        difference = ([], [])
        return .object(json)
    }

    /// The network has forgotten it.
    mutating func forget() { difference = nil }
}
