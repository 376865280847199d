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
        var rest = path.utf8.split(separator: UInt8(ascii: "/")).map(Substring.init)[...]
        var resource = ResourcePath()
        if rest.count >= 3, rest.first == "api" {
            resource.version = String(rest[1])
            rest = rest.dropFirst(2)
        } else if rest.count >= 4, rest.first == "apis" {
            resource.group = String(rest[1])
            resource.version = String(rest[2])
            rest = rest.dropFirst(3)
        } else {
            self = .other(try PercentEncoding.decode(path))
            return
        }
        if rest.first == "watch", rest.count > 1 {
            resource.isWatch = true
            rest = rest.dropFirst()
        }
        if rest.first == "namespaces", rest.count >= 3,
            !(rest.count == 3 && Self.isNamespaceSubresource(rest[rest.startIndex + 2]))
        {
            resource.namespace = try PercentEncoding.decode(rest[rest.startIndex + 1])
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
