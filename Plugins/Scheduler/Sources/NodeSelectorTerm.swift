import Objects

/// One term of a node selector: all of its requirements must hold (Kubernetes core/v1 NodeSelectorTerm).
public struct NodeSelectorTerm: Sendable {
    enum Test: Sendable {
        case isIn([String]), isNotIn([String]), exists, doesNotExist, greaterThan(Int64), lessThan(Int64)
        /// An operator or operand that means nothing: holds for no node.
        case never
    }

    struct Requirement: Sendable {
        var key: String
        var test: Test

        init(_ object: JSON) {
            key = object["key"].stringValue ?? ""
            let values = object["values"].arrayValue.compactMap(\.stringValue)
            switch object["operator"].stringValue ?? "" {
            case "In": test = .isIn(values)
            case "NotIn": test = .isNotIn(values)
            case "Exists": test = .exists
            case "DoesNotExist": test = .doesNotExist
            case "Gt": test = values.first.flatMap { Int64($0) }.map(Test.greaterThan) ?? .never
            case "Lt": test = values.first.flatMap { Int64($0) }.map(Test.lessThan) ?? .never
            default: test = .never
            }
        }

        func holds(_ value: String?) -> Bool {
            switch test {
            case .isIn(let values): value.map(values.contains) ?? false
            case .isNotIn(let values): value.map { !values.contains($0) } ?? true
            case .exists: value != nil
            case .doesNotExist: value == nil
            case .greaterThan(let bound): value.flatMap { Int64($0) }.map { $0 > bound } ?? false
            case .lessThan(let bound): value.flatMap { Int64($0) }.map { $0 < bound } ?? false
            case .never: false
            }
        }
    }

    var expressions: [Requirement]
    var fields: [Requirement]

    public init(_ object: JSON) {
        expressions = object["matchExpressions"].arrayValue.map(Requirement.init)
        fields = object["matchFields"].arrayValue.map(Requirement.init)
    }

    /// A term without requirements matches no node, as in Kubernetes.
    func matches(_ node: NodeDescription) -> Bool {
        if expressions.isEmpty && fields.isEmpty { return false }
        for requirement in expressions where !requirement.holds(node.labels[requirement.key]) { return false }
        for requirement in fields {
            guard requirement.key == "metadata.name", requirement.holds(node.name) else { return false }
        }
        return true
    }
}
