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
        var rest = Self.parts(of: path)[...]
        var resource = ResourcePath()
        if rest.count >= 3, rest.first == "api" {
            resource.version = rest[1]
            rest = rest.dropFirst(2)
        } else if rest.count >= 4, rest.first == "apis" {
            resource.group = rest[1]
            resource.version = rest[2]
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
        if !rest.isEmpty { resource.rest = try PercentEncoding.decode(rest.joined(separator: "/")) }
        self = .resource(resource)
    }

    /// What lies between slashes, as it was sent. By bytes: a slash is one, whatever follows it.
    private static func parts(of path: Substring) -> [String] {
        var path = path
        return path.withUTF8 { bytes in
            var parts: [String] = []
            parts.reserveCapacity(8)
            var start = 0
            for position in 0...bytes.count where position == bytes.count || bytes[position] == UInt8(ascii: "/") {
                let part = UnsafeBufferPointer(rebasing: bytes[start..<position])
                if !part.isEmpty { parts.append(String(decoding: part, as: UTF8.self)) }
                start = position + 1
            }
            return parts
        }
    }

    private static func isNamespaceSubresource(_ part: String) -> Bool { part == "status" || part == "finalize" }
}
