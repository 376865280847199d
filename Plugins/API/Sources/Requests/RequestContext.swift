/// One request at one resource. What runs it hands it on many times, so that its parts lie in one place.
struct RequestContext: Sendable {
    private final class Parts: Sendable {
        let request: APIRequest
        let path: RequestPath.ResourcePath
        let resource: Resource

        init(_ request: APIRequest, _ path: RequestPath.ResourcePath, _ resource: Resource) {
            self.request = request
            self.path = path
            self.resource = resource
        }
    }

    private var parts: Parts

    init(request: APIRequest, path: RequestPath.ResourcePath, resource: Resource) {
        parts = Parts(request, path, resource)
    }

    var request: APIRequest {
        get { parts.request }
        set { parts = Parts(newValue, parts.path, parts.resource) }
    }

    var path: RequestPath.ResourcePath {
        _read { yield parts.path }
        _modify {
            var path = parts.path
            defer { parts = Parts(parts.request, path, parts.resource) }
            yield &path
        }
    }

    var resource: Resource { parts.resource }

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
