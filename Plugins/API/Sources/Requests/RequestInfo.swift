/// What a request is about as its path and method say, whether or not there is such a resource: for audit rules, and for the
/// flows that share the server.
struct RequestInfo: Sendable, Hashable {
    /// As authorization names it: "get", "list", "watch", "create", …; for other paths the method in lower case.
    var verb: String
    /// Whether it is about a resource; then `path` is empty.
    var isResource = true
    var group = ""
    var version = ""
    var resource = ""
    var subresource = ""
    var namespace = ""
    var name = ""
    var path = ""

    init(_ request: APIRequest) {
        switch request.path {
        case .other(let path):
            verb = Self.method(request.method)
            isResource = false
            self.path = path
        case .resource(let path):
            verb = request.verb(at: path)
            (group, version, resource, subresource) = (path.group, path.version, path.resource, path.subresource)
            (namespace, name) = (path.namespace, path.name)
            // A namespace is in itself, as in Kubernetes.
            if resource == "namespaces", group.isEmpty { namespace = name }
        }
    }

    /// Whether the request lasts as long as its client wants, and not only until an answer is made.
    var isLongRunning: Bool {
        verb == "watch" || ["attach", "exec", "log", "portforward", "proxy"].contains(subresource)
    }

    var isReadOnly: Bool { verb == "get" || verb == "list" || verb == "watch" }

    private static func method(_ method: APIRequest.Method) -> String {
        switch method {
        case .get: "get"
        case .post: "post"
        case .put: "put"
        case .patch: "patch"
        case .delete: "delete"
        case .other(let name): name.lowercased()
        }
    }
}
