import Objects

extension CELSchema {
    /// Bytes that an object has at most, by which unbounded data is estimated.
    static let requestLimit: Int64 = 3 << 20

    /// The schema of data that an OpenAPI v3 schema describes, as a custom resource's definition holds it.
    ///
    /// - Parameters:
    ///   - typeName: Names the type in messages; types within it are named after their path.
    ///   - isResourceRoot: Whether the data is an object of the API, whose metadata's name expressions may read.
    /// - Returns: nil for data that expressions cannot see: of a schema without a type.
    public convenience init?(openAPI schema: JSON, typeName: String = "selfType", isResourceRoot: Bool = false) {
        guard let built = Self.build(schema, typeName, isResourceRoot) else { return nil }
        self.init(
            built.shape, maximumSize: built.maximumSize, minimumSerializedSize: built.minimumSerializedSize,
            isNullable: built.isNullable)
    }

    private static func build(_ schema: JSON, _ name: String, _ isRoot: Bool) -> CELSchema? {
        let isNullable = schema["nullable"].boolValue == true
        func scalar(_ shape: Shape, _ size: Int64, _ maximum: Int64? = nil) -> CELSchema {
            CELSchema(
                shape, maximumSize: maximum.map { UInt64(max($0, 0)) }, minimumSerializedSize: size,
                isNullable: isNullable)
        }
        if schema["x-kubernetes-int-or-string"].boolValue == true {
            return scalar(.dyn, 1, schema["maxLength"].integerValue ?? requestLimit - 2)
        }
        switch isRoot ? "object" : schema["type"].stringValue {
        case "array": return list(schema, name, isNullable)
        case "object": return object(schema, name, isRoot, isNullable)
        case "string": return string(schema, scalar)
        case "boolean": return scalar(.bool, 4)
        case "number": return scalar(.double, 1)
        case "integer": return scalar(.int, 1)
        default: return nil
        }
    }

    private static func isEmbedded(_ schema: JSON) -> Bool {
        schema["x-kubernetes-embedded-resource"].boolValue == true
    }

    private static func list(_ schema: JSON, _ name: String, _ isNullable: Bool) -> CELSchema? {
        let items = schema["items"]
        guard let element = build(items, name + ".@idx", isEmbedded(items)) else { return nil }
        let kind: CELListKind =
            switch schema["x-kubernetes-list-type"].stringValue {
            case "set": .set
            case "map": .map(keys: schema["x-kubernetes-list-map-keys"].arrayValue.compactMap(\.stringValue))
            default: .atomic
            }
        // Each element and a comma, within brackets.
        let estimate = (requestLimit - 2) / (element.minimumSerializedSize + 1)
        return CELSchema(
            .list(element, kind), maximumSize: UInt64(max(schema["maxItems"].integerValue ?? estimate, 0)),
            minimumSerializedSize: 2, isNullable: isNullable)
    }

    private static func object(_ schema: JSON, _ name: String, _ isRoot: Bool, _ isNullable: Bool) -> CELSchema? {
        let additional = schema["additionalProperties"]
        if case .object = additional {
            guard let value = build(additional, name + ".@elem", isEmbedded(additional)) else { return nil }
            // A key of two bytes in quotation marks, a colon, the value, and a comma.
            let estimate = (requestLimit - 2) / (value.minimumSerializedSize + 6)
            return CELSchema(
                .map(value), maximumSize: UInt64(max(schema["maxProperties"].integerValue ?? estimate, 0)),
                minimumSerializedSize: 2, isNullable: isNullable)
        }
        var properties = schema["properties"]
        if isRoot { addMetadata(&properties) }
        let required = Set(schema["required"].arrayValue.compactMap(\.stringValue))
        var fields: [String: CELObjectType.Field] = [:]
        var size: Int64 = 2
        if let members = properties.objectValue {
            for (key, property) in zip(members.keys, members.values) {
                guard let field = build(property, "\(name).\(key)", isEmbedded(property)) else { continue }
                if let identifier = IdentifierEscaping.escape(key) {
                    fields[identifier] = .init(jsonName: key, schema: field)
                    // Behind a dot, words that are reserved for other languages are names like any other.
                    if ReservedWords.identifiers.contains(key) { fields[key] = fields[identifier] }
                }
                if required.contains(key), property["default"].isNull {
                    size += Int64(key.utf8.count) + field.minimumSerializedSize + 4
                }
            }
        }
        return CELSchema(
            .object(CELObjectType(name: name, fields: fields)), minimumSerializedSize: size, isNullable: isNullable)
    }

    /// What expressions see of an object of the API whatever its schema says.
    private static func addMetadata(_ properties: inout JSON) {
        properties["apiVersion"] = ["type": "string"]
        properties["kind"] = ["type": "string"]
        properties["metadata"] = [
            "type": "object", "properties": ["name": ["type": "string"], "generateName": ["type": "string"]],
        ]
    }

    private static func string(_ schema: JSON, _ scalar: (Shape, Int64, Int64?) -> CELSchema) -> CELSchema {
        let maximum = schema["maxLength"].integerValue
        switch schema["format"].stringValue {
        case "byte": return scalar(.bytes, 2, maximum ?? requestLimit - 2)
        case "duration": return scalar(.duration, 3, 32)
        case "date": return scalar(.date, 12, 12)
        case "date-time": return scalar(.timestamp, 21, 32)
        default: break
        }
        if let maximum {
            // Length is counted in code points, of up to four bytes each.
            return scalar(.string, 2, max(maximum, 0).multipliedReportingOverflow(by: 4).partialValue)
        }
        let longest = schema["enum"].arrayValue.compactMap { $0.stringValue?.utf8.count }.max()
        return scalar(.string, 2, longest.map { Int64($0) } ?? requestLimit - 2)
    }
}
