/// By what requests are counted, in the labels of Kubernetes' API server. There are as many of them as resources are used
/// in ways that exist: nothing that a client makes up is among them.
/// See https://kubernetes.io/docs/reference/instrumentation/metrics/.
struct RequestLabels: Sendable, Hashable {
    /// "GET", "LIST", "WATCH", …; "other" for a method that nobody serves.
    var verb: String
    var group = ""
    var version = ""
    var resource = ""
    var subresource = ""
    /// "cluster", "namespace" or "resource"; empty for what is no resource.
    var scope = ""
    var isDryRun = false

    /// Of a request for what is no resource, or none that is known.
    init(method: String) {
        verb = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(method) ? method : "other"
    }

    init(_ context: RequestContext) {
        let (resource, path) = (context.resource, context.path)
        (group, version, self.resource) = (resource.group, resource.version, resource.plural)
        if resource.subresource(path.subresource) != nil { subresource = path.subresource }
        let isCreation = context.request.method == .post
        scope = !path.name.isEmpty || isCreation ? "resource" : path.namespace.isEmpty ? "cluster" : "namespace"
        isDryRun = context.query["dryRun"] == "All"
        if ["attach", "exec", "portforward", "proxy"].contains(subresource) {
            verb = "CONNECT"
            return
        }
        switch context.verb {
        case "get": verb = "GET"
        case "list": verb = "LIST"
        case "watch": verb = "WATCH"
        case "create": verb = "POST"
        case "update": verb = "PUT"
        case "patch": verb = context.request.patchType.map(Apply.isAsked) == true ? "APPLY" : "PATCH"
        case "delete": verb = "DELETE"
        case "deletecollection": verb = "DELETECOLLECTION"
        default: verb = "other"
        }
    }

    /// Whether answers are read for what they hold: their sizes are told.
    var isRead: Bool { verb == "GET" || verb == "LIST" }

    /// As Prometheus has them.
    /// - Parameter status: Of the answer; nil: for all together.
    func text(status: Int? = nil, showsDryRun: Bool = true) -> String {
        (status.map { "code=\"\($0)\"," } ?? "") + "component=\"apiserver\","
            + (showsDryRun ? "dry_run=\"\(isDryRun ? "All" : "")\"," : "")
            + "group=\"\(group)\",resource=\"\(resource)\","
            + "scope=\"\(scope)\",subresource=\"\(subresource)\",verb=\"\(verb)\",version=\"\(version)\""
    }
}
