import Objects

/// Parts of a CustomResourceDefinition's schemas that are one thing or another in JSON, and messages with a member for each in
/// protobuf (apiextensions.k8s.io/v1, JSON and JSONSchemaPropsOr…).
enum SchemaAlternative: String {
    /// Any value: its JSON text.
    case any = "apiextensions.v1.JSON"
    case schemaOrSchemas = "apiextensions.v1.JSONSchemaPropsOrArray"
    case schemaOrFlag = "apiextensions.v1.JSONSchemaPropsOrBool"
    case schemaOrNames = "apiextensions.v1.JSONSchemaPropsOrStringArray"

    /// The alternative that a message stands for; nil for every other message.
    init?(_ message: String) {
        guard message.hasPrefix("apiextensions.v1.JSON"), let known = Self(rawValue: message) else { return nil }
        self = known
    }

    /// What the message's members stand for.
    /// - Throws: when a value's text is no JSON.
    func json(of members: JSONObject) throws(ProtobufError) -> JSON {
        if let schema = members["schema"] { return schema }
        switch self {
        case .any: return try KubernetesProtobuf.embedded(members["raw"])
        case .schemaOrSchemas: return members["schemas"] ?? .array([])
        case .schemaOrFlag: return members["allows"] ?? false
        case .schemaOrNames: return members["property"] ?? .array([])
        }
    }

    /// The message's members for a value.
    func members(of value: JSON) -> JSON {
        switch (self, value) {
        case (.any, _): ["raw": .string(Base64.encode(value.serialized()))]
        case (.schemaOrFlag, .object): ["allows": true, "schema": value]
        case (.schemaOrFlag, _): ["allows": value]
        case (.schemaOrSchemas, .array): ["schemas": value]
        case (.schemaOrNames, .array): ["property": value]
        case (.schemaOrSchemas, _), (.schemaOrNames, _): ["schema": value]
        }
    }
}
