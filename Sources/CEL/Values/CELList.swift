import Objects

/// A list of values: made by an expression, or JSON whose elements are converted when they are read.
public enum CELList: Sendable {
    case values([CELValue])
    /// Elements, and the schema of the list if it has one.
    case json([JSON], CELSchema?)

    public var count: Int {
        switch self {
        case .values(let values): values.count
        case .json(let elements, _): elements.count
        }
    }

    /// The element at a position below `count`.
    /// - Throws: when the data is not what the schema says.
    public func element(_ index: Int) throws(CELError) -> CELValue {
        switch self {
        case .values(let values): return values[index]
        case .json(let elements, let schema): return try CELValue(elements[index], elementSchema(schema))
        }
    }

    /// All elements. Complexity: O(count).
    public func elements() throws(CELError) -> [CELValue] {
        switch self {
        case .values(let values): return values
        case .json(let elements, let schema):
            let schema = elementSchema(schema)
            var values: [CELValue] = []
            values.reserveCapacity(elements.count)
            for element in elements { values.append(try CELValue(element, schema)) }
            return values
        }
    }

    private func elementSchema(_ schema: CELSchema?) -> CELSchema? {
        if case .list(let element, _) = schema?.shape { return element }
        return nil
    }

    /// What makes the identity of the list's elements.
    var kind: CELListKind {
        if case .json(_, let schema) = self, case .list(_, let kind) = schema?.shape { return kind }
        return .atomic
    }

    var descriptions: [String] {
        switch self {
        case .values(let values): values.map(\.description)
        case .json(let elements, _): elements.map { CELValue(natural: $0).description }
        }
    }
}
