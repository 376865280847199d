/// How a server's answer is changed on its way back to the client. Pure.
struct ProxyResponse: Sendable {
    /// What precedes the server's own paths in those of the client: "/api/v1/namespaces/n/pods/p/proxy"; may be empty.
    var prefix: String
    /// The server, as its own redirects may name it: "10.244.0.5:80".
    var authority: String
    /// The front, as the client named it.
    var requestHost: String

    /// Fields that are about one connection, or allow pages of other origins what the front does not allow them.
    private static let dropped: Set = [
        "access-control-allow-credentials", "access-control-allow-headers", "access-control-allow-methods",
        "access-control-allow-origin", "connection", "content-length", "keep-alive", "proxy-authenticate",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    ]

    /// The head for the client.
    /// - Parameters:
    ///   - framing: of the body as the client gets it.
    ///   - length: a Content-Length to show where there is no body.
    ///   - keepsAlive: whether more requests may follow.
    func head(
        _ head: HTTPResponseHead, _ framing: HTTPBodyReader.Framing, length: String? = nil, keepsAlive: Bool
    ) -> [UInt8] {
        let reason = head.reason.isEmpty ? "\(HTTPResponse.phrase(head.status))" : head.reason
        var text = "HTTP/1.1 \(head.status) \(reason)\r\n"
        let named = head.values("connection").flatMap { value in
            value.split { $0 == "," || $0 == " " || $0 == "\t" }.map { $0.lowercased() }
        }
        let dropped = Self.dropped.union(named)
        for field in head.fields {
            let name = field.name.lowercased()
            guard !dropped.contains(name) else { continue }
            text += "\(field.name): \(name == "location" ? rewritten(field.value) : field.value)\r\n"
        }
        if head.status == 101 {
            text += "Connection: Upgrade\r\nUpgrade: \(head.values("upgrade").joined(separator: ", "))\r\n"
            return Array((text + "\r\n").utf8)
        }
        switch framing {
        case .none: if let length { text += "Content-Length: \(length)\r\n" }
        case .counted(let length): text += "Content-Length: \(length)\r\n"
        case .chunked: text += "Transfer-Encoding: chunked\r\n"
        case .untilClose: break
        }
        if !keepsAlive { text += "Connection: close\r\n" }
        return Array((text + "\r\n").utf8)
    }

    /// Whether an answer is a page whose links are to lead through the front. One that is compressed is left as it is, as
    /// Kubernetes leaves those whose coding it does not know; browsers are not sent compressed pages (`ProxyRequest`).
    func leadsLinks(of head: HTTPResponseHead) -> Bool {
        guard !prefix.isEmpty, let type = head.values("content-type").first else { return false }
        let coding = head.values("content-encoding").first ?? ""
        return MediaRange.all(type).first?.type == "text/html" && (coding.isEmpty || coding.lowercased() == "identity")
    }

    /// Where a redirect, or a page's link, leads the client: to the server's own paths by way of the front, elsewhere as it says.
    func rewritten(_ location: String) -> String {
        guard let (host, path) = Self.split(location) else { return location }
        guard host.isEmpty || host == authority || host == requestHost else { return location }
        guard path.hasPrefix("/") else { return location }
        return path.hasPrefix(prefix) ? String(path) : prefix + path
    }

    /// The host (empty when there is none) and the rest of a URL; nil for what has a scheme and no host.
    private static func split(_ location: String) -> (host: Substring, path: Substring)? {
        var rest = location[...]
        let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        if let colon = rest[..<end].firstIndex(of: ":") {
            guard ["http", "https"].contains(rest[..<colon].lowercased()) else { return nil }
            rest = rest[rest.index(after: colon)...]
        }
        guard rest.hasPrefix("//") else { return ("", rest) }
        rest = rest.dropFirst(2)
        let slash = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        let path = rest[slash...]
        return (rest[..<slash], path.hasPrefix("/") ? path : "/" + path)
    }
}
