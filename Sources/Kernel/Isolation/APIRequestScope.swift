/// What a request to hostd.api/1 touches, read from its method and path in the way in which the API reads them.
enum APIRequestScope: Equatable {
    /// `resource`: "pods", "deployments.apps"; nil for a path that names none (discovery, versions, health).
    case read(String?)
    case write(String?, subresource: String?)

    /// Subresources that do something whatever the method is.
    private static let acting: Set<String> = ["exec", "attach", "portforward", "proxy"]

    /// nil when the request has a form about which two readers could disagree: it is refused then.
    init?(method: String, path: String) {
        guard let target = Self.target(of: path) else { return nil }
        let verb = method.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false).first ?? ""
        switch verb {
        case "GET":
            if let subresource = target.subresource, Self.acting.contains(subresource) {
                self = .write(target.resource, subresource: subresource)
            } else {
                self = .read(target.resource)
            }
        case "POST", "PUT", "PATCH", "DELETE": self = .write(target.resource, subresource: target.subresource)
        default: return nil
        }
    }

    private static func target(of path: String) -> (resource: String?, subresource: String?)? {
        let bytes = path.utf8.prefix { $0 != UInt8(ascii: "?") }
        // Escapes, empty and dotted components, and what is not plain text can be read in two ways.
        guard bytes.first == UInt8(ascii: "/"),
            bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "%") && $0 != UInt8(ascii: "#") })
        else { return nil }
        var parts = String(decoding: bytes, as: UTF8.self).split(separator: "/", omittingEmptySubsequences: false)
            .dropFirst()
        if parts.last?.isEmpty == true { parts.removeLast() }
        guard !parts.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) else { return nil }
        var group = ""
        if parts.count >= 3, parts.first == "api" {
            parts = parts.dropFirst(2)
        } else if parts.count >= 4, parts.first == "apis" {
            group = String(parts[parts.startIndex + 1])
            parts = parts.dropFirst(3)
        } else {
            return (nil, nil)
        }
        if parts.first == "watch", parts.count > 1 { parts = parts.dropFirst() }
        if parts.first == "namespaces", parts.count >= 3, !isOfNamespaceItself(parts) { parts = parts.dropFirst(2) }
        guard let resource = parts.first else { return nil }
        let subresource = parts.count >= 3 ? String(parts[parts.startIndex + 2]) : nil
        return (group.isEmpty ? String(resource) : "\(resource).\(group)", subresource)
    }

    private static func isOfNamespaceItself(_ parts: ArraySlice<Substring>) -> Bool {
        parts.count == 3 && ["status", "finalize"].contains(parts[parts.startIndex + 2])
    }
}
