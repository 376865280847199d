/// The name in the path of a proxied pod, service or node: "NAME", "NAME:PORT" or "SCHEME:NAME:PORT".
/// See https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/.
struct ProxyName: Sendable, Equatable {
    enum Scheme: String, Sendable {
        case http
        case https
    }

    var scheme: Scheme
    var name: String
    /// A number, or for services also a name; empty when it is not given.
    var port: String

    /// Nil when the text is of another form.
    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        switch parts.count {
        case 1: self.init(scheme: .http, name: parts[0], port: "")
        case 2: self.init(scheme: .http, name: parts[0], port: parts[1])
        case 3:
            guard let scheme = parts[0].isEmpty ? .http : Scheme(rawValue: parts[0]) else { return nil }
            self.init(scheme: scheme, name: parts[1], port: parts[2])
        default: return nil
        }
        if name.isEmpty { return nil }
    }

    init(scheme: Scheme, name: String, port: String) {
        self.scheme = scheme
        self.name = name
        self.port = port
    }
}

/// What lies where in the raw path of a proxied resource.
enum ProxyPath {
    /// What follows the subresource, escapes and slashes as they were sent: "" or "/…".
    /// - Parameter components: How many the subresource is preceded by and itself is.
    static func rest(of path: String, after components: Int) -> Substring {
        var rest = path[...]
        for _ in 0..<components {
            rest = rest.drop { $0 == "/" }
            rest = rest.drop { $0 != "/" }
        }
        return rest
    }
}
