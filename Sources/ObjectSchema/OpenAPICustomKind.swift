import Objects

/// A version of a custom resource as OpenAPI documents show it.
public struct OpenAPICustomKind: Sendable {
    public let resource: SchemaResource
    let listKind: String
    /// Reads the schema of the definition: large, and only asked for while it is written out.
    private let schema: @Sendable () -> JSON

    public init(resource: SchemaResource, listKind: String, schema: @escaping @Sendable () -> JSON) {
        self.resource = resource
        self.listKind = listKind
        self.schema = schema
    }

    /// "com.example.stable.v1.CronTab" for the group stable.example.com.
    var name: String {
        let group = resource.group.split(separator: ".").reversed().joined(separator: ".")
        return "\(group).\(resource.version).\(resource.kind)"
    }

    /// The names of its definitions: of the kind and of its list.
    public var names: [(GroupVersionKind, String)] {
        var list = resource.groupVersionKind
        list.kind += "List"
        return [(resource.groupVersionKind, name), (list, name + "List")]
    }

    private static let keepsUnknown = "x-kubernetes-preserve-unknown-fields"
    private static let meta = "io.k8s.apimachinery.pkg.apis.meta.v1."

    private func text(_ description: String) -> JSON { ["description": .string(description), "type": "string"] }

    private var typeMembers: [(String, JSON)] {
        [
            (
                "apiVersion",
                text("APIVersion defines which version of the schema this object follows, as group/version.")
            ),
            ("kind", text("The kind of this object.")),
        ]
    }

    func document(_ version: OpenAPISchemaText.Version) -> JSON {
        let schema = schema()
        if version == .two, schema[Self.keepsUnknown].boolValue == true {
            // Clients of version 2 would take the members that are named for all that there are.
            return ["type": "object", "x-kubernetes-group-version-kind": [resource.groupVersionKind.json]]
        }
        var document = version == .two ? Self.version2(schema) : schema
        var properties = document["properties"].objectValue ?? [:]
        for (key, value) in typeMembers { properties[key] = value }
        let reference: JSON = ["$ref": .string(version.prefix + Self.meta + "ObjectMeta")]
        properties["metadata"] =
            version == .two ? reference : ["description": "Standard object's metadata.", "allOf": [reference]]
        document["type"] = "object"
        document["properties"] = .object(properties)
        document["x-kubernetes-group-version-kind"] = [resource.groupVersionKind.json]
        return document
    }

    func listDocument(_ version: OpenAPISchemaText.Version) -> JSON {
        var properties = JSONObject(typeMembers)
        properties["items"] = ["type": "array", "items": ["$ref": .string(version.prefix + name)]]
        properties["metadata"] = ["$ref": .string(version.prefix + Self.meta + "ListMeta")]
        var kind = resource.groupVersionKind
        kind.kind = listKind
        return [
            "description": .string("A list of objects of kind \(resource.kind)."), "type": "object",
            "required": ["items"], "properties": .object(properties),
            "x-kubernetes-group-version-kind": [kind.json],
        ]
    }

    /// What version 2 of OpenAPI can say: no combinations of schemas, and nothing of a value that may be null or have members
    /// that are not named.
    private static func version2(_ schema: JSON) -> JSON {
        guard case .object(var members) = schema else { return schema }
        for key in ["oneOf", "anyOf", "allOf", "not", "x-kubernetes-validations"] { members.removeValue(forKey: key) }
        if members.removeValue(forKey: "nullable")?.boolValue == true {
            for key in ["type", "properties", "items", "additionalProperties"] { members.removeValue(forKey: key) }
        }
        if members[keepsUnknown]?.boolValue == true {
            for key in ["properties", "items"] { members.removeValue(forKey: key) }
        }
        if case .object(var properties)? = members["properties"] {
            properties.updateValues { (_, value: inout JSON) throws(Never) in value = version2(value) }
            members["properties"] = .object(properties)
        }
        for key in ["items", "additionalProperties"] {
            if let inner = members[key], inner.objectValue != nil { members[key] = version2(inner) }
        }
        return .object(members)
    }
}
