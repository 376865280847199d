import Objects

@testable import ObjectSchema

/// Reads an `openapi.v2.Document` back into the JSON that it stands for: what clients of the protobuf form see of it.
enum OpenAPIMessageReader {
    private typealias Bytes = Slice<UnsafeRawBufferPointer>

    static func document(_ bytes: [UInt8]) throws -> JSON {
        try bytes.withUnsafeBytes { buffer in
            var document: JSON = [:]
            try forEachField(buffer[...]) { number, value in
                switch (number, value) {
                case (1, .bytes(let text)): document["swagger"] = string(text)
                case (2, .bytes(let information)):
                    try forEachField(information) { number, value in
                        guard case .bytes(let text) = value else { return }
                        document["info"][number == 1 ? "title" : "version"] = string(text)
                    }
                case (8, .bytes(let paths)):
                    document["paths"] = try named(paths, 2) { path in
                        try members(path, [3: "put", 4: "post", 8: "patch"], operation)
                    }
                case (9, .bytes(let definitions)): document["definitions"] = try named(definitions, 1, schema)
                default: throw ProtobufError(description: "the document has a field \(number)")
                }
            }
            return document
        }
    }

    private static let texts: [UInt64: String] = [
        1: "$ref", 2: "format", 3: "title", 4: "description", 13: "pattern", 26: "discriminator",
    ]
    private static let doubles: [UInt64: String] = [6: "multipleOf", 7: "maximum", 9: "minimum"]
    private static let counts: [UInt64: String] = [
        11: "maxLength", 12: "minLength", 14: "maxItems", 15: "minItems", 17: "maxProperties", 18: "minProperties",
    ]
    private static let flags: [UInt64: String] = [
        8: "exclusiveMaximum", 10: "exclusiveMinimum", 16: "uniqueItems", 27: "readOnly",
    ]

    private static func schema(_ bytes: Bytes) throws -> JSON {
        var schema: JSON = [:]
        try forEachField(bytes) { number, value in
            switch (number, value) {
            case (_, .number(let value)):
                if let key = flags[number] {
                    schema[key] = .bool(value == 1)
                } else if let key = counts[number] {
                    schema[key] = .integer(Int64(value))
                } else {
                    throw ProtobufError(description: "a schema has a number \(number)")
                }
            case (_, .bytes(let bytes)):
                if let key = texts[number] {
                    schema[key] = string(bytes)
                } else if let key = doubles[number] {
                    let bits = bytes.enumerated().reduce(UInt64(0)) {
                        $0 | UInt64($1.element) << (8 * UInt64($1.offset))
                    }
                    schema[key] = .integer(Int64(Double(bitPattern: bits)))
                } else {
                    try readInner(number, bytes, &schema)
                }
            }
        }
        return schema
    }

    private static func readInner(_ number: UInt64, _ bytes: Bytes, _ schema: inout JSON) throws {
        switch number {
        case 5: schema["default"] = try any(bytes)
        case 19: schema["required"] = .array(schema["required"].arrayValue + [string(bytes)])
        case 20: schema["enum"] = .array(schema["enum"].arrayValue + [try any(bytes)])
        case 21:
            try forEachField(bytes) { number, value in
                switch value {
                case .number(let value): schema["additionalProperties"] = .bool(value == 1)
                case .bytes(let inner): schema["additionalProperties"] = try self.schema(inner)
                }
            }
        case 22:
            try forEachField(bytes) { _, value in if case .bytes(let text) = value { schema["type"] = string(text) } }
        case 23:
            try forEachField(bytes) { _, value in
                if case .bytes(let inner) = value { schema["items"] = try self.schema(inner) }
            }
        case 24: schema["allOf"] = .array(schema["allOf"].arrayValue + [try self.schema(bytes)])
        case 25: schema["properties"] = try named(bytes, 1, self.schema)
        case 29: schema["externalDocs"] = try members(bytes, [1: "description", 2: "url"], string)
        case 30: schema["example"] = try any(bytes)
        case 31: try readExtension(bytes, &schema)
        default: throw ProtobufError(description: "a schema has a field \(number)")
        }
    }

    private static func operation(_ bytes: Bytes) throws -> JSON {
        var operation: JSON = ["parameters": []]
        try forEachField(bytes) { number, value in
            guard case .bytes(let bytes) = value else { return }
            switch number {
            case 7: operation["consumes"] = .array(operation["consumes"].arrayValue + [string(bytes)])
            case 8:
                // ParametersItem, Parameter, NonBodyParameter, QueryParameterSubSchema.
                let query = try inner(try inner(try inner(bytes, 1), 2), 3)
                let parameter = try members(query, [2: "in", 3: "description", 4: "name", 6: "type"], string)
                operation["parameters"] = .array(operation["parameters"].arrayValue + [parameter])
            case 13: try readExtension(bytes, &operation)
            default: break
            }
        }
        return operation
    }

    // MARK: Parts of messages

    private static func readExtension(_ bytes: Bytes, _ object: inout JSON) throws {
        let name = string(try inner(bytes, 1))
        object[name.stringValue ?? ""] = try any(try inner(bytes, 2))
    }

    private static func any(_ bytes: Bytes) throws -> JSON {
        try JSON(parsing: string(try inner(bytes, 2)).stringValue ?? "")
    }

    private static func string(_ bytes: Bytes) -> JSON { .string(String(decoding: bytes, as: UTF8.self)) }

    /// The one field of a number.
    private static func inner(_ bytes: Bytes, _ wanted: UInt64) throws -> Bytes {
        var found: Bytes?
        try forEachField(bytes) { number, value in
            if number == wanted, case .bytes(let bytes) = value { found = bytes }
        }
        guard let found else { throw ProtobufError(description: "there is no field \(wanted)") }
        return found
    }

    /// Pairs of name and value, as maps are written.
    private static func named(_ bytes: Bytes, _ wanted: UInt64, _ read: (Bytes) throws -> JSON) throws -> JSON {
        var object = JSONObject()
        try forEachField(bytes) { number, value in
            guard number == wanted, case .bytes(let pair) = value else { return }
            object[string(try inner(pair, 1)).stringValue ?? ""] = try read(try inner(pair, 2))
        }
        return .object(object)
    }

    private static func members(
        _ bytes: Bytes, _ names: [UInt64: String], _ read: (Bytes) throws -> JSON
    ) throws -> JSON {
        var object = JSONObject()
        try forEachField(bytes) { number, value in
            guard let name = names[number], case .bytes(let bytes) = value else { return }
            object[name] = try read(bytes)
        }
        return .object(object)
    }

    private static func forEachField(_ bytes: Bytes, _ body: (UInt64, ProtobufReader.Value) throws -> Void) throws {
        var reader = ProtobufReader(bytes)
        while let field = try reader.next() { try body(field.number, field.value) }
    }
}
