import Objects

/// Writes definitions of the table as schemas of OpenAPI documents, version 3 or 2.
struct OpenAPISchemaText {
    enum Version: Sendable {
        case three, two

        var prefix: String { self == .three ? "#/components/schemas/" : "#/definitions/" }
    }

    let version: Version
    /// Nil where only references are written.
    var descriptions: SchemaDescriptions?

    func schema(_ node: SchemaNode) -> JSON {
        var schema = JSONObject()
        let known = descriptions?[node]
        if let text = known?.itself ?? Self.listDescription(node) { schema["description"] = .string(text) }
        switch node.shape {
        case .object:
            schema["type"] = "object"
            if !node.properties.isEmpty {
                var properties = JSONObject(minimumCapacity: node.properties.count)
                for property in node.properties {
                    properties[property.name] = self.property(property, known?[property.name])
                }
                schema["properties"] = .object(properties)
                let required = node.properties.filter(\.isRequired).map(\.name)
                if !required.isEmpty { schema["required"] = JSON(required) }
            }
        case .quantity where version == .three: schema["oneOf"] = [["type": "string"], ["type": "number"]]
        case .intOrString where version == .three:
            schema["oneOf"] = [["type": "integer"], ["type": "string"]]
            schema["format"] = "int-or-string"
        default: addType(node, &schema)
        }
        if node.isAtomic { schema["x-kubernetes-map-type"] = "atomic" }
        if !node.unionFields.isEmpty { schema["x-kubernetes-unions"] = [union(node)] }
        if !node.kinds.isEmpty { schema["x-kubernetes-group-version-kind"] = .array(node.kinds.map(\.json)) }
        return .object(schema)
    }

    private static func listDescription(_ node: SchemaNode) -> String? {
        guard !node.kinds.isEmpty, let items = node.property("items")?.node.items, !items.name.isEmpty else {
            return nil
        }
        return "A list of objects of kind \(items.shortName)."
    }

    private func union(_ node: SchemaNode) -> JSON {
        var union = JSONObject()
        if !node.unionDiscriminator.isEmpty { union["discriminator"] = .string(node.unionDiscriminator) }
        union["fields-to-discriminateBy"] = .object(
            JSONObject(node.unionFields.map { ($0, .string($0.prefix(1).uppercased() + $0.dropFirst())) }))
        return .object(union)
    }

    private func property(_ property: SchemaProperty, _ description: String?) -> JSON {
        var schema = JSONObject()
        if let description { schema["description"] = .string(description) }
        let node = property.node
        if node.name.isEmpty {
            addType(node, &schema)
        } else if version == .three, property.defaultValue != nil || description != nil {
            // Version 3 says that nothing beside a reference counts.
            schema["allOf"] = [reference(node)]
        } else {
            schema["$ref"] = .string(version.prefix + node.name)
        }
        if let value = property.defaultValue, !value.isEmptyObject || !node.requiresMembers {
            schema["default"] = value
        }
        if let listType = property.listType {
            schema["x-kubernetes-list-type"] = listType == .atomic ? "atomic" : listType == .set ? "set" : "map"
        }
        if !property.mapKeys.isEmpty { schema["x-kubernetes-list-map-keys"] = JSON(property.mapKeys) }
        if let mapType = property.mapType {
            schema["x-kubernetes-map-type"] = mapType == .atomic ? "atomic" : "granular"
        }
        var strategies: [String] = []
        if property.mergesList { strategies.append("merge") }
        if property.replaces { strategies.append("replace") }
        if property.retainsKeys { strategies.append("retainKeys") }
        if !strategies.isEmpty { schema["x-kubernetes-patch-strategy"] = .string(strategies.joined(separator: ",")) }
        if let mergeKey = property.mergeKey { schema["x-kubernetes-patch-merge-key"] = .string(mergeKey) }
        return .object(schema)
    }

    func reference(_ node: SchemaNode) -> JSON { ["$ref": .string(version.prefix + node.name)] }

    private func inline(_ node: SchemaNode) -> JSON {
        if !node.name.isEmpty { return reference(node) }
        var schema = JSONObject()
        addType(node, &schema)
        return .object(schema)
    }

    private func addType(_ node: SchemaNode, _ schema: inout JSONObject) {
        func set(_ type: String, _ format: String? = nil) {
            schema["type"] = .string(type)
            if let format { schema["format"] = .string(format) }
        }
        switch node.shape {
        case .string, .quantity: set("string")
        case .bytes: set("string", "byte")
        case .time, .microTime: set("string", "date-time")
        case .intOrString: set("string", "int-or-string")
        case .integer32: set("integer", "int32")
        case .integer64: set("integer", "int64")
        case .number: set("number", "double")
        case .boolean: set("boolean")
        case .object, .freeObject: set("object")
        case .array:
            set("array")
            schema["items"] = node.items.map(inline)
        case .map:
            set("object")
            schema["additionalProperties"] = node.additionalProperties.map(inline)
        case .any: break
        }
    }
}

extension SchemaNode {
    /// Whether an empty object is no valid value, and so no default to state, though the server's own code knows it as one.
    fileprivate var requiresMembers: Bool { shape == .object && properties.contains(where: \.isRequired) }
}

extension JSON {
    fileprivate var isEmptyObject: Bool { objectValue?.isEmpty ?? false }
}

extension GroupVersionKind {
    var json: JSON { ["group": .string(group), "version": .string(version), "kind": .string(kind)] }
}
