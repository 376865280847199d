import Objects

/// Parts of an OpenAPI document of version 2 as the messages of gnostic's OpenAPIv2.proto. What JSON Schema leaves to the reader
/// (defaults, enumerations, extensions) is YAML there; JSON is that.
enum OpenAPIMessages {
    /// A member of `Definitions` or `Properties`: a NamedSchema.
    static func append(schema name: String, _ schema: JSON, to message: inout ProtobufWriter) {
        message.message(1) { named in
            named.string(1, name)
            named.message(2) { append(schema, to: &$0) }
        }
    }

    /// A member of `Paths` with the operations of a path that change objects; nothing when it has none.
    static func append(path: String, _ item: JSON, to message: inout ProtobufWriter) {
        let changes: [(number: UInt64, method: String)] = [(3, "put"), (4, "post"), (8, "patch")]
        guard changes.contains(where: { item[$0.method].exists }) else { return }
        message.message(2) { named in
            named.string(1, path)
            named.message(2) { message in
                for (number, method) in changes where item[method].exists {
                    message.message(number) { append(operation: item[method], to: &$0) }
                }
            }
        }
    }

    // MARK: Schema

    private static let texts: [(UInt64, String)] = [
        (1, "$ref"), (2, "format"), (3, "title"), (4, "description"), (13, "pattern"), (26, "discriminator"),
    ]
    private static let numbers: [(UInt64, String)] = [(6, "multipleOf"), (7, "maximum"), (9, "minimum")]
    private static let counts: [(UInt64, String)] = [
        (11, "maxLength"), (12, "minLength"), (14, "maxItems"), (15, "minItems"), (17, "maxProperties"),
        (18, "minProperties"),
    ]
    private static let flags: [(UInt64, String)] = [
        (8, "exclusiveMaximum"), (10, "exclusiveMinimum"), (16, "uniqueItems"), (27, "readOnly"),
    ]

    private static func append(_ schema: JSON, to message: inout ProtobufWriter) {
        for (number, key) in texts { if let text = schema[key].stringValue { message.string(number, text) } }
        for (number, key) in numbers { if let value = schema[key].doubleValue { message.double(number, value) } }
        for (number, key) in counts {
            if let count = schema[key].integerValue { message.integer(number, UInt64(bitPattern: count)) }
        }
        for (number, key) in flags where schema[key] == true { message.integer(number, 1) }
        append(any: schema["default"], 5, to: &message)
        for name in schema["required"].arrayValue { if let name = name.stringValue { message.string(19, name) } }
        for value in schema["enum"].arrayValue { append(any: value, 20, to: &message) }
        appendInner(schema, to: &message)
        append(any: schema["example"], 30, to: &message)
        appendExtensions(of: schema, 31, to: &message)
    }

    private static func appendInner(_ schema: JSON, to message: inout ProtobufWriter) {
        switch schema["additionalProperties"] {
        case .bool(let isAllowed): message.message(21) { $0.integer(2, isAllowed ? 1 : 0) }
        case let inner where inner.objectValue != nil:
            message.message(21) { item in item.message(1) { append(inner, to: &$0) } }
        default: break
        }
        if let type = schema["type"].stringValue { message.message(22) { $0.string(1, type) } }
        if schema["items"].objectValue != nil {
            message.message(23) { item in item.message(1) { append(schema["items"], to: &$0) } }
        }
        for part in schema["allOf"].arrayValue { message.message(24) { append(part, to: &$0) } }
        if let properties = schema["properties"].objectValue {
            message.message(25) { message in
                for (name, property) in properties { append(schema: name, property, to: &message) }
            }
        }
        if let address = schema["externalDocs"]["url"].stringValue {
            message.message(29) { message in
                if let text = schema["externalDocs"]["description"].stringValue { message.string(1, text) }
                message.string(2, address)
            }
        }
    }

    // MARK: Operation

    private static func append(operation: JSON, to message: inout ProtobufWriter) {
        for type in operation["consumes"].arrayValue { if let type = type.stringValue { message.string(7, type) } }
        for parameter in operation["parameters"].arrayValue where parameter["in"] == "query" {
            message.message(8) { item in
                item.message(1) { message in
                    // A parameter that is no body, in a query.
                    message.message(2) { message in
                        message.message(3) { query in
                            query.string(2, "query")
                            if let text = parameter["description"].stringValue { query.string(3, text) }
                            query.string(4, parameter["name"].stringValue ?? "")
                            query.string(6, parameter["type"].stringValue ?? "string")
                        }
                    }
                }
            }
        }
        message.message(9) { responses in
            responses.message(1) { response in
                response.string(1, "200")
                response.message(2) { value in value.message(1) { $0.string(1, "OK") } }
            }
        }
        appendExtensions(of: operation, 13, to: &message)
    }

    // MARK: Values of any kind

    private static func appendExtensions(of value: JSON, _ number: UInt64, to message: inout ProtobufWriter) {
        for (key, value) in value.objectValue ?? [:] where key.hasPrefix("x-") {
            message.message(number) { named in
                named.string(1, key)
                append(any: value, 2, to: &named)
            }
        }
    }

    private static func append(any value: JSON, _ number: UInt64, to message: inout ProtobufWriter) {
        guard value.exists else { return }
        message.message(number) { $0.string(2, String(decoding: value.serialized(), as: UTF8.self) + "\n") }
    }
}
