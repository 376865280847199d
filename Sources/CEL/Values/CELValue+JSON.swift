import Objects

extension CELValue {
    /// The value of JSON of which nothing is known: its own type.
    public init(natural json: JSON) {
        switch json {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .int(value)
        case .number(let value): self = .double(value)
        case .string(let value): self = .string(value)
        case .array(let elements): self = .list(.json(elements, nil))
        case .object(let object): self = .map(.json(object, nil))
        }
    }

    /// The value of JSON that a schema describes. Elements and members are converted later, when they are read.
    /// - Throws: when the data is not what the schema says.
    public init(_ json: JSON, _ schema: CELSchema?) throws(CELError) {
        guard let schema else {
            self.init(natural: json)
            return
        }
        if case .null = json {
            if case .dyn = schema.shape {
                self = .null
                return
            }
            guard schema.isNullable else { throw CELError("invalid data, got null for schema with nullable=false") }
            self = .null
            return
        }
        switch (schema.shape, json) {
        case (.dyn, _), (.value, _): self.init(natural: json)
        case (.bool, .bool(let value)): self = .bool(value)
        case (.int, .integer(let value)): self = .int(value)
        case (.int, .number(let value)):
            guard let value = Int64(exactly: value) else { throw Self.mismatch(schema, json) }
            self = .int(value)
        case (.double, .integer(let value)): self = .double(Double(value))
        case (.double, .number(let value)): self = .double(value)
        case (.list, .array(let elements)): self = .list(.json(elements, schema))
        case (.map, .object(let object)), (.object, .object(let object)): self = .map(.json(object, schema))
        case (_, .string(let text)): self = try Self.converted(text, schema)
        default: throw Self.mismatch(schema, json)
        }
    }

    private static func mismatch(_ schema: CELSchema, _ json: JSON) -> CELError {
        CELError("invalid data, expected \(schema.type), got \(json.typeName)")
    }

    private static func converted(_ text: String, _ schema: CELSchema) throws(CELError) -> CELValue {
        switch schema.shape {
        case .string: return .string(text)
        case .bytes:
            guard let bytes = Base64.decode(text) else { throw CELError("failed to decode base64: \(text)") }
            return .bytes(bytes)
        case .timestamp:
            guard let time = try? Timestamp(parsing: text) else { throw CELError("failed to parse date-time: \(text)") }
            return .timestamp(time)
        case .date:
            guard let time = try? Timestamp(parsing: text + "T00:00:00Z") else {
                throw CELError("failed to parse date: \(text)")
            }
            return .timestamp(time)
        case .duration:
            guard let duration = try? GoDuration(parsing: text) else {
                throw CELError("failed to parse duration: \(text)")
            }
            return .duration(duration.nanoseconds)
        default: throw mismatch(schema, .string(text))
        }
    }

    /// The value as JSON: what an object that an expression makes is.
    /// - Throws: when there is no such form, as for a type.
    public func json() throws(CELError) -> JSON {
        switch self {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .int(let value): return .integer(value)
        case .uint(let value): return Int64(exactly: value).map { .integer($0) } ?? .number(Double(value))
        case .double(let value):
            guard value.isFinite else { throw CELError("\(value) has no form in JSON") }
            return .number(value)
        case .string(let value): return .string(value)
        case .bytes(let value): return .string(Base64.encode(value))
        case .timestamp(let value): return .string(value.canonicalText)
        case .duration(let value): return .string(DurationText.seconds(value))
        case .optional(let wrapped): return try wrapped?.json() ?? .null
        case .list(.json(let elements, _)): return .array(elements)
        case .list(.values(let values)):
            var elements: [JSON] = []
            for value in values { elements.append(try value.json()) }
            return .array(elements)
        case .map(.json(let object, _)): return .object(object)
        case .map(let map): return try Self.json(of: map)
        case .type, .opaque:
            if case .opaque(let value) = self, let text = value.text { return .string(text) }
            throw CELError("a value of type \(type) has no form in JSON")
        }
    }

    private static func json(of map: CELMap) throws(CELError) -> JSON {
        var object = JSONObject(minimumCapacity: map.count)
        for key in map.keys {
            guard let value = try map.value(key) else { continue }
            switch key {
            case .string(let name): object[name] = try value.json()
            case .int, .uint, .bool: object[key.description] = try value.json()
            default: throw CELError("unsupported key type: \(key.type.runtimeName)")
            }
        }
        return .object(object)
    }
}
