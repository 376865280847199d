/// The static type of an expression or value.
/// See https://github.com/google/cel-spec/blob/master/doc/langdef.md#values.
public indirect enum CELType: Sendable, Hashable {
    /// Known only when the expression is evaluated.
    case dyn
    case null
    case bool
    case int
    case uint
    case double
    case string
    case bytes
    case timestamp
    case duration
    case list(CELType)
    case map(CELType, CELType)
    case optional(CELType)
    /// The type of a type, as that of `int` in `type(1) == int`.
    case type(CELType)
    /// A type with declared fields.
    case object(CELObjectType)
    /// A type of a library, such as `net.IP`, whose values only the library's functions look into.
    case opaque(String)
    /// A type parameter of a function's declaration, or one that the checker has yet to determine.
    case parameter(String)
    /// The type of an expression that has an error, which fits everywhere so that one mistake is told once.
    case error
}

extension CELType: CustomStringConvertible {
    /// As CEL's messages write it: `map(string, list(int))`.
    public var description: String {
        switch self {
        case .dyn: "dyn"
        case .null: "null"
        case .bool: "bool"
        case .int: "int"
        case .uint: "uint"
        case .double: "double"
        case .string: "string"
        case .bytes: "bytes"
        case .timestamp: "timestamp"
        case .duration: "duration"
        case .list(let element): "list(\(element))"
        case .map(let key, let value): "map(\(key), \(value))"
        case .optional(let wrapped): "optional_type(\(wrapped))"
        case .type(let described): "type(\(described))"
        case .object(let object): object.name
        case .opaque(let name): name
        case .parameter(let name): name
        case .error: "!error!"
        }
    }

    /// The name of the type as a value of an expression, as `string(type(x))` gives it.
    public var runtimeName: String {
        switch self {
        case .list: "list"
        case .map: "map"
        case .optional: "optional_type"
        case .type: "type"
        case .null: "null_type"
        case .timestamp: "google.protobuf.Timestamp"
        case .duration: "google.protobuf.Duration"
        default: description
        }
    }

    /// Whether nothing is known of the type before evaluation.
    var isDynamic: Bool {
        switch self {
        case .dyn, .error: true
        default: false
        }
    }
}
