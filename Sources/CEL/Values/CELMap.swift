import Objects

/// A map, or an object with fields: made by an expression, JSON that is converted when it is read, or fields that are made
/// when they are read.
public enum CELMap: Sendable {
    case values(CELDictionary)
    /// Members, and the schema of the map or object if it has one.
    case json(JSONObject, CELSchema?)
    case lazy(any CELLazyObject)
    /// An object that an expression made, with its type.
    case object(CELObjectType, CELDictionary)

    public var count: Int {
        switch self {
        case .values(let values), .object(_, let values): values.count
        case .json(let object, _): object.count
        case .lazy(let object): object.fieldNames.count
        }
    }

    /// The value of a key; nil when there is none.
    public func value(_ key: CELValue) throws(CELError) -> CELValue? {
        switch self {
        case .values(let values), .object(_, let values): return values[key]
        case .json, .lazy:
            guard case .string(let name) = key else { return nil }
            return try field(name)
        }
    }

    /// The value of a field or of a key that is a string; nil when there is none.
    public func field(_ name: String) throws(CELError) -> CELValue? {
        switch self {
        case .values(let values), .object(_, let values): return values[.string(name)]
        case .lazy(let object): return try object.value(of: name)
        case .json(let object, let schema):
            guard let schema else { return object[name].map { CELValue(natural: $0) } }
            switch schema.shape {
            case .object(let type):
                guard let field = type.fields[name] else {
                    return type.isOpen ? object[name].map { CELValue(natural: $0) } : nil
                }
                guard let value = object[field.jsonName] else { return nil }
                return try CELValue(value, field.schema)
            case .map(let valueSchema):
                guard let value = object[name] else { return nil }
                return try CELValue(value, valueSchema)
            default: return object[name].map { CELValue(natural: $0) }
            }
        }
    }

    /// The keys, in the order in which they were written. Complexity: O(count).
    public var keys: [CELValue] {
        switch self {
        case .values(let values), .object(_, let values): values.keys
        case .json(let object, _): object.keys.map { .string($0) }
        case .lazy(let object): object.fieldNames.map { .string($0) }
        }
    }

    var type: CELType {
        switch self {
        case .values: .map(.dyn, .dyn)
        case .json(_, let schema): schema?.type ?? .map(.dyn, .dyn)
        case .lazy(let object): .opaque(object.typeName)
        case .object(let type, _): .object(type)
        }
    }

    var descriptions: [String] {
        switch self {
        case .values(let values), .object(_, let values):
            zip(values.keys, values.values).map { "\($0): \($1)" }
        case .json(let object, _): zip(object.keys, object.values).map { "\($0): \(CELValue(natural: $1))" }
        case .lazy(let object): object.fieldNames
        }
    }
}

/// A map that an expression made. Keys are numbers, strings and booleans; numbers are equal keys when their values are.
public struct CELDictionary: Sendable {
    public private(set) var keys: [CELValue] = []
    public private(set) var values: [CELValue] = []
    private var positions: [Key: Int] = [:]

    public init() {}

    /// What makes keys the same.
    enum Key: Hashable, Sendable {
        case scalar(JSON)
        /// Beyond 64 signed bits.
        case large(UInt64)

        init?(_ value: CELValue) {
            switch value {
            case .bool(let value): self = .scalar(.bool(value))
            case .int(let value): self = .scalar(.integer(value))
            case .uint(let value): self = Int64(exactly: value).map { .scalar(.integer($0)) } ?? .large(value)
            case .double(let value):
                if let integer = Int64(exactly: value) {
                    self = .scalar(.integer(integer))
                } else if let integer = UInt64(exactly: value) {
                    self = .large(integer)
                } else {
                    return nil
                }
            case .string(let value): self = .scalar(.string(value))
            default: return nil
            }
        }
    }

    public var count: Int { keys.count }

    public subscript(key: CELValue) -> CELValue? {
        guard let found = Key(key).flatMap({ positions[$0] }) else { return nil }
        return values[found]
    }

    /// Adds an entry.
    /// - Throws: when the key is there already, or of a type that cannot be one.
    public mutating func insert(_ value: CELValue, for key: CELValue) throws(CELError) {
        guard let position = Key(key) else { throw CELError("unsupported key type: \(key.type.runtimeName)") }
        guard positions[position] == nil else { throw CELError("insert failed: key \(key) already exists") }
        positions[position] = keys.count
        keys.append(key)
        values.append(value)
    }
}
