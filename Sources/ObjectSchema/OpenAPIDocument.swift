import Objects

/// OpenAPI documents of Kubernetes' kinds, made from the table when asked for; nothing of them is kept.
public enum OpenAPIDocument {
    private static let meta = "io.k8s.apimachinery.pkg.apis.meta.v1."

    /// The document of one group and version, as `/openapi/v3/apis/GROUP/VERSION` serves it: the paths of the given
    /// resources and the schemas that they need.
    public static func v3(
        group: String, version: String, serverVersion: String = "v1.36.0", resources: [SchemaResource]? = nil,
        custom: [OpenAPICustomKind] = []
    ) -> [UInt8] {
        let resources = resources ?? Schema.shared.resources.filter { $0.group == group && $0.version == version }
        var text = Text()
        text.append(
            "{\"openapi\":\"3.0.0\",\"info\":{\"title\":\"Kubernetes\",\"version\":\"\(serverVersion)\"},\"paths\":{")
        var roots = Set(resources.map(\.groupVersionKind))
        appendPaths(resources, .three, &text, &roots, custom)
        text.append("},\"components\":{\"schemas\":{")
        appendSchemas(roots, .three, &text, custom)
        text.append(
            "},\"securitySchemes\":{\"BearerToken\":{\"type\":\"apiKey\",\"description\":\"Bearer Token authentication\",\"name\":\"authorization\",\"in\":\"header\"}}}}"
        )
        return text.bytes
    }

    /// The one document of version 2, as `/openapi/v2` serves it.
    /// - Parameter others: what other servers' documents bring into it.
    public static func v2(
        serverVersion: String = "v1.36.0", resources: [SchemaResource]? = nil, custom: [OpenAPICustomKind] = [],
        others: OpenAPIOthers = OpenAPIOthers()
    ) -> [UInt8] {
        let resources = resources ?? Schema.shared.resources
        var text = Text()
        text.append(
            "{\"swagger\":\"2.0\",\"info\":{\"title\":\"Kubernetes\",\"version\":\"\(serverVersion)\"},\"paths\":{")
        var roots = Set(resources.map(\.groupVersionKind))
        appendPaths(resources, .two, &text, &roots, custom)
        var isFirst = resources.isEmpty && custom.isEmpty
        for (path, item) in others.paths { text.appendMember(path, item, &isFirst) }
        text.append("},\"definitions\":{")
        appendSchemas(roots, .two, &text, custom, alsoNeeded: others.ownNames)
        for (name, schema) in others.definitions {
            isFirst = false
            text.appendMember(name, schema, &isFirst)
        }
        text.append(
            "},\"securityDefinitions\":{\"BearerToken\":{\"type\":\"apiKey\",\"description\":\"Bearer Token authentication\",\"name\":\"authorization\",\"in\":\"header\"}},\"security\":[{\"BearerToken\":[]}]}"
        )
        return text.bytes
    }

    private static func appendPaths(
        _ resources: [SchemaResource], _ version: OpenAPISchemaText.Version, _ text: inout Text,
        _ roots: inout Set<GroupVersionKind>, _ custom: [OpenAPICustomKind]
    ) {
        var isFirst = true
        let paths = OpenAPIPaths(
            version: version, customNames: Dictionary(custom.flatMap(\.names), uniquingKeysWith: { first, _ in first }))
        for resource in resources {
            var described: [(String, JSON)] = []
            paths.forEachPath(of: resource) { described.append(($0, $1)) }
            for (path, description) in described { text.appendMember(path, description, &isFirst) }
            roots.insert(
                GroupVersionKind(group: resource.group, version: resource.version, kind: resource.kind + "List"))
            for subresource in resource.subresources { roots.insert(subresource.kind) }
        }
        for kind in custom {
            paths.forEachPath(of: kind.resource) { text.appendMember($0, $1, &isFirst) }
            for subresource in kind.resource.subresources { roots.insert(subresource.kind) }
        }
    }

    /// The schemas of the roots and, in the order of their names, of all that they refer to.
    private static func appendSchemas(
        _ roots: Set<GroupVersionKind>, _ version: OpenAPISchemaText.Version, _ text: inout Text,
        _ custom: [OpenAPICustomKind], alsoNeeded: Set<String> = []
    ) {
        var needed: [String: SchemaNode] = [:]
        func collect(_ node: SchemaNode) {
            if !node.name.isEmpty {
                guard needed[node.name] == nil else { return }
                needed[node.name] = node
            }
            for property in node.properties { collect(property.node) }
            if let element = node.items ?? node.additionalProperties { collect(element) }
        }
        for root in roots { if let node = Schema.shared.kind(root) { collect(node) } }
        for name in ["DeleteOptions", "Status", "Patch", "WatchEvent", "APIResourceList", "ObjectMeta", "ListMeta"] {
            if let node = Schema.shared.definition(named: meta + name) { collect(node) }
        }
        for name in alsoNeeded { if let node = Schema.shared.definition(named: name) { collect(node) } }
        let schemas = OpenAPISchemaText(version: version, descriptions: SchemaDescriptions())
        var isFirst = true
        for (name, node) in needed.sorted(by: { $0.key.precedesByBytes($1.key) }) {
            text.appendMember(name, schemas.schema(node), &isFirst)
        }
        for kind in custom {
            text.appendMember(kind.name, kind.document(version), &isFirst)
            text.appendMember(kind.name + "List", kind.listDocument(version), &isFirst)
        }
    }

    private struct Text {
        var bytes: [UInt8] = []

        mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

        mutating func appendMember(_ key: String, _ value: JSON, _ isFirst: inout Bool) {
            if !isFirst { bytes.append(UInt8(ascii: ",")) }
            isFirst = false
            JSON.string(key).write(into: &bytes)
            bytes.append(UInt8(ascii: ":"))
            value.write(into: &bytes)
        }
    }
}
