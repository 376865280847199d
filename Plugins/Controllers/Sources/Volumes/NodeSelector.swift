import Objects

/// Node selectors as they stand in volumes and storage classes: terms, of which one must hold.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/.
enum NodeSelector {
    static func matches(_ terms: [JSON], node: JSON) -> Bool { terms.contains { matches(term: $0, node) } }

    /// A term without requirements matches no node.
    private static func matches(term: JSON, _ node: JSON) -> Bool {
        let expressions = term["matchExpressions"].arrayValue
        let fields = term["matchFields"].arrayValue
        if expressions.isEmpty && fields.isEmpty { return false }
        return expressions.allSatisfy { holds($0, node.labels[$0["key"].stringValue ?? ""].stringValue) }
            && fields.allSatisfy { $0["key"].stringValue == "metadata.name" && holds($0, node.name) }
    }

    /// - Parameter value: of the label or field; nil where the node has none.
    private static func holds(_ requirement: JSON, _ value: String?) -> Bool {
        let values = requirement["values"].arrayValue.compactMap(\.stringValue)
        switch requirement["operator"].stringValue ?? "" {
        case "In": return value.map(values.contains) ?? false
        case "NotIn": return value.map { !values.contains($0) } ?? true
        case "Exists": return value != nil
        case "DoesNotExist": return value == nil
        case "Gt": return compare(value, values, >)
        case "Lt": return compare(value, values, <)
        default: return false
        }
    }

    private static func compare(_ value: String?, _ values: [String], _ order: (Int64, Int64) -> Bool) -> Bool {
        guard let value = value.flatMap({ Int64($0) }), values.count == 1, let bound = Int64(values[0]) else {
            return false
        }
        return order(value, bound)
    }

    /// The terms of a storage class's allowedTopologies; empty when it allows every node.
    static func terms(ofTopologies topologies: JSON) -> [JSON] {
        topologies.arrayValue.compactMap { topology -> JSON? in
            let expressions = topology["matchLabelExpressions"].arrayValue.map { expression -> JSON in
                ["key": expression["key"], "operator": "In", "values": expression["values"]]
            }
            if expressions.isEmpty { return nil }
            return ["matchExpressions": .array(expressions)]
        }
    }
}
