/// A path into JSON in the form that kubectl and printer columns use: `.spec.replicas`, `.items[0]['name']`,
/// `.status.conditions[?(@.type=="Ready")].status`, `..name`, `[*]`, `[1:3]`.
/// See https://kubernetes.io/docs/reference/kubectl/jsonpath/.
public struct JSONPath: Sendable, Hashable {
    enum Step: Sendable, Hashable {
        case member(String)
        case index(Int)
        case slice(from: Int?, to: Int?)
        case all
        /// This value and everything below.
        case descend
        case filter(Filter)
    }

    /// `@.path OPERATOR literal`; without an operator the path must exist.
    struct Filter: Sendable, Hashable {
        var path: [Step]
        var comparison: String
        var value: JSON
    }

    /// What is wrong with a path.
    public struct ParseError: Error, Sendable, Hashable, CustomStringConvertible {
        public let description: String
    }

    let steps: [Step]

    /// Complexity: O(length).
    public init(parsing text: String) throws(ParseError) {
        var parser = JSONPathParser(text)
        steps = try parser.parse()
    }

    /// The names of the members on the way when the path is of nothing but members, such as `.spec.replicas`.
    public var memberNames: [String]? {
        var names: [String] = []
        for step in steps {
            guard case .member(let name) = step else { return nil }
            names.append(name)
        }
        return names
    }

    /// All that the path leads to, in order; empty when something on the way is absent.
    public func values(in value: JSON) -> [JSON] { Self.values(steps[...], value) }

    /// The first value that the path leads to; nil when there is none.
    public func first(in value: JSON) -> JSON? {
        guard let names = memberNames else { return values(in: value).first }
        var current = value
        for name in names {
            guard let next = current.objectValue?[name] else { return nil }
            current = next
        }
        return current
    }

    private static func values(_ steps: ArraySlice<Step>, _ value: JSON) -> [JSON] {
        var current = [value]
        for step in steps {
            current = current.flatMap { apply(step, $0) }
            if current.isEmpty { return [] }
        }
        return current
    }

    private static func apply(_ step: Step, _ value: JSON) -> [JSON] {
        switch step {
        case .member(let name): return value.objectValue?[name].map { [$0] } ?? []
        case .index(let index):
            let elements = value.arrayValue
            let position = index < 0 ? elements.count + index : index
            return elements.indices.contains(position) ? [elements[position]] : []
        case .slice(let from, let to):
            let elements = value.arrayValue
            func bound(_ index: Int) -> Int { min(max(index < 0 ? elements.count + index : index, 0), elements.count) }
            let start = bound(from ?? 0)
            let end = bound(to ?? elements.count)
            return start < end ? Array(elements[start..<end]) : []
        case .all: return children(value)
        case .descend: return [value] + children(value).flatMap { apply(.descend, $0) }
        case .filter(let filter): return value.arrayValue.filter { filter.matches($0) }
        }
    }

    private static func children(_ value: JSON) -> [JSON] {
        switch value {
        case .array(let elements): elements
        case .object(let members): members.values
        default: []
        }
    }
}

extension JSONPath.Filter {
    fileprivate func matches(_ element: JSON) -> Bool {
        guard let found = JSONPath.first(path, element) else { return false }
        switch comparison {
        case "": return true
        case "==": return found == value
        case "!=": return found != value
        default: break
        }
        guard let order = Self.order(found, value) else { return false }
        switch comparison {
        case "<": return order < 0
        case "<=": return order <= 0
        case ">": return order > 0
        default: return order >= 0
        }
    }

    private static func order(_ left: JSON, _ right: JSON) -> Int? {
        if let a = left.doubleValue, let b = right.doubleValue { return a < b ? -1 : a > b ? 1 : 0 }
        if let a = left.stringValue, let b = right.stringValue {
            return a.precedesByBytes(b) ? -1 : b.precedesByBytes(a) ? 1 : 0
        }
        return nil
    }
}

extension JSONPath {
    fileprivate static func first(_ steps: [Step], _ value: JSON) -> JSON? { values(steps[...], value).first }
}
