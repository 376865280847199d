/// How many nodes have each value of a label, for the labels that required topology spread asked for lately: a decision then
/// knows how many domains there are without a look at the nodes.
struct NodeDomains: Sendable {
    /// Labels that are followed at once; when there are more, all are forgotten.
    static let limit = 16

    /// By the label's key, by its value.
    private var nodes: [String: [String: Int]] = [:]

    /// The number of values that some node has; nil for a label that is not followed.
    func count(by key: String) -> Int? { nodes[key]?.count }

    /// Follows a label from now on.
    /// - Parameter values: of all nodes that have it.
    mutating func follow(_ key: String, _ values: some Sequence<String>) {
        if nodes.count >= Self.limit { nodes = [:] }
        nodes[key] = values.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }

    /// The labels of a node change; those of one that comes or goes from or to none.
    mutating func note(from former: [String: String], to labels: [String: String]) {
        for key in nodes.keys where former[key] != labels[key] {
            if let value = former[key], let left = nodes[key]?[value] {
                nodes[key]?[value] = left > 1 ? left - 1 : nil
            }
            if let value = labels[key] { nodes[key]?[value, default: 0] += 1 }
        }
    }
}
