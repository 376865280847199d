import Objects

/// How many pods each node has that spread constraints count, for the constraints that were asked for lately. It follows the
/// pods, so that a decision costs what the nodes with such pods are, and not what all pods are.
struct SpreadCounts: Sendable {
    /// The pods that a constraint counts.
    struct Kind: Hashable, Sendable {
        var namespace: String
        var selector: LabelSelector

        func selects(_ pod: PodDescription) -> Bool {
            pod.namespace == namespace && !pod.isTerminating && selector.matches { pod.labels[$0] }
        }
    }

    /// Kinds that are followed at once; which pods more would count is found out anew each time they are all forgotten.
    static let limit = 64

    private var counts: [Kind: [String: Int64]] = [:]
    private var kinds: [String: [Kind]] = [:]

    /// By the names of nodes that have some; nil for a kind that is not followed.
    func nodes(with kind: Kind) -> [String: Int64]? { counts[kind] }

    /// Follows a kind from now on.
    mutating func follow(_ kind: Kind, _ nodes: [String: Int64]) {
        if counts.count >= Self.limit { self = SpreadCounts() }
        counts[kind] = nodes
        kinds[kind.namespace, default: []].append(kind)
    }

    /// A pod came to a node (1), or went (-1).
    mutating func note(_ pod: PodDescription, on node: String, _ change: Int64) {
        guard !counts.isEmpty, let followed = kinds[pod.namespace] else { return }
        for kind in followed where kind.selects(pod) {
            let count = (counts[kind]?[node] ?? 0) + change
            counts[kind]?[node] = count == 0 ? nil : count
        }
    }
}
