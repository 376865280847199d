import Objects

extension OpenAPIDocuments {
    /// The schema of a resource's objects, with all that it refers to in its place; nil for objects of another server.
    /// Takes some milliseconds: not on an event loop.
    func schema(of resource: Resource) -> JSON? {
        guard let place = places.first(where: { $0.group == resource.group && $0.version == resource.version }),
            let document = try? JSON(parsing: document(place))
        else { return nil }
        let schemas = document["components"]["schemas"]
        let kind: JSON = [
            "group": .string(resource.group), "version": .string(resource.version), "kind": .string(resource.kind),
        ]
        guard
            let own = schemas.objectValue?.first(where: { _, schema in
                schema["x-kubernetes-group-version-kind"].arrayValue.contains(kind)
            })
        else { return nil }
        return WholeSchema(schemas: schemas).schema(own.value, within: [own.key])
    }
}

/// Puts what schemas refer to in its place.
private struct WholeSchema {
    /// By name: `components.schemas` of a document.
    let schemas: JSON

    /// What may be anything.
    private static let anything: JSON = ["x-kubernetes-int-or-string": true]

    /// - Parameter names: The schemas that this one is a part of: one that contains itself ends there.
    func schema(_ schema: JSON, within names: [String]) -> JSON {
        let reference = schema["$ref"].stringValue ?? schema["allOf"][0]["$ref"].stringValue
        if let name = reference?.split(separator: "/").last.map(String.init) {
            guard !names.contains(name) else { return Self.anything }
            return self.schema(schemas[name], within: names + [name])
        }
        guard schema["type"].exists else { return Self.anything }
        var whole = schema
        if case .object(var properties) = schema["properties"] {
            properties.updateValues { (_, value: inout JSON) throws(Never) in
                value = self.schema(value, within: names)
            }
            whole["properties"] = .object(properties)
        }
        for key in ["items", "additionalProperties"] where schema[key].objectValue != nil {
            whole[key] = self.schema(schema[key], within: names)
        }
        return whole
    }
}
