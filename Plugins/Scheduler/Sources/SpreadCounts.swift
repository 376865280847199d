import Objects

/// How many pods each node has that spread constraints count, for the constraints that were asked for lately, and how many the
/// nodes with one value of a label have together. It follows the pods, so that a decision does not cost what all pods are, nor,
/// where the sums will do, what the nodes with such pods are.
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
    /// By kind, by the label's key, by its value.
    private var sums: [Kind: [String: [String: Int64]]] = [:]

    /// By the names of nodes that have some; nil for a kind that is not followed.
    func nodes(with kind: Kind) -> [String: Int64]? { counts[kind] }

    /// Follows a kind from now on.
    mutating func follow(_ kind: Kind, _ nodes: [String: Int64]) {
        if counts.count >= Self.limit { self = SpreadCounts() }
        counts[kind] = nodes
        kinds[kind.namespace, default: []].append(kind)
    }

    /// By the label's values, where they are not 0; nil when they are not kept.
    func sums(of kind: Kind, by key: String) -> [String: Int64]? { sums[kind]?[key] }

    /// Keeps the sums of a kind that is followed from now on.
    mutating func keep(_ sums: [String: Int64], of kind: Kind, by key: String) {
        self.sums[kind, default: [:]][key] = sums
    }

    /// The labels of nodes with pods are no longer what they were.
    mutating func forgetSums() { sums = [:] }

    /// A pod came to a node (1), or went (-1).
    /// - Parameter labels: the node's; none while it is not known.
    mutating func note(_ pod: PodDescription, on node: String, _ labels: [String: String], _ change: Int64) {
        guard !counts.isEmpty, let followed = kinds[pod.namespace] else { return }
        for kind in followed where kind.selects(pod) {
            let count = (counts[kind]?[node] ?? 0) + change
            counts[kind]?[node] = count == 0 ? nil : count
            for key in sums[kind].map({ Array($0.keys) }) ?? [] {
                guard let value = labels[key] else { continue }
                let sum = (sums[kind]?[key]?[value] ?? 0) + change
                sums[kind]?[key]?[value] = sum == 0 ? nil : sum
            }
        }
    }
}
