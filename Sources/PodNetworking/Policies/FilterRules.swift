/// The packet filter's rules for what one policy allows in one direction, with the sets that they look into. Pure.
struct FilterRules {
    /// A set of intervals, made with the rules and removed with them.
    struct Borders: Hashable {
        let name: String
        let layout: Layout
        let elements: [FilterElement]

        enum Layout: Hashable { case addresses, ports }
    }

    private(set) var rules: [FilterExpressions] = []
    private(set) var borders: [Borders] = []

    private let direction: PolicyDirection
    private let chain: String
    private let groups: (String) -> (set: String, kind: PolicyGroupKind)?

    private typealias Match = (FilterExpressions) -> FilterExpressions

    /// - Parameters:
    ///   - chain: where the rules go; the names of their sets begin with it.
    ///   - groups: the set of a group, and what it holds.
    init(
        _ rules: [PolicyRule], _ direction: PolicyDirection, chain: String,
        groups: @escaping (String) -> (set: String, kind: PolicyGroupKind)?
    ) {
        self.direction = direction
        self.chain = chain
        self.groups = groups
        for (index, rule) in rules.enumerated() {
            let ports = portMatches(rule, index)
            for peer in peerMatches(rule, index) {
                for port in ports { self.rules.append(port(peer(FilterExpressions())).verdict(NFT.NF_ACCEPT)) }
            }
        }
    }

    /// Ways to match the peer, one of which has to; each uses registers from 0 on.
    private mutating func peerMatches(_ rule: PolicyRule, _ index: Int) -> [Match] {
        guard let peers = rule.peers else { return [{ $0 }] }
        var matches: [Match] = []
        var blocks: [(block: IPv4Range, except: [IPv4Range])] = []
        for peer in peers {
            switch peer {
            case .group(let name):
                if let group = groups(name) { matches.append(match(group)) }
            case .block(let block, let except): blocks.append((block, except))
            }
        }
        let intervals = Intervals(blocks: blocks)
        if intervals == .everything { return [{ $0 }] }
        if let match = match(intervals, "\(chain)/\(index)-blocks", only: blocks.count == 1 ? blocks[0] : nil) {
            matches.append(match)
        }
        return matches
    }

    private var peerAddress: FilterExpressions.Field {
        switch direction {
        case .ingress: .sourceAddress
        case .egress: .destinationAddress
        }
    }

    private func match(_ group: (set: String, kind: PolicyGroupKind)) -> Match {
        let field = peerAddress
        return switch group.kind {
        case .addresses: { $0.load(field, to: 0).look(up: group.set, key: 0) }
        case .endpoints: Self.destination(in: group.set)
        }
    }

    /// Where the connection leads is one of a set's endpoints.
    private static func destination(in set: String) -> Match {
        {
            $0.load(.destinationAddress, to: 0).load(.transport, to: 1).load(.destinationPort, to: 2)
                .look(up: set, key: 0)
        }
    }

    /// A match for blocks; nil when there are none.
    private mutating func match(
        _ intervals: Intervals<UInt32>, _ name: String, only entry: (block: IPv4Range, except: [IPv4Range])?
    ) -> Match? {
        if intervals.ranges.isEmpty { return nil }
        let field = peerAddress
        if let entry, entry.except.isEmpty {
            return { $0.load(field, to: 0).compare(0, inside: true, entry.block) }
        }
        borders.append(Borders(name: name, layout: .addresses, elements: intervals.elements))
        return { $0.load(field, to: 0).look(up: name, key: 0) }
    }

    /// Ways to match the port, one of which has to.
    private mutating func portMatches(_ rule: PolicyRule, _ index: Int) -> [Match] {
        guard let ports = rule.ports else { return [{ $0 }] }
        var matches: [Match] = []
        var ranges: [Transport: [ClosedRange<UInt16>]] = [:]
        for port in ports {
            switch port {
            case .group(let name):
                if let group = groups(name) { matches.append(Self.destination(in: group.set)) }
            case .range(let transport, let range): ranges[transport, default: []].append(range)
            }
        }
        for (transport, ranges) in ranges.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            matches.append(match(transport, Intervals(ranges), "\(chain)/\(index)-\(transport.name.lowercased())"))
        }
        return matches
    }

    private mutating func match(_ transport: Transport, _ intervals: Intervals<UInt16>, _ name: String) -> Match {
        let ofTransport: Match = { $0.load(.transport, to: 0).compare(0, equals: true, [transport.rawValue]) }
        if intervals == .everything { return ofTransport }
        if intervals.ranges.count == 1 {
            return { ofTransport($0).load(.destinationPort, to: 0).compare(0, within: intervals.ranges[0]) }
        }
        borders.append(Borders(name: name, layout: .ports, elements: intervals.elements))
        return { ofTransport($0).load(.destinationPort, to: 0).look(up: name, key: 0) }
    }
}
