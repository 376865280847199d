/// What a URL's path means: an API resource, or something else of the server's.
enum RequestPath: Sendable, Equatable {
    struct ResourcePath: Sendable, Equatable {
        var group = ""
        var version = ""
        /// Empty for the cluster and for lists over all namespaces.
        var namespace = ""
        var resource = ""
        /// Empty for a collection.
        var name = ""
        var subresource = ""
        /// What follows the subresource (of a proxy), without its leading slash.
        var rest = ""
        /// The deprecated form /api/v1/watch/….
        var isWatch = false
    }

    case resource(ResourcePath)
    case other(String)

    /// Reads a path without its query.
    /// See https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris.
    init(parsing path: Substring) throws(APIStatus) {
        // By bytes: a slash is one, whatever follows it.
        var parts = path.utf8.split(separator: UInt8(ascii: "/")).map { Substring($0) }
        var resource = ResourcePath()
        if parts.count >= 3, parts[0] == "api" {
            resource.version = String(parts[1])
            parts.removeFirst(2)
        } else if parts.count >= 4, parts[0] == "apis" {
            resource.group = String(parts[1])
            resource.version = String(parts[2])
            parts.removeFirst(3)
        } else {
            self = .other(try PercentEncoding.decode(path))
            return
        }
        if parts[0] == "watch", parts.count > 1 {
            resource.isWatch = true
            parts.removeFirst()
        }
        var rest = parts[...]
        if rest.first == "namespaces", rest.count >= 3, !(rest.count == 3 && Self.isNamespaceSubresource(parts[2])) {
            resource.namespace = try PercentEncoding.decode(parts[1])
            rest = rest.dropFirst(2)
        }
        resource.resource = try PercentEncoding.decode(rest.first ?? "")
        rest = rest.dropFirst()
        if let name = rest.popFirst() { resource.name = try PercentEncoding.decode(name) }
        if let subresource = rest.popFirst() { resource.subresource = try PercentEncoding.decode(subresource) }
        if !rest.isEmpty { resource.rest = try PercentEncoding.decode(Substring(rest.joined(separator: "/"))) }
        self = .resource(resource)
    }

    private static func isNamespaceSubresource(_ part: Substring) -> Bool { part == "status" || part == "finalize" }
}
