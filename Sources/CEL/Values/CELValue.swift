import Objects

/// A value of an expression.
///
/// Lists and maps that come from JSON stay JSON: elements are converted when an expression reads them.
public enum CELValue: Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case uint(UInt64)
    case double(Double)
    case string(String)
    case bytes([UInt8])
    case timestamp(Timestamp)
    /// Nanoseconds.
    case duration(Int64)
    case list(CELList)
    case map(CELMap)
    indirect case optional(CELValue?)
    case type(CELType)
    /// A value that only functions look into.
    case opaque(any CELOpaque)
}

/// A value of a library, such as an address or a quantity.
public protocol CELOpaque: Sendable {
    /// The type's name, as declared functions write it.
    var typeName: String { get }
    /// Whether `==` holds, with a value of the same type name.
    func equals(_ other: any CELOpaque) -> Bool
    /// The text of `string(value)`; nil when there is no such conversion.
    var text: String? { get }
    /// How many units of size the value counts for in costs.
    var size: UInt64 { get }
}

extension CELOpaque {
    public var text: String? { nil }
    public var size: UInt64 { 1 }
}

/// An object whose fields are made when they are read, such as the variables of a policy.
public protocol CELLazyObject: Sendable {
    /// The name of the type for messages.
    var typeName: String { get }
    /// The value of a field; nil when there is none.
    func value(of field: String) throws(CELError) -> CELValue?
    /// How many fields it has.
    var fieldNames: [String] { get }
}

extension CELValue {
    /// The type of this value as `type(value)` gives it.
    public var type: CELType {
        switch self {
        case .null: .null
        case .bool: .bool
        case .int: .int
        case .uint: .uint
        case .double: .double
        case .string: .string
        case .bytes: .bytes
        case .timestamp: .timestamp
        case .duration: .duration
        case .list: .list(.dyn)
        case .map(let map): map.type
        case .optional: .optional(.dyn)
        case .type: .type(.dyn)
        case .opaque(let value): .opaque(value.typeName)
        }
    }

    public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var stringValue: String? { if case .string(let value) = self { value } else { nil } }
    public var intValue: Int64? { if case .int(let value) = self { value } else { nil } }
    public var isNull: Bool { if case .null = self { true } else { false } }
}

extension CELValue: CustomStringConvertible {
    /// For messages; not an expression's text.
    public var description: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .int(let value): "\(value)"
        case .uint(let value): "\(value)"
        case .double(let value): NumberText.general(value)
        case .string(let value): value
        case .bytes(let value): String(decoding: value, as: UTF8.self)
        case .timestamp(let value): value.canonicalText
        case .duration(let value): DurationText.seconds(value)
        case .list(let list): "[" + list.descriptions.joined(separator: ", ") + "]"
        case .map(let map): "{" + map.descriptions.joined(separator: ", ") + "}"
        case .optional(let wrapped): wrapped.map { "optional(\($0))" } ?? "optional.none()"
        case .type(let type): type.runtimeName
        case .opaque(let value): value.text ?? value.typeName
        }
    }
}
