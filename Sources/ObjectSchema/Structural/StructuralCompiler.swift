import Objects

/// Turns the schema of a custom resource (`openAPIV3Schema`) into nodes. Descriptions and examples are not kept, and equal
/// parts of the schema become one node.
public struct StructuralCompiler {
    /// What makes two parts of a schema one node.
    private struct Identity: Hashable {
        var own: JSON
        var children: [ObjectIdentifier]
    }

    private var known: [Identity: SchemaNode] = [:]

    private init() {}

    /// The type of a custom resource's objects. Complexity: O(size of the schema).
    ///
    /// The schema must be structural, which `StructuralCheck` tells. Throws for a pattern that is none.
    public static func compile(_ schema: JSON) throws(StructuralSchemaError) -> SchemaNode {
        var compiler = StructuralCompiler()
        return try compiler.node(schema, isRoot: true)
    }

    /// The type of a value of a part of a schema.
    static func compilePart(_ schema: JSON) throws(StructuralSchemaError) -> SchemaNode {
        var compiler = StructuralCompiler()
        return try compiler.node(schema)
    }

    private static let scalars: [String: SchemaNode] = [
        "string": SchemaNode(shape: .string), "boolean": SchemaNode(shape: .boolean),
        "integer": SchemaNode(shape: .integer64), "number": SchemaNode(shape: .number),
    ]

    /// The keys that make a plain scalar more than that.
    private static let silent: Set = ["type", "description", "title", "example", "externalDocs", "default"]

    private mutating func node(_ schema: JSON, isRoot: Bool = false) throws(StructuralSchemaError) -> SchemaNode {
        let type = schema["type"].stringValue ?? ""
        if let scalar = Self.scalars[type], (schema.objectValue ?? [:]).keys.allSatisfy(Self.silent.contains) {
            return scalar
        }
        var children: [SchemaNode] = []
        var names: [String] = []
        let isEmbedded = schema["x-kubernetes-embedded-resource"].boolValue ?? false
        for (name, member) in schema["properties"].objectValue ?? [:] {
            if (isRoot || isEmbedded) && Self.implied.contains(name) { continue }
            names.append(name)
            children.append(try node(member))
        }
        let inner = type == "array" ? schema["items"] : schema["additionalProperties"]
        let element = inner.objectValue == nil ? nil : try node(inner)
        if let element { children.append(element) }
        let identity = Identity(own: Self.own(schema, isRoot), children: children.map { ObjectIdentifier($0) })
        if let same = known[identity] { return same }
        let made = try make(schema, type, names, children, element, isRoot: isRoot, isEmbedded: isEmbedded)
        known[identity] = made
        return made
    }

    private static let implied: Set = ["apiVersion", "kind", "metadata"]

    /// What a schema says of the value itself; of its members only names and defaults.
    private static func own(_ schema: JSON, _ isRoot: Bool) -> JSON {
        guard case .object(var members) = schema else { return schema }
        members.removeAll { key, _ in
            ["description", "title", "example", "externalDocs", "items", "default"].contains(key)
        }
        if case .object(let properties)? = members["properties"] {
            members["properties"] = .object(JSONObject(properties.map { ($0.key, $0.value["default"]) }))
        }
        if members["additionalProperties"]?.objectValue != nil { members["additionalProperties"] = "schema" }
        if isRoot { members["root"] = true }
        return .object(members)
    }

    private func make(
        _ schema: JSON, _ type: String, _ names: [String], _ children: [SchemaNode], _ element: SchemaNode?,
        isRoot: Bool,
        isEmbedded: Bool
    ) throws(StructuralSchemaError) -> SchemaNode {
        let keepsUnknown = schema["x-kubernetes-preserve-unknown-fields"].boolValue ?? false
        var properties = zip(names, children).map { name, child in
            SchemaProperty(
                name: name, isRequired: false, defaultValue: Self.defaultValue(schema["properties"][name]), node: child)
        }
        if isRoot || isEmbedded { properties += Self.impliedProperties }
        properties.sort { $0.name.precedesByBytes($1.name) }
        let inside = children.compactMap(\.structure)
        let facts = StructuralFacts(
            isNullable: schema["nullable"].boolValue ?? false, keepsUnknown: keepsUnknown, isEmbedded: isEmbedded,
            isRoot: isRoot, listType: Self.listTypes[schema["x-kubernetes-list-type"].stringValue ?? ""],
            mapKeys: schema["x-kubernetes-list-map-keys"].arrayValue.compactMap(\.stringValue),
            hasDefaults: properties.contains { $0.defaultValue != nil } || inside.contains { $0.hasDefaults },
            hasExpressions: !schema["x-kubernetes-validations"].isEmpty || inside.contains { $0.hasExpressions },
            rules: try ValueRules(schema, isInside: false),
            expressions: try ExpressionRules(schema, isResourceRoot: isRoot || isEmbedded))
        return SchemaNode(
            shape: Self.shape(schema, type, hasProperties: !properties.isEmpty, hasElement: element != nil),
            isAtomic: schema["x-kubernetes-map-type"] == "atomic", properties: properties,
            element: element.map { .inline($0) }, structure: facts)
    }

    private static let listTypes: [String: SchemaProperty.ListType] = ["atomic": .atomic, "set": .set, "map": .map]

    private static func defaultValue(_ schema: JSON) -> JSON? {
        schema.objectValue?["default"]
    }

    /// The members of every object that the server itself knows.
    private static let impliedProperties: [SchemaProperty] = {
        let text = SchemaNode(shape: .string)
        let metadata = Schema.shared.definition(named: "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
        return [
            SchemaProperty(name: "apiVersion", isRequired: false, defaultValue: nil, node: text),
            SchemaProperty(name: "kind", isRequired: false, defaultValue: nil, node: text),
            SchemaProperty(
                name: "metadata", isRequired: false, defaultValue: nil, node: metadata ?? SchemaNode(shape: .freeObject)
            ),
        ]
    }()

    private static func shape(
        _ schema: JSON, _ type: String, hasProperties: Bool, hasElement: Bool
    ) -> SchemaNode.Shape {
        if schema["x-kubernetes-int-or-string"].boolValue == true { return .intOrString }
        switch type {
        case "string": return .string
        case "boolean": return .boolean
        case "integer": return .integer64
        case "number": return .number
        case "array": return .array
        case "object":
            if hasElement { return .map }
            let isOpen =
                schema["x-kubernetes-preserve-unknown-fields"].boolValue == true
                || schema["additionalProperties"].boolValue == true
            return isOpen && !hasProperties ? .freeObject : .object
        default: return hasProperties ? .object : .any
        }
    }
}

extension SchemaProperty {
    /// A property of a custom resource.
    convenience init(name: String, isRequired: Bool, defaultValue: JSON?, node: SchemaNode) {
        self.init(
            name: name, isRequired: isRequired, defaultValue: defaultValue, listType: nil, mapKeys: [],
            mergesList: false, retainsKeys: false, replaces: false, mergeKey: nil, mapType: nil,
            reference: .inline(node))
    }
}
