/// A client's request as it goes on to another server. Pure.
struct ProxyRequest: Sendable {
    var method: String
    /// Path and query.
    var target: String
    var host: String
    /// In lower case; what concerns one hop only has been left out.
    var headers: [(name: String, value: String)]
    /// The protocol that the client asks to go on with; empty for none.
    var upgrade = ""
    /// The body, as far as it has been read.
    var body: [UInt8] = []

    /// Whether it may be sent twice without harm (RFC 9110, section 9.2.1), and can be: there is no body. Only such requests
    /// are sent on connections that have waited, whose servers may be ending them at that moment.
    var isRepeatable: Bool { ["GET", "HEAD", "OPTIONS"].contains(method) && upgrade.isEmpty && body.isEmpty }

    /// Fields that are about one connection, or that the front itself has answered for (RFC 9110, section 7.6.1; who the
    /// client is has been settled, and is the other server's business only where it is told).
    private static let dropped: Set = [
        "authorization", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    ]

    /// What of a client's headers goes on.
    /// - Parameters:
    ///   - headers: names in lower case.
    ///   - peer: The client's address, which X-Forwarded-For is lengthened by.
    ///   - path: as the client sent it, for X-Forwarded-Uri.
    static func forwarded(
        _ headers: [(name: String, value: String)], peer: String, path: String
    ) -> [(name: String, value: String)] {
        let named = headers.filter { $0.name == "connection" }.flatMap { header in
            header.value.split { $0 == "," || $0 == " " || $0 == "\t" }.map { $0.lowercased() }
        }
        let dropped = dropped.union(named)
        var result: [(name: String, value: String)] = []
        var forwardedFor: [String] = []
        for (name, value) in headers where !dropped.contains(name) && !isOfAuthentication(name) {
            switch name {
            case "x-forwarded-for": forwardedFor.append(value)
            case "x-forwarded-uri": break
            case "sec-websocket-protocol":
                let kept = withoutToken(value)
                if !kept.isEmpty { result.append((name, kept)) }
            default: result.append((name, value))
            }
        }
        if !peer.isEmpty { forwardedFor.append(peer) }
        if !forwardedFor.isEmpty { result.append(("x-forwarded-for", forwardedFor.joined(separator: ", "))) }
        result.append(("x-forwarded-uri", path))
        return result
    }

    /// The headers of a request for a page, if it is one: they ask for it as it is, since its links are to be changed.
    static func uncompressed(_ headers: [(name: String, value: String)]) -> [(name: String, value: String)] {
        let wantsPage = headers.contains { header in
            header.name == "accept" && MediaRange.all(header.value).contains { $0.type == "text/html" }
        }
        return wantsPage ? headers.filter { $0.name != "accept-encoding" } : headers
    }

    private static func isOfAuthentication(_ name: String) -> Bool {
        name.hasPrefix("impersonate-") || FrontProxy.isHeader(name)
    }

    /// A token among a WebSocket's subprotocols is for this server alone.
    private static func withoutToken(_ value: String) -> String {
        let parts = value.split(separator: ",").map { $0.drop { $0 == " " } }
        return parts.filter { !$0.hasPrefix(Authenticator.subprotocolPrefix) }.joined(separator: ", ")
    }

    /// The head on the wire.
    /// - Parameter framing: of the body that follows.
    func head(_ framing: HTTPBodyReader.Framing) -> [UInt8] {
        var text = "\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n"
        for header in headers { text += "\(Self.spelled(header.name)): \(header.value)\r\n" }
        switch framing {
        case .none, .untilClose: break
        case .counted(let length): text += "Content-Length: \(length)\r\n"
        case .chunked: text += "Transfer-Encoding: chunked\r\n"
        }
        if !upgrade.isEmpty { text += "Connection: Upgrade\r\nUpgrade: \(upgrade)\r\n" }
        return Array((text + "\r\n").utf8)
    }

    /// "x-forwarded-for" as "X-Forwarded-For", which servers that look at the case expect.
    static func spelled(_ name: String) -> String {
        name.split(separator: "-", omittingEmptySubsequences: false).map { word in
            word.prefix(1).uppercased() + word.dropFirst()
        }.joined(separator: "-")
    }
}
