import Objects

/// How JSON data becomes values of expressions: types, with the bounds that cost estimates use.
///
/// Immutable. Data is converted member by member as an expression reads it, never as a whole.
public final class CELSchema: Sendable {
    /// What the data is.
    public enum Shape: Sendable {
        /// Anything; values have the type of their JSON.
        case dyn
        case bool
        case int
        case double
        case string
        /// Base64.
        case bytes
        /// RFC 3339.
        case timestamp
        /// A date without a time.
        case date
        /// As Go writes it, `1h30m`.
        case duration
        case list(CELSchema, CELListKind)
        /// A map of strings to such values.
        case map(CELSchema)
        case object(CELObjectType)
        /// A value that is no JSON, of this type.
        case value(CELType)
    }

    public let shape: Shape
    /// The most elements, members, code points' bytes or bytes that the data can have; nil when that is not bounded by the data
    /// or its schema.
    public let maximumSize: UInt64?
    /// The least bytes that the data takes as JSON.
    public let minimumSerializedSize: Int64
    /// Whether null is a value of its own; elsewhere it is an error.
    public let isNullable: Bool
    /// The type of the converted values.
    public let type: CELType

    public init(
        _ shape: Shape, maximumSize: UInt64? = nil, minimumSerializedSize: Int64 = 1, isNullable: Bool = false
    ) {
        self.shape = shape
        self.maximumSize = maximumSize
        self.minimumSerializedSize = minimumSerializedSize
        self.isNullable = isNullable
        type =
            switch shape {
            case .dyn: .dyn
            case .bool: .bool
            case .int: .int
            case .double: .double
            case .string: .string
            case .bytes: .bytes
            case .timestamp, .date: .timestamp
            case .duration: .duration
            case .list(let element, _): .list(element.type)
            case .map(let value): .map(.string, value.type)
            case .object(let object): .object(object)
            case .value(let type): type
            }
    }

    /// Data of which nothing is known.
    public static let dyn = CELSchema(.dyn)
}

/// Which elements of a list make its identity (`x-kubernetes-list-type`): decides what `==` and `+` mean.
public enum CELListKind: Sendable, Hashable {
    case atomic
    /// No order, no duplicates.
    case set
    /// Elements are found by the values of these members; no order.
    case map(keys: [String])
}
