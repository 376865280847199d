/// What a table holds of policies: a pure value that writes what changes into a transaction.
///
///     forward (to others, to pods) and input (to this machine):
///       established → accept
///       egress  {10.244.0.5 : goto egress-pods-1}    egress-pods-1: jump egress/default/web; …; drop
///       ingress {10.244.0.6 : goto ingress-pods-2}   egress/default/web: daddr in group-3, tcp, 80 → accept
///
/// A connection's first packet takes one lookup to find the chain of its pod, however many pods and policies there are,
/// and one or two for each rule of those policies that isolate this pod; no other packet takes any. Pods that the same
/// policies isolate share a chain. Who the peers of a rule are is in a set that all rules with the same peers look into: a
/// pod that comes or goes is one element more or less.
///
/// It is right as long as every transaction succeeds; after one that fails, begin anew with an empty value and table.
struct FilterPolicies {
    /// Sets of groups, by the groups' names.
    private var groups: [String: (set: String, kind: PolicyGroupKind)] = [:]
    /// Sets of intervals that belong to a policy's chain.
    private var borders: [String: [String]] = [:]
    private var pods: [PodChain: (name: String, uses: Int)] = [:]
    private var nextGroup = 0
    private var nextPods = 0

    /// Pods that the same policies isolate, in one direction.
    private struct PodChain: Hashable {
        let direction: PolicyDirection
        let policies: [String]
    }

    /// Connections of pods with themselves, which no policy forbids.
    private static let own = "own"

    /// The table without policies: maps, and where packets come in. Each direction has base chains of its own, so that what
    /// one allows is still asked of the other.
    static func addSkeleton(to batch: inout FilterBatch) {
        batch.addTable()
        batch.addSet(own, FilterTable.layout([NFT.TYPE_IPADDR, NFT.TYPE_IPADDR]))
        for direction in PolicyDirection.allCases {
            batch.addSet(direction.rawValue, FilterTable.layout([NFT.TYPE_IPADDR], FilterTable.verdicts))
        }
        let first = NFT.NF_IP_PRI_FILTER
        addBase("forward-egress", NFT.NF_INET_FORWARD, first, .egress, to: &batch)
        addBase("forward-ingress", NFT.NF_INET_FORWARD, first + 1, .ingress, to: &batch)
        addBase("input-egress", NFT.NF_INET_LOCAL_IN, first, .egress, to: &batch)
    }

    private static func addBase(
        _ name: String, _ hook: UInt32, _ priority: Int32, _ direction: PolicyDirection, to batch: inout FilterBatch
    ) {
        batch.addChain(name, hook: ("filter", hook, priority))
        batch.addRule(name, FilterExpressions().isEstablished(using: 0).verdict(NFT.NF_ACCEPT))
        batch.addRule(
            name,
            FilterExpressions().load(.sourceAddress, to: 0).load(.destinationAddress, to: 1).look(up: own, key: 0)
                .verdict(NFT.NF_ACCEPT))
        let subject: FilterExpressions.Field = direction == .egress ? .sourceAddress : .destinationAddress
        batch.addRule(name, FilterExpressions().load(subject, to: 0).dispatch(by: direction.rawValue, key: 0))
    }

    /// Writes changes of a table. Complexity: what they name. The kernel itself looks at all isolated pods once when a
    /// chain comes or a pod gets another one, because it then checks where its maps lead.
    mutating func apply(_ changes: PolicyChanges, to batch: inout FilterBatch) {
        // What is led to is made before what leads there, and removed after it.
        for (name, group) in changes.groups.sorted(by: { $0.key < $1.key }) { set(name, group, in: &batch) }
        for change in changes.policies {
            for direction in PolicyDirection.allCases { set(change, direction, in: &batch) }
        }
        var left: [PodChain] = []
        for change in changes.subjects { set(change, &left, in: &batch) }
        for chain in left { release(chain, in: &batch) }
        for change in changes.policies {
            for direction in PolicyDirection.allCases where change.new?[direction] == nil {
                if let old = change.old, old[direction] != nil { removeChain(of: old.name, direction, from: &batch) }
            }
        }
        for name in changes.removedGroups.sorted() where changes.groups[name] == nil {
            if let group = groups.removeValue(forKey: name) { batch.deleteSet(group.set) }
        }
    }

    private mutating func set(_ name: String, _ change: PolicyChanges.Group, in batch: inout FilterBatch) {
        if groups[name] == nil || change.isNew {
            let types =
                switch change.kind {
                case .addresses: [NFT.TYPE_IPADDR]
                case .endpoints: [NFT.TYPE_IPADDR, NFT.TYPE_INET_PROTOCOL, NFT.TYPE_INET_SERVICE]
                }
            groups[name] = ("group-\(nextGroup)", change.kind)
            batch.addSet("group-\(nextGroup)", FilterTable.layout(types))
            nextGroup += 1
        }
        guard let set = groups[name]?.set else { return }
        batch.deleteElements(set, change.removed.map { FilterElement(key: $0.bytes) })
        batch.addElements(set, change.added.map { FilterElement(key: $0.bytes) })
    }

    // MARK: - Policies

    /// The name of a policy's chain. The kernel takes names of up to 255 bytes; longer ones are shortened to a number.
    static func chain(_ policy: String, _ direction: PolicyDirection) -> String {
        let isPlain = policy.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                UInt8(ascii: "."), UInt8(ascii: "/"):
                true
            default: false
            }
        }
        if isPlain && policy.utf8.count <= 200 { return "\(direction.rawValue)/\(policy)" }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in policy.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return "\(direction.rawValue)/=\(String(hash, radix: 16))"
    }

    /// Makes a policy's chain, or fills it anew.
    private mutating func set(
        _ change: PolicyChanges.Change<PolicyRules>, _ direction: PolicyDirection, in batch: inout FilterBatch
    ) {
        guard let policy = change.new, let after = policy[direction] else { return }
        let before = change.old?[direction]
        if before == after { return }
        let chain = Self.chain(policy.name, direction)
        if before == nil {
            batch.addChain(chain)
        } else {
            batch.flushChain(chain)
            for set in borders.removeValue(forKey: chain) ?? [] { batch.deleteSet(set) }
        }
        let groups = groups
        let rules = FilterRules(after, direction, chain: chain) { groups[$0] }
        for set in rules.borders {
            let type =
                switch set.layout {
                case .addresses: (NFT.TYPE_IPADDR, UInt32(4))
                case .ports: (NFT.TYPE_INET_SERVICE, UInt32(2))
                }
            batch.addSet(set.name, .init(keyType: type.0, keySize: type.1, holdsIntervals: true))
            batch.addElements(set.name, set.elements)
            borders[chain, default: []].append(set.name)
        }
        for rule in rules.rules { batch.addRule(chain, rule) }
    }

    private mutating func removeChain(
        of policy: String, _ direction: PolicyDirection, from batch: inout FilterBatch
    ) {
        let chain = Self.chain(policy, direction)
        batch.flushChain(chain)
        for set in borders.removeValue(forKey: chain) ?? [] { batch.deleteSet(set) }
        batch.deleteChain(chain)
    }

    // MARK: - Pods

    private mutating func set(
        _ change: PolicyChanges.Change<PolicySubject>, _ left: inout [PodChain], in batch: inout FilterBatch
    ) {
        guard let address = change.new?.address ?? change.old?.address else { return }
        let own = FilterElement(key: address.bytes + address.bytes)
        if change.old == nil { batch.addElements(Self.own, [own]) }
        if change.new == nil { batch.deleteElements(Self.own, [own]) }
        for direction in PolicyDirection.allCases {
            let (before, after) = (change.old?[direction], change.new?[direction])
            if before == after { continue }
            let map = direction.rawValue
            if let before {
                left.append(PodChain(direction: direction, policies: before))
                batch.deleteElements(map, [FilterElement(key: address.bytes)])
            }
            if let after {
                let chain = use(PodChain(direction: direction, policies: after), in: &batch)
                batch.addElements(map, [FilterElement(key: address.bytes, data: .goto(chain))])
            }
        }
    }

    /// The chain of pods that these policies isolate, made for the first of them.
    private mutating func use(_ pods: PodChain, in batch: inout FilterBatch) -> String {
        if let known = self.pods[pods] {
            self.pods[pods]?.uses += 1
            return known.name
        }
        let chain = "\(pods.direction.rawValue)-pods-\(nextPods)"
        nextPods += 1
        self.pods[pods] = (chain, 1)
        batch.addChain(chain)
        for policy in pods.policies {
            batch.addRule(
                chain,
                FilterExpressions().verdict(NFT.NFT_JUMP, chain: Self.chain(policy, pods.direction)))
        }
        batch.addRule(chain, FilterExpressions().verdict(NFT.NF_DROP))
        return chain
    }

    private mutating func release(_ pods: PodChain, in batch: inout FilterBatch) {
        guard let known = self.pods[pods] else { return }
        if known.uses > 1 {
            self.pods[pods]?.uses -= 1
        } else {
            self.pods[pods] = nil
            batch.deleteChain(known.name)
        }
    }
}
