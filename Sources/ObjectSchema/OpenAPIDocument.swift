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
        var isFirst = true
        let discovery = OpenAPIServerPaths(version: .three).resources(group: group, version: version)
        text.appendMember(discovery.path, discovery.description, &isFirst)
        appendPaths(resources, .three, &text, &isFirst, &roots, custom)
        text.append("},\"components\":{\"schemas\":{")
        isFirst = true
        forEachSchema(roots, .three, custom) { text.appendMember($0, $1, &isFirst) }
        text.append(endOfThree)
        return text.bytes
    }

    private static let endOfThree =
        "},\"securitySchemes\":{\"BearerToken\":{\"type\":\"apiKey\",\"description\":\"Bearer Token authentication\",\"name\":\"authorization\",\"in\":\"header\"}}}}"

    /// The places of documents of version 3 that describe no resources: "api", "apis", "apis/apps", "version", ….
    public static func places(groups: [String]) -> [String] {
        let paths = OpenAPIServerPaths.paths + groups.filter { !$0.isEmpty }.map { "/apis/\($0)/" }
        return paths.map { String($0.dropFirst().dropLast()) }
    }

    /// The document of such a place; nil for any other.
    public static func v3(place: String, serverVersion: String = "v1.36.0") -> [UInt8]? {
        let paths = OpenAPIServerPaths(version: .three)
        let group = place.hasPrefix("apis/") ? String(place.dropFirst(5)) : ""
        guard let description = group.isEmpty ? paths.describe("/\(place)/") : paths.group(group)?.description else {
            return nil
        }
        var text = Text()
        text.append(
            "{\"openapi\":\"3.0.0\",\"info\":{\"title\":\"Kubernetes\",\"version\":\"\(serverVersion)\"},\"paths\":{")
        var isFirst = true
        text.appendMember("/\(place)/", description, &isFirst)
        text.append("},\"components\":{\"schemas\":{")
        isFirst = true
        forEachSchema(named: Set(OpenAPIServerPaths.schemas), .three) { text.appendMember($0, $1, &isFirst) }
        text.append(endOfThree)
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
        var isFirst = true
        appendServerPaths(resources + custom.map(\.resource), &text, &isFirst)
        appendPaths(resources, .two, &text, &isFirst, &roots, custom)
        for (path, item) in others.paths { text.appendMember(path, item, &isFirst) }
        text.append("},\"definitions\":{")
        isFirst = true
        forEachSchema(roots, .two, custom, alsoNeeded: others.ownNames) { text.appendMember($0, $1, &isFirst) }
        for (name, schema) in others.definitions { text.appendMember(name, schema, &isFirst) }
        text.append("},\"parameters\":{")
        isFirst = true
        for parameter in OpenAPIParameters.shared {
            text.appendMember(parameter.name, OpenAPIOperation.definition(parameter, .two), &isFirst)
        }
        text.append(
            "},\"securityDefinitions\":{\"BearerToken\":{\"type\":\"apiKey\",\"description\":\"Bearer Token authentication\",\"name\":\"authorization\",\"in\":\"header\"}},\"security\":[{\"BearerToken\":[]}]}"
        )
        return text.bytes
    }

    /// The paths of discovery, of the groups and versions that some resources are of.
    private static func appendServerPaths(_ resources: [SchemaResource], _ text: inout Text, _ isFirst: inout Bool) {
        let paths = OpenAPIServerPaths(version: .two)
        for path in OpenAPIServerPaths.paths { text.appendMember(path, paths.describe(path) ?? [:], &isFirst) }
        var seen: Set<String> = []
        for resource in resources {
            if seen.insert(resource.group).inserted, let (path, description) = paths.group(resource.group) {
                text.appendMember(path, description, &isFirst)
            }
            guard seen.insert(resource.apiVersion).inserted else { continue }
            let (path, description) = paths.resources(group: resource.group, version: resource.version)
            text.appendMember(path, description, &isFirst)
        }
    }

    private static func appendPaths(
        _ resources: [SchemaResource], _ version: OpenAPISchemaText.Version, _ text: inout Text, _ isFirst: inout Bool,
        _ roots: inout Set<GroupVersionKind>, _ custom: [OpenAPICustomKind]
    ) {
        let paths = OpenAPIPaths(version: version, custom: custom)
        for resource in resources {
            var described: [(String, JSON)] = []
            paths.forEachPath(of: resource) { described.append(($0, $1)) }
            for (path, description) in described { text.appendMember(path, description, &isFirst) }
            addKinds(of: resource, &roots)
        }
        for kind in custom {
            paths.forEachPath(of: kind.resource) { text.appendMember($0, $1, &isFirst) }
            for subresource in kind.resource.subresources { roots.insert(subresource.kind) }
        }
    }

    /// The document of version 2 as `openapi.v2.Document` of gnostic (OpenAPIv2.proto), which kubectl up to version 1.28 asks for,
    /// and later ones of servers without version 3. Of the paths it has the operations that change objects: by these clients
    /// tell what may be asked of a change. Definition by definition goes into it, so that no more than one lies beside it.
    public static func v2Protobuf(
        serverVersion: String = "v1.36.0", custom: [OpenAPICustomKind] = [], others: OpenAPIOthers = OpenAPIOthers()
    ) -> [UInt8] {
        var document = ProtobufWriter()
        document.string(1, "2.0")
        document.message(2) { information in
            information.string(1, "Kubernetes")
            information.string(2, serverVersion)
        }
        let resources = Schema.shared.resources
        let paths = OpenAPIPaths(version: .two, custom: custom)
        document.message(8) { message in
            for resource in resources + custom.map(\.resource) {
                paths.forEachPath(of: resource) { OpenAPIMessages.append(path: $0, $1, to: &message) }
            }
            for (path, item) in others.paths { OpenAPIMessages.append(path: path, item, to: &message) }
        }
        var roots: Set<GroupVersionKind> = []
        for resource in resources { addKinds(of: resource, &roots) }
        for kind in custom { roots.formUnion(kind.resource.subresources.map(\.kind)) }
        document.message(9) { message in
            forEachSchema(roots, .two, custom, alsoNeeded: others.ownNames) {
                OpenAPIMessages.append(schema: $0, $1, to: &message)
            }
            for (name, schema) in others.definitions { OpenAPIMessages.append(schema: name, schema, to: &message) }
        }
        return document.bytes
    }

    private static func addKinds(of resource: SchemaResource, _ roots: inout Set<GroupVersionKind>) {
        var list = resource.groupVersionKind
        list.kind += "List"
        roots.formUnion([resource.groupVersionKind, list] + resource.subresources.map(\.kind))
    }

    /// The schemas of the roots and, in the order of their names, of all that they refer to.
    private static func forEachSchema(
        _ roots: Set<GroupVersionKind>, _ version: OpenAPISchemaText.Version, _ custom: [OpenAPICustomKind],
        alsoNeeded: Set<String> = [], _ body: (String, JSON) -> Void
    ) {
        var names = alsoNeeded
        for name in ["DeleteOptions", "Status", "Patch", "WatchEvent", "ObjectMeta", "ListMeta"] {
            names.insert(meta + name)
        }
        forEachSchema(roots, named: names.union(OpenAPIServerPaths.schemas), version, body)
        for kind in custom {
            body(kind.name, kind.document(version))
            body(kind.name + "List", kind.listDocument(version))
        }
    }

    private static func forEachSchema(
        _ roots: Set<GroupVersionKind> = [], named names: Set<String>, _ version: OpenAPISchemaText.Version,
        _ body: (String, JSON) -> Void
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
        for name in names { if let node = Schema.shared.definition(named: name) { collect(node) } }
        let schemas = OpenAPISchemaText(version: version, descriptions: SchemaDescriptions())
        for (name, node) in needed.sorted(by: { $0.key.precedesByBytes($1.key) }) { body(name, schemas.schema(node)) }
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
