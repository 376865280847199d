/// A request that is handed on, from closure to closure: each copy of it would count the references to all that it has. It
/// never changes, so that who looks at it need not copy it either.
final class SharedRequest: Sendable {
    let request: APIRequest

    init(_ request: consuming APIRequest) { self.request = request }
}

/// One request at one resource. What runs it hands it on many times, so that its parts lie in one place.
struct RequestContext: Sendable {
    private final class Parts: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): changed only while one context alone refers to it.
        @exclusivity(unchecked) var shared: SharedRequest
        @exclusivity(unchecked) var path: RequestPath.ResourcePath
        let resource: Resource

        init(_ shared: SharedRequest, _ path: RequestPath.ResourcePath, _ resource: Resource) {
            self.shared = shared
            self.path = path
            self.resource = resource
        }
    }

    private var parts: Parts

    init(_ shared: SharedRequest, path: RequestPath.ResourcePath, resource: Resource) {
        parts = Parts(shared, path, resource)
    }

    init(request: APIRequest, path: RequestPath.ResourcePath, resource: Resource) {
        self.init(SharedRequest(request), path: path, resource: resource)
    }

    var request: APIRequest {
        _read { yield parts.shared.request }
        _modify {
            separate()
            var request = parts.shared.request
            defer { parts.shared = SharedRequest(request) }
            yield &request
        }
    }

    var path: RequestPath.ResourcePath {
        _read { yield parts.path }
        _modify {
            separate()
            yield &parts.path
        }
    }

    var resource: Resource { parts.resource }

    /// Before a change: makes its parts its own.
    private mutating func separate() {
        if !isKnownUniquelyReferenced(&parts) { parts = Parts(parts.shared, parts.path, parts.resource) }
    }

    var key: String { resource.key(path.namespace, path.name) }
    var query: Query { request.query }

    /// The verb as authorization names it.
    var verb: String { request.verb(at: path) }

    /// Whether the request is about the objects of all namespaces at once: these can be listed and watched, no more.
    var spansNamespaces: Bool { resource.isNamespaced && path.namespace.isEmpty && path.name.isEmpty }

    /// The HTTP methods that are served at the request's path, in alphabetical order.
    var servedMethods: [String] {
        let methods: KeyValuePairs<String, [String]>
        let verbs: [String]
        if let subresource = resource.subresource(path.subresource) {
            verbs = subresource.verbs
            methods = ["DELETE": ["delete"], "GET": ["get"], "PATCH": ["patch"], "POST": ["create"], "PUT": ["update"]]
        } else if path.name.isEmpty {
            verbs = resource.verbs
            methods =
                spansNamespaces
                ? ["GET": ["list", "watch"]]
                : ["DELETE": ["deletecollection"], "GET": ["list", "watch"], "POST": ["create"]]
        } else {
            verbs = resource.verbs
            methods = ["DELETE": ["delete"], "GET": ["get"], "PATCH": ["patch"], "PUT": ["update"]]
        }
        return methods.filter { $0.value.contains { verbs.contains($0) } }.map(\.key)
    }

    var attributes: Authorizer.Attributes {
        var attributes = Authorizer.Attributes(
            verb: verb, group: resource.group, version: resource.version, resource: resource.plural,
            subresource: path.subresource, namespace: path.namespace, name: path.name)
        guard path.name.isEmpty, !request.query.pairs.isEmpty,
            ["list", "watch", "deletecollection"].contains(attributes.verb)
        else { return attributes }
        if let text = request.query["fieldSelector"], !text.isEmpty {
            attributes.fields = AccessSelector(fields: text)
            // A list or watch of one name asks for no more than that object.
            attributes.name = attributes.fields.equality("metadata.name") ?? ""
        }
        if let text = request.query["labelSelector"], !text.isEmpty {
            attributes.labels = AccessSelector(labels: text)
        }
        return attributes
    }
}
