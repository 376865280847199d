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

    /// Of a path that is described: what is there, and how its operations are called.
    private struct Place {
        var resource: SchemaResource
        var kind: GroupVersionKind
        var subresource = ""
        var isNamed = false
        /// The objects of all namespaces.
        var isOfAll = false
        /// What the path of a proxy goes on with.
        var hasRest = false

        var isNamespaced: Bool { resource.isNamespaced && !isOfAll }

        /// "NamespacedPodLog".
        func subject(list: String = "") -> String {
            (isNamespaced ? "Namespaced" : "") + resource.kind + list + OpenAPINames.capitalized(subresource)
                + (hasRest ? "WithPath" : "") + (isOfAll ? "ForAllNamespaces" : "")
        }
    }

    static func root(group: String, version: String) -> String {
        group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
    }

    /// Calls `body` with each path of a resource and its description.
    func forEachPath(of resource: SchemaResource, _ body: (String, JSON) -> Void) {
        let root = Self.root(group: resource.group, version: resource.version)
        let scope = resource.isNamespaced ? "/namespaces/{namespace}/\(resource.plural)" : "/\(resource.plural)"
        let kind = resource.groupVersionKind
        let inScope = Place(resource: resource, kind: kind)
        let ofAll = Place(resource: resource, kind: kind, isOfAll: true)
        let item = Place(resource: resource, kind: kind, isNamed: true)
        func add(_ path: String, _ place: Place, _ operations: [OpenAPIOperation]) {
            if !operations.isEmpty { body(path, describe(place, operations)) }
        }
        if resource.isNamespaced, resource.allows("list") {
            add("\(root)/\(resource.plural)", ofAll, [operation("get", "list", ofAll)])
        }
        add(
            root + scope, inScope,
            [("list", "get", "list"), ("create", "post", "post"), ("deletecollection", "delete", "deletecollection")]
                .filter { resource.allows($0.0) }.map { operation($0.1, $0.2, inScope) })
        let itemActions = [("get", "get", "get"), ("update", "put", "put"), ("patch", "patch", "patch")]
        add(
            root + scope + "/{name}", item,
            (itemActions + [("delete", "delete", "delete")]).filter { resource.allows($0.0) }.map {
                operation($0.1, $0.2, item)
            })
        for subresource in resource.subresources {
            let place = Place(
                resource: resource, kind: subresource.kind, subresource: subresource.name, isNamed: true)
            let path = "\(root)\(scope)/{name}/\(subresource.name)"
            guard subresource.kind.kind.hasSuffix("Options") else {
                let actions = [("create", "post", "post")] + itemActions
                add(
                    path, place,
                    actions.filter { subresource.verbs.contains($0.0) }.map { operation($0.1, $0.2, place) })
                continue
            }
            addConnections(path, place, subresource, body)
        }
        // Custom resources have no paths of their own for watches.
        guard resource.allows("watch"), customNames[kind] == nil else { return }
        let watch = root + "/watch"
        if resource.isNamespaced {
            add("\(watch)/\(resource.plural)", ofAll, [operation("get", "watchlist", ofAll)])
        }
        add(watch + scope, inScope, [operation("get", "watchlist", inScope)])
        if resource.allows("get") { add(watch + scope + "/{name}", item, [operation("get", "watch", item)]) }
    }

    /// What is connected to: processes, ports, and servers behind proxies, which take any method and path.
    private func addConnections(
        _ path: String, _ place: Place, _ subresource: SchemaResource.Subresource, _ body: (String, JSON) -> Void
    ) {
        let methods = [("get", "get"), ("create", "post"), ("update", "put"), ("patch", "patch"), ("delete", "delete")]
        let isProxy = subresource.name == "proxy"
        let names =
            methods.filter { subresource.verbs.contains($0.0) }.map(\.1) + (isProxy ? ["head", "options"] : [])
        body(path, describe(place, names.map { operation($0, "connect", place) }))
        guard isProxy else { return }
        var rest = place
        rest.hasRest = true
        body(path + "/{path}", describe(rest, names.map { operation($0, "connect", rest) }))
    }

    private func describe(_ place: Place, _ operations: [OpenAPIOperation]) -> JSON {
        // What all operations take is said once.
        let hoisted = operations.dropFirst().reduce(Set(operations.first?.query ?? [])) { $0.intersection($1.query) }
        var description = JSONObject()
        for operation in operations { description[operation.method] = operation.json(version, hoisted: hoisted) }
        var parameters: [OpenAPIParameters.Parameter] = []
        if place.isNamed {
            parameters.append(OpenAPIParameters.path("name", "The name of the \(place.resource.kind)."))
        }
        if place.isNamespaced { parameters.append(OpenAPIParameters.path("namespace", "The namespace of the object.")) }
        if place.hasRest { parameters.append(OpenAPIParameters.path("path", "What is asked for there.")) }
        parameters += hoisted.sorted { $0.precedesByBytes($1) }.map(OpenAPIParameters.query)
        if !parameters.isEmpty {
            description["parameters"] = .array(parameters.map { OpenAPIOperation.parameter($0, version) })
        }
        return .object(description)
    }

    // MARK: - Operations

    private static let verbs = [
        "get": "read", "list": "list", "post": "create", "put": "replace", "patch": "patch", "delete": "delete",
        "deletecollection": "delete", "watch": "watch", "watchlist": "watch", "connect": "connect",
    ]

    private func operation(_ method: String, _ action: String, _ place: Place) -> OpenAPIOperation {
        let names = OpenAPINames(group: place.resource.group, version: place.resource.version)
        let subject =
            switch action {
            case "deletecollection": "Collection" + place.subject()
            case "watchlist": place.subject(list: "List")
            case "connect": OpenAPINames.capitalized(method) + place.subject()
            default: place.subject()
            }
        var operation = OpenAPIOperation(
            method: method, action: action, kind: place.kind,
            name: names.operation(Self.verbs[action] ?? action, subject), tag: names.tag,
            text: Self.text(action, place, method),
            query: OpenAPIParameters.query(action, subresource: place.subresource))
        if action == "patch" { operation.consumes = patchTypes(place.kind) }
        addTypes(action, place, &operation)
        addBodies(action, place.kind, &operation)
        return operation
    }

    private static func text(_ action: String, _ place: Place, _ method: String) -> String {
        let kind = place.resource.kind
        let part = place.subresource.isEmpty ? kind : "\(place.subresource) of a \(kind)"
        return switch action {
        case "list": "Lists objects of kind \(kind), or watches them."
        case "watch":
            "Watches one object of kind \(kind). A list with a field selector and the parameter watch does so, too."
        case "watchlist": "Watches objects of kind \(kind). A list with the parameter watch does so, too."
        case "deletecollection": "Deletes all selected objects of kind \(kind)."
        case "connect": "Connects a request of method \(method.uppercased()) to the \(part)."
        case "get": "Reads: \(part)."
        case "post": "Creates: \(part)."
        case "put": "Replaces: \(part)."
        case "patch": "Changes some fields: \(part)."
        default: "Deletes: \(part)."
        }
    }

    private func addTypes(_ action: String, _ place: Place, _ operation: inout OpenAPIOperation) {
        switch action {
        case "list", "watch", "watchlist":
            operation.produces += ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"]
        case "connect": operation.produces = ["*/*"]
        case "get" where place.subresource == "log": operation.produces.insert("text/plain", at: 0)
        case "post": operation.statuses = [200, 201, 202]
        case "put", "patch": operation.statuses = [200, 201]
        case "delete": operation.statuses = [200, 202]
        default: break
        }
    }

    private func addBodies(_ action: String, _ kind: GroupVersionKind, _ operation: inout OpenAPIOperation) {
        switch action {
        case "post", "put": operation.body = reference(kind)
        case "patch": operation.body = meta("Patch")
        case "delete", "deletecollection":
            operation.body = meta("DeleteOptions")
            operation.isBodyRequired = false
        default: break
        }
        let listKind = GroupVersionKind(group: kind.group, version: kind.version, kind: kind.kind + "List")
        let isText = action == "connect" || operation.produces.first == "text/plain"
        switch action {
        case _ where isText: operation.answer = ["type": "string"]
        case "list": operation.answer = reference(listKind)
        case "watch", "watchlist": operation.answer = meta("WatchEvent")
        case "delete" where answersDeletion(kind): operation.answer = reference(kind)
        case "delete", "deletecollection": operation.answer = meta("Status")
        default: operation.answer = reference(kind)
        }
    }

    private func answersDeletion(_ kind: GroupVersionKind) -> Bool {
        Schema.shared.resource(for: kind).map { SchemaResource.shownWhenDeleted.contains($0.storageName) } ?? false
    }

    /// The schema of a kind; nil when there is none.
    private func reference(_ kind: GroupVersionKind) -> JSON? {
        if let name = customNames[kind] { return ["$ref": .string(version.prefix + name)] }
        return Schema.shared.kind(kind).map(schemas.reference)
    }

    private func meta(_ name: String) -> JSON? {
        Schema.shared.definition(named: "io.k8s.apimachinery.pkg.apis.meta.v1." + name).map(schemas.reference)
    }

    private var schemas: OpenAPISchemaText { OpenAPISchemaText(version: version) }

    /// Which patches a kind takes. By this kubectl decides how it patches: the schema of a custom resource does not say how
    /// lists merge in a strategic merge patch, so it takes none.
    private func patchTypes(_ kind: GroupVersionKind) -> [String] {
        customNames[kind] == nil ? Self.patchTypes : Self.patchTypes.filter { !$0.contains("strategic") }
    }

    private static let patchTypes = [
        "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ]
}
