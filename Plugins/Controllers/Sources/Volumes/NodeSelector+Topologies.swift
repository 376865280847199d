import Objects

extension NodeSelector {
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
