import Objects

/// The paths and operations of a resource, as OpenAPI documents list them.
struct OpenAPIPaths {
    let version: OpenAPISchemaText.Version
    /// The names of the schemas of custom resources and their lists.
    private let customNames: [GroupVersionKind: String]

    init(version: OpenAPISchemaText.Version, custom: [OpenAPICustomKind]) {
        self.version = version
        customNames = Dictionary(custom.flatMap(\.names), uniquingKeysWith: { first, _ in first })
    }

    /// The schema of a kind; nil when there is none.
    private func reference(_ kind: GroupVersionKind) -> JSON? {
        if let name = customNames[kind] { return ["$ref": .string(version.prefix + name)] }
        return Schema.shared.kind(kind).map(schemas.reference)
    }

    private var schemas: OpenAPISchemaText { OpenAPISchemaText(version: version) }

    static func root(group: String, version: String) -> String {
        group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
    }

    /// Calls `body` with each path of a resource and its description.
    func forEachPath(of resource: SchemaResource, _ body: (String, JSON) -> Void) {
        let root = Self.root(group: resource.group, version: resource.version)
        let base =
            resource.isNamespaced ? "\(root)/namespaces/{namespace}/\(resource.plural)" : "\(root)/\(resource.plural)"
        let kind = resource.groupVersionKind
        if resource.isNamespaced, resource.allows("list") {
            body("\(root)/\(resource.plural)", path([("get", "list", kind)], isNamespaced: false, isNamed: false))
        }
        let collection = [("get", "list"), ("post", "create"), ("delete", "deletecollection")]
        let item = [("get", "get"), ("put", "update"), ("patch", "patch"), ("delete", "delete")]
        let actions = ["create": "post", "update": "put"]
        func operations(_ table: [(String, String)], _ verbs: [String], _ kind: GroupVersionKind) -> [(
            String, String, GroupVersionKind
        )] {
            table.filter { verbs.contains($0.1) }.map { ($0.0, actions[$0.1] ?? $0.1, kind) }
        }
        let onCollection = operations(collection, resource.verbs, kind)
        if !onCollection.isEmpty { body(base, path(onCollection, isNamespaced: resource.isNamespaced, isNamed: false)) }
        let onItem = operations(item, resource.verbs, kind)
        if !onItem.isEmpty { body(base + "/{name}", path(onItem, isNamespaced: resource.isNamespaced, isNamed: true)) }
        for subresource in resource.subresources {
            let isConnect = subresource.kind.kind.hasSuffix("Options")
            var table = [
                ("get", "get"), ("post", "create"), ("put", "update"), ("patch", "patch"), ("delete", "delete"),
            ]
            if isConnect { table = table.filter { subresource.verbs.contains($0.1) }.map { ($0.0, "connect") } }
            let verbs = isConnect ? ["connect"] : subresource.verbs
            body(
                "\(base)/{name}/\(subresource.name)",
                path(operations(table, verbs, subresource.kind), isNamespaced: resource.isNamespaced, isNamed: true))
        }
    }

    private func path(
        _ operations: [(method: String, action: String, kind: GroupVersionKind)], isNamespaced: Bool, isNamed: Bool
    ) -> JSON {
        var description = JSONObject()
        for operation in operations { description[operation.method] = self.operation(operation.action, operation.kind) }
        var parameters: [JSON] = []
        if isNamespaced { parameters.append(parameter("namespace", "path", "string")) }
        if isNamed { parameters.append(parameter("name", "path", "string")) }
        if !parameters.isEmpty { description["parameters"] = .array(parameters) }
        return .object(description)
    }

    private func operation(_ action: String, _ kind: GroupVersionKind) -> JSON {
        var operation = JSONObject()
        var parameters = Self.query(action).map { parameter($0.0, "query", $0.1) }
        if let body = body(action, kind) {
            // The options of a deletion may be left out.
            let isRequired = !action.hasPrefix("delete")
            switch version {
            case .three:
                let types = action == "patch" ? patchTypes(kind) : ["*/*"]
                var content: JSON = ["content": .object(JSONObject(types.map { ($0, ["schema": body]) }))]
                if isRequired { content["required"] = true }
                operation["requestBody"] = content
            case .two:
                var parameter: JSON = ["name": "body", "in": "body", "schema": body]
                if isRequired { parameter["required"] = true }
                parameters.append(parameter)
                operation["consumes"] = JSON(action == "patch" ? patchTypes(kind) : ["*/*"])
            }
        }
        operation["parameters"] = .array(parameters)
        operation["responses"] = ["200": response(action, kind)]
        operation["x-kubernetes-action"] = .string(action)
        operation["x-kubernetes-group-version-kind"] = kind.json
        return .object(operation)
    }

    /// Which patches a kind takes. By this kubectl decides how it patches: the schema of a custom resource does not say how
    /// lists merge in a strategic merge patch, so it takes none.
    private func patchTypes(_ kind: GroupVersionKind) -> [String] {
        customNames[kind] == nil ? Self.patchTypes : Self.patchTypes.filter { !$0.contains("strategic") }
    }

    private static let patchTypes = [
        "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ]

    private static func query(_ action: String) -> [(String, String)] {
        let change = [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")]
        switch action {
        case "post", "put": return change
        case "patch": return change + [("force", "boolean")]
        case "delete":
            return [("dryRun", "string"), ("gracePeriodSeconds", "integer"), ("propagationPolicy", "string")]
        case "list", "deletecollection":
            return [
                ("allowWatchBookmarks", "boolean"), ("continue", "string"), ("fieldSelector", "string"),
                ("labelSelector", "string"), ("limit", "integer"), ("resourceVersion", "string"),
                ("resourceVersionMatch", "string"), ("timeoutSeconds", "integer"), ("watch", "boolean"),
            ]
        default: return []
        }
    }

    private func parameter(_ name: String, _ place: String, _ type: String) -> JSON {
        var parameter: JSON = ["name": .string(name), "in": .string(place)]
        if let text = OpenAPIParameters.texts[name] { parameter["description"] = .string(text) }
        if place == "path" { parameter["required"] = true }
        if version == .three {
            parameter["schema"] = ["type": .string(type)]
        } else {
            parameter["type"] = .string(type)
        }
        return parameter
    }

    private func body(_ action: String, _ kind: GroupVersionKind) -> JSON? {
        let meta = "io.k8s.apimachinery.pkg.apis.meta.v1."
        switch action {
        case "post", "put": return reference(kind)
        case "patch": return Schema.shared.definition(named: meta + "Patch").map(schemas.reference)
        case "delete", "deletecollection":
            return Schema.shared.definition(named: meta + "DeleteOptions").map(schemas.reference)
        default: return nil
        }
    }

    private func response(_ action: String, _ kind: GroupVersionKind) -> JSON {
        let schema: JSON?
        switch action {
        case "list":
            schema = reference(GroupVersionKind(group: kind.group, version: kind.version, kind: kind.kind + "List"))
        case "delete", "deletecollection":
            schema = Schema.shared.definition(named: "io.k8s.apimachinery.pkg.apis.meta.v1.Status").map(
                schemas.reference)
        default: schema = reference(kind)
        }
        guard let reference = schema else { return ["description": "OK"] }
        if version == .two { return ["description": "OK", "schema": reference] }
        return ["description": "OK", "content": ["application/json": ["schema": reference]]]
    }
}
