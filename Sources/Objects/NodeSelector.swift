/// Which nodes a selector of nodes accepts (Kubernetes core/v1 NodeSelector), straight from the objects: for decisions about
/// single nodes. Whoever looks at thousands parses the selector first.
public enum NodeSelector {
    /// Whether a pod's nodeSelector and required node affinity accept a node.
    /// - Parameter spec: of a pod, or of the pods of a template.
    public static func accepts(podSpec spec: JSON, node: JSON) -> Bool {
        for (key, value) in spec["nodeSelector"].objectValue ?? [:] where node.labels[key] != value { return false }
        let required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        return !required.exists || matches(required["nodeSelectorTerms"].arrayValue, node: node)
    }

    /// Whether one of a selector's terms accepts a node.
    public static func matches(_ terms: [JSON], node: JSON) -> Bool { terms.contains { accepts(term: $0, node: node) } }

    /// A term without requirements accepts no node.
    private static func accepts(term: JSON, node: JSON) -> Bool {
        let (expressions, fields) = (term["matchExpressions"].arrayValue, term["matchFields"].arrayValue)
        if expressions.isEmpty && fields.isEmpty { return false }
        return expressions.allSatisfy { holds($0, node.labels[$0["key"].stringValue ?? ""]) }
            && fields.allSatisfy { $0["key"].stringValue == "metadata.name" && holds($0, .string(node.name)) }
    }

    /// An operator or an operand that means nothing holds for no node.
    private static func holds(_ requirement: JSON, _ value: JSON) -> Bool {
        let values = requirement["values"].arrayValue
        switch requirement["operator"].stringValue ?? "" {
        case "In": return value.exists && values.contains(value)
        case "NotIn": return !values.contains(value)
        case "Exists": return value.exists
        case "DoesNotExist": return !value.exists
        case "Gt": return compare(value, values) { $0 > $1 }
        case "Lt": return compare(value, values) { $0 < $1 }
        default: return false
        }
    }

    private static func compare(_ value: JSON, _ values: [JSON], _ order: (Int64, Int64) -> Bool) -> Bool {
        guard values.count == 1, let bound = Int64(values[0].stringValue ?? ""),
            let number = Int64(value.stringValue ?? "")
        else { return false }
        return order(number, bound)
    }
}
