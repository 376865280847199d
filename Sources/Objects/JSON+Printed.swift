/// Values as Kubernetes' messages show them where those are made by Go's own printing.
extension JSON {
    /// As `%v` prints it: `map[a:1 b:[x y]]`, by key, with strings as they are.
    public var printedText: String {
        switch self {
        case .null: "<nil>"
        case .string(let text): text
        case .array(let elements): "[\(elements.map(\.printedText).joined(separator: " "))]"
        case .object(let members):
            "map[\(members.sortedByKey().map { "\($0.key):\($0.value.printedText)" }.joined(separator: " "))]"
        case .bool, .integer, .number: serializedString()
        }
    }

    /// What Go calls the type that it decodes the value to.
    public var goTypeName: String {
        switch self {
        case .null: "<nil>"
        case .bool: "bool"
        case .integer: "int64"
        case .number: "float64"
        case .string: "string"
        case .array: "[]interface {}"
        case .object: "map[string]interface {}"
        }
    }

    /// How its decoder names what it found: "object", "array", "string", "number", "bool".
    public var encodedTypeName: String {
        switch self {
        case .bool: "bool"
        case .integer, .number: "number"
        default: typeName
        }
    }
}
