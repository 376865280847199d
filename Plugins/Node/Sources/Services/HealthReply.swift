import Objects

/// What a node answers over HTTP to those who ask whether it routes services. Pure.
struct HealthReply: Equatable, Sendable {
    let code: Int
    let contentType: String
    /// Header lines beside the usual ones.
    var headers: [String] = []
    let body: String

    private static let phrases = [200: "OK", 400: "Bad Request", 404: "Not Found", 503: "Service Unavailable"]

    /// The message; its connection ends with it.
    func bytes(withBody: Bool) -> [UInt8] {
        var lines = ["HTTP/1.1 \(code) \(Self.phrases[code] ?? "")", "Content-Type: \(contentType)"]
        lines += ["X-Content-Type-Options: nosniff"] + headers
        lines += ["Content-Length: \(body.utf8.count)", "Connection: close", "", ""]
        return Array(lines.joined(separator: "\r\n").utf8) + (withBody ? Array(body.utf8) : [])
    }

    /// To a service's balancer, whatever the path: 200 with endpoints on this node, 503 without.
    static func service(_ check: HealthCheck, isHealthy: Bool) -> HealthReply {
        let body: JSON = [
            "service": ["namespace": .string(check.namespace), "name": .string(check.name)],
            "localEndpoints": JSON(check.localEndpoints), "serviceProxyHealthy": .bool(isHealthy),
        ]
        return HealthReply(
            code: check.localEndpoints > 0 && isHealthy ? 200 : 503, contentType: "application/json",
            headers: ["X-Load-Balancing-Endpoint-Weight: \(check.localEndpoints)"], body: body.serializedString())
    }

    /// To those who ask whether services are routed on this node at all.
    static func routing(_ path: String, _ health: RoutingHealth, monotonic: UInt64, now: Timestamp) -> HealthReply {
        guard path == "/healthz" || path == "/livez" else { return unknown(path, "/healthz, /livez") }
        let body: JSON = [
            "lastUpdated": .string((health.updated ?? now).formatted(fraction: .micro)),
            "currentTime": .string(now.formatted(fraction: .micro)),
        ]
        return HealthReply(
            code: health.isHealthy(monotonic: monotonic) ? 200 : 503, contentType: "application/json",
            body: body.serializedString())
    }

    /// To this machine's own programs: by what services are routed.
    static func status(_ path: String, mode: String) -> HealthReply {
        switch path {
        case "/proxyMode": HealthReply(code: 200, contentType: "text/plain; charset=utf-8", body: mode)
        case "/healthz": HealthReply(code: 200, contentType: "text/plain; charset=utf-8", body: "ok")
        default: unknown(path, "/proxyMode, /healthz")
        }
    }

    static let malformed = HealthReply(
        code: 400, contentType: "text/plain; charset=utf-8", body: "this is no HTTP request\n")

    private static func unknown(_ path: String, _ known: String) -> HealthReply {
        HealthReply(
            code: 404, contentType: "text/plain; charset=utf-8", body: "there is no such path here, only \(known)\n")
    }

    /// Whether these bytes hold all header lines of a request.
    static func isWhole(_ bytes: [UInt8]) -> Bool {
        let end: [UInt8] = [13, 10, 13, 10]
        return bytes.count >= 4 && (0...bytes.count - 4).contains { bytes[$0..<$0 + 4].elementsEqual(end) }
    }

    /// Method and path of a request, without what follows a question mark; nil when its first line is none.
    static func request(_ head: [UInt8]) -> (method: String, path: String)? {
        let words = String(
            decoding: head.prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }, as: UTF8.self
        )
        .split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, !words[0].isEmpty, words[1].hasPrefix("/"), words[2].hasPrefix("HTTP/1.") else {
            return nil
        }
        return (String(words[0]), String(words[1].prefix { $0 != "?" }))
    }
}
