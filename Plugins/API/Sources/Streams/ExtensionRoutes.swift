import CEpoll
import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Paths that other plugins serve behind this front (role hostd.api-extension/1): exec, attach, logs, dashboards.
final class ExtensionRoutes: Sendable {
    struct Route: Sendable {
        var plugin: String
        var methods: [String]
        var segments: [String]
        var isWebSocket: Bool
        var subprotocols: [String]
        var provider: any APIExtensionProvider

        /// The values of the path's parameters; nil when the path is another.
        func match(_ path: [Substring]) -> [(String, String)]? {
            var parameters: [(String, String)] = []
            for (index, segment) in segments.enumerated() {
                if segment.hasPrefix("{"), segment.hasSuffix("...}") {
                    parameters.append(
                        (String(segment.dropFirst().dropLast(4)), path.dropFirst(index).joined(separator: "/")))
                    return parameters
                }
                guard index < path.count else { return nil }
                if segment.hasPrefix("{"), segment.hasSuffix("}") {
                    parameters.append((String(segment.dropFirst().dropLast()), String(path[index])))
                } else if segment != path[index] {
                    return nil
                }
            }
            return path.count == segments.count ? parameters : nil
        }
    }

    private let routes = Mutex<[Route]>([])

    /// Takes in the routes of a plugin, in place of those that it had.
    func add(plugin: String, _ json: JSON, provider: any APIExtensionProvider) {
        let new = json["routes"].arrayValue.map { route in
            Route(
                plugin: plugin, methods: route["methods"].arrayValue.compactMap(\.stringValue),
                segments: (route["path"].stringValue ?? "").split(separator: "/").map(String.init),
                isWebSocket: route["upgrade"].stringValue == "websocket",
                subprotocols: route["subprotocols"].arrayValue.compactMap(\.stringValue), provider: provider)
        }
        routes.withLock { routes in
            routes.removeAll { $0.plugin == plugin }
            routes += new
        }
    }

    func remove(plugin: String) {
        routes.withLock { $0.removeAll { $0.plugin == plugin } }
    }

    /// Hands a request to the plugin that serves its path; false when none does.
    func serve(
        _ request: APIRequest, _ pipeline: RequestPipeline, _ respond: @escaping Responder
    ) throws(APIStatus) -> Bool {
        let path = request.rawPath.split(separator: "/")
        let known = routes.withLock { $0 }
        let candidates = known.compactMap { route in route.match(path).map { (route, $0) } }
        guard !candidates.isEmpty else { return false }
        let method = Self.name(request.method)
        guard
            let (route, parameters) = candidates.first(where: { $0.0.methods.isEmpty || $0.0.methods.contains(method) })
        else {
            throw .methodNotAllowed
        }
        guard !request.isInternal else { throw .badRequest("\(request.rawPath) is served over HTTPS only") }
        let subprotocol = route.isWebSocket ? try Self.negotiate(request, route) : nil
        var decoded: [(String, String)] = []
        for (name, value) in parameters { decoded.append((name, try PercentEncoding.decode(value[...]))) }
        let description = Self.describe(request, method, decoded, subprotocol)
        pipeline.onWorker(respond) { () throws(APIStatus) in
            respond(try Self.call(route, description, request, subprotocol))
        }
        return true
    }

    private static func name(_ method: APIRequest.Method) -> String {
        switch method {
        case .get: "GET"
        case .post: "POST"
        case .put: "PUT"
        case .patch: "PATCH"
        case .delete: "DELETE"
        case .other(let name): name
        }
    }

    /// Checks a WebSocket upgrade (RFC 6455, section 4.2.1) and chooses the subprotocol.
    private static func negotiate(_ request: APIRequest, _ route: Route) throws(APIStatus) -> String? {
        guard let upgrade = request.upgrade, !upgrade.protocol.isEmpty else {
            throw .badRequest("Upgrade request required")
        }
        guard upgrade.isWebSocket else {
            throw .badRequest(
                "the protocol \(upgrade.protocol) is not supported: this server streams over WebSocket, which kubectl uses "
                    + "from version 1.30 on")
        }
        guard upgrade.version == "13" else { throw .badRequest("Sec-WebSocket-Version must be 13") }
        guard !route.subprotocols.isEmpty else { return nil }
        let offered = upgrade.subprotocols.filter { !$0.hasPrefix("base64url.bearer.authorization.k8s.io.") }
        guard let chosen = offered.first(where: route.subprotocols.contains) else {
            throw .badRequest(
                "unable to upgrade: none of the subprotocols \(offered) is supported; use one of \(route.subprotocols)")
        }
        return chosen
    }

    private static func describe(
        _ request: APIRequest, _ method: String, _ parameters: [(String, String)], _ subprotocol: String?
    ) -> JSON {
        var query: JSONObject = [:]
        for (name, value) in request.query.pairs {
            query[name] = .array((query[name]?.arrayValue ?? []) + [.string(value)])
        }
        var headers: JSONObject = [:]
        for (name, value) in request.upgrade?.headers ?? [] where name != "authorization" {
            headers[name] = .string(value)
        }
        var json: JSONObject = [
            "method": .string(method), "path": .string(request.rawPath),
            "parameters": .object(JSONObject(parameters.map { ($0.0, .string($0.1)) })), "query": .object(query),
            "headers": .object(headers),
            "user": ["name": .string(request.user.name), "groups": .array(request.user.groups.map { .string($0) })],
        ]
        if let subprotocol { json["subprotocol"] = .string(subprotocol) }
        return .object(json)
    }

    /// Calls the extension and makes of its answer a response.
    private static func call(
        _ route: Route, _ description: JSON, _ request: APIRequest, _ subprotocol: String?
    ) throws(APIStatus) -> HTTPResponse {
        var pair: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else {
            throw .internalError("socketpair: \(String(cString: strerror(errno)))")
        }
        let head: JSON
        do {
            head = try route.provider.serve(description, body: request.body, stream: pair[1], deadline: 0)
        } catch {
            close(pair[0])
            let failure = PluginError(error)
            throw APIStatus(extension: failure)
        }
        let status = Int(head["status"].integerValue ?? 200)
        var headers: [(name: String, value: String)] = []
        var contentType = ""
        for (name, value) in head["headers"].objectValue ?? [:] {
            let text = value.stringValue ?? ""
            guard !text.utf8.contains(where: { $0 < 0x20 && $0 != 9 }) else { continue }
            if name.lowercased() == "content-type" { contentType = text } else { headers.append((name, text)) }
        }
        if head["stream"].boolValue == true, status < 300 {
            if route.isWebSocket {
                guard let accept = WebSocketFrame.acceptance(of: request.upgrade?.key ?? "") else {
                    close(pair[0])
                    throw .badRequest("Sec-WebSocket-Key must be 16 bytes in base64")
                }
                return HTTPResponse(
                    status: 101,
                    body: .webSocket(descriptor: pair[0], accept: accept, subprotocol: subprotocol))
            }
            return HTTPResponse(
                status: status, contentType: contentType, headers: headers, body: .packets(descriptor: pair[0]))
        }
        close(pair[0])
        var body = Array((head["body"].stringValue ?? "").utf8)
        if let encoded = head["bodyBase64"].stringValue {
            guard let decoded = Base64.decode(encoded) else {
                throw .internalError("plugin \(route.plugin) answered with a bodyBase64 that is not base 64")
            }
            body = decoded
        }
        if contentType.isEmpty { contentType = body.first == 0x7B ? "application/json" : "text/plain; charset=utf-8" }
        return HTTPResponse(status: status, contentType: contentType, headers: headers, body: .bytes(body))
    }
}

extension APIStatus {
    /// The failure of an extension as the client sees it.
    init(extension error: PluginError) {
        switch error.code {
        case HOSTD_ERROR_NOT_FOUND: self.init(code: 404, reason: "NotFound", message: error.message)
        case HOSTD_ERROR_INVALID_ARGUMENT: self = .badRequest(error.message)
        case HOSTD_ERROR_FORBIDDEN: self.init(code: 403, reason: "Forbidden", message: error.message)
        case HOSTD_ERROR_UNAVAILABLE, HOSTD_ERROR_WRONG_STATE: self = .unavailable(error.message)
        case HOSTD_ERROR_NOT_SUPPORTED: self.init(code: 501, reason: "NotImplemented", message: error.message)
        case HOSTD_ERROR_DEADLINE_EXCEEDED: self = .timeout(error.message)
        default: self = .internalError(error.message)
        }
    }
}
