import CEpoll
import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Paths that other plugins serve behind this front (role hostd.api-extension/1): exec, attach, logs, forwarded ports,
/// dashboards.
final class ExtensionRoutes: Sendable {
    struct Route: Sendable {
        enum Upgrade: String {
            case none
            /// Channels in messages, by WebSocket or SPDY.
            case channels = "websocket"
            /// Connections to ports.
            case ports
        }

        var plugin: String
        var methods: [String]
        var segments: [String]
        var upgrade: Upgrade
        var subprotocols: [String]
        var provider: any APIExtensionProvider

        /// Whether it is a node's own.
        var isBelowNode: Bool { segments.starts(with: ["api", "v1", "nodes"]) }

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
                upgrade: Route.Upgrade(rawValue: route["upgrade"].stringValue ?? "none") ?? .none,
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
        let negotiation = try StreamNegotiation.negotiate(request, route.upgrade, subprotocols: route.subprotocols)
        var decoded: [(String, String)] = []
        for (name, value) in parameters { decoded.append((name, try PercentEncoding.decode(value[...]))) }
        let description = Self.describe(request, method, decoded, negotiation.subprotocol)
        let workers = pipeline.workers
        pipeline.onWorker(respond) { () throws(APIStatus) in
            switch negotiation {
            case .portsOverSPDY, .portsOverTunnel, .portsOverChannels:
                let dialer = ForwardDialer(route: route, description: description, workers: workers)
                respond(try Self.forward(dialer, negotiation, request, route))
            default: respond(try Self.call(route, description, request, negotiation))
            }
        }
        return true
    }

    static func name(_ method: APIRequest.Method) -> String {
        switch method {
        case .get: "GET"
        case .post: "POST"
        case .put: "PUT"
        case .patch: "PATCH"
        case .delete: "DELETE"
        case .other(let name): name
        }
    }

    /// What connects to the ports of a pod: the plugin that serves its forwarded ports; nil when none does.
    func dialer(pod: String, namespace: String, user: UserInfo, workers: WorkerPool) -> ForwardDialer? {
        let path = "/api/v1/namespaces/\(namespace)/pods/\(pod)/portforward"
        let parts = path.split(separator: "/")
        let found = routes.withLock { $0 }.lazy.compactMap { route in
            route.upgrade == .ports ? route.match(parts).map { (route, $0) } : nil
        }.first
        guard let (route, parameters) = found else { return nil }
        let description: JSON = [
            "method": "POST", "path": .string(path), "query": [:], "headers": [:],
            "parameters": .object(JSONObject(parameters.map { ($0.0, .string($0.1)) })),
            "user": ["name": .string(user.name), "groups": .array(user.groups.map { .string($0) })],
        ]
        return ForwardDialer(route: route, description: description, workers: workers)
    }

    /// What the plugins that serve nodes answer at a path of a node, such as "stats/summary": one document of each. A plugin
    /// that does not answer is left out, unless none does. [blocking]
    func nodeDocuments(_ path: String) throws(APIStatus) -> [JSON] {
        let full = "/api/v1/nodes/local/proxy/\(path)"
        let parts = full.split(separator: "/")
        let found = routes.withLock { $0 }.compactMap { route in
            route.upgrade == .none ? route.match(parts).map { (route, $0) } : nil
        }
        var documents: [JSON] = []
        var failure: APIStatus?
        for (route, parameters) in found {
            let description: JSON = [
                "method": "GET", "path": .string(full), "query": [:], "headers": [:],
                "parameters": .object(JSONObject(parameters.map { ($0.0, .string($0.1)) })),
                "user": ["name": .string(UserInfo.host.name), "groups": []],
            ]
            do throws(APIStatus) {
                documents.append(try route.document(description))
            } catch {
                failure = error
            }
        }
        if documents.isEmpty, let failure { throw failure }
        return documents
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
        _ route: Route, _ description: JSON, _ request: APIRequest, _ negotiation: StreamNegotiation
    ) throws(APIStatus) -> HTTPResponse {
        let (head, descriptor) = try route.open(description, body: request.body)
        guard head["stream"].boolValue == true, head["status"].integerValue ?? 200 < 300 else {
            close(descriptor)
            return try route.plainResponse(head)
        }
        switch negotiation {
        case .webSocket:
            return HTTPResponse(
                status: 101,
                body: .webSocket(descriptor: descriptor, headers: negotiation.headers, form: negotiation.form))
        case .processOverSPDY:
            let expected = SPDYProcessStreams.expected(request.query)
            let upgrade = StreamUpgrade(headers: negotiation.headers) { connection in
                let pump = try PacketPump(descriptor: descriptor, connection: connection, loop: connection.loop)
                do {
                    return try SPDYConnection(
                        target: SPDYProcessStreams(pump: pump, expected: expected), isTunnelled: false)
                } catch {
                    pump.end()
                    throw error
                }
            } discard: {
                close(descriptor)
            }
            return HTTPResponse(status: 101, body: .upgrade(upgrade))
        default: return route.streamResponse(head, descriptor)
        }
    }

    /// The answer to a request for forwarded ports: the pod is asked for first, each port when the client opens it.
    private static func forward(
        _ dialer: ForwardDialer, _ negotiation: StreamNegotiation, _ request: APIRequest, _ route: Route
    ) throws(APIStatus) -> HTTPResponse {
        var ports: [UInt16] = []
        if case .portsOverChannels = negotiation {
            // Below a node they are named as a kubelet names them.
            let name = route.isBelowNode ? "port" : "ports"
            for text in request.query.all(name).flatMap({ $0.split(separator: ",") }) {
                guard let port = UInt16(text), port > 0 else { throw .badRequest("invalid port: \(text)") }
                ports.append(port)
            }
            guard !ports.isEmpty else { throw .badRequest("query parameter \"\(name)\" is required") }
            guard ports.count <= ChannelForwards.portLimit else {
                throw .badRequest("at most \(ChannelForwards.portLimit) ports can be forwarded by one request")
            }
        }
        if let refusal = try dialer.check() { return refusal }
        let isTunnelled = if case .portsOverTunnel = negotiation { true } else { false }
        let pod =
            if case .resource(let path) = request.path { "\(path.namespace)/\(path.name)" } else { request.rawPath }
        let upgrade = StreamUpgrade(headers: negotiation.headers) { [ports] connection in
            guard ports.isEmpty else {
                return ChannelForwards(
                    ports: ports, dialer: dialer, connection: connection, form: negotiation.form)
            }
            let target = SPDYForwards(connection: connection, dialer: dialer, pod: pod)
            return try SPDYConnection(target: target, isTunnelled: isTunnelled)
        } discard: {
        }
        return HTTPResponse(status: 101, body: .upgrade(upgrade))
    }
}

extension ExtensionRoutes.Route {
    /// Asks the extension, with one end of a packet socket; the other is the caller's, with the head of the answer.
    func open(_ description: JSON, body: [UInt8]) throws(APIStatus) -> (head: JSON, descriptor: Int32) {
        var pair: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else {
            throw .internalError("socketpair: \(String(cString: strerror(errno)))")
        }
        do {
            return (try provider.serve(description, body: body, stream: pair[1], deadline: 0), pair[0])
        } catch {
            close(pair[0])
            throw APIStatus(extension: PluginError(error))
        }
    }

    /// The answer to a request whose body is one JSON document.
    func document(_ description: JSON) throws(APIStatus) -> JSON {
        let (head, descriptor) = try open(description, body: [])
        close(descriptor)
        guard head["stream"].boolValue != true, head["status"].integerValue ?? 200 == 200 else {
            throw .unavailable(
                "plugin \(plugin) did not answer \(description["path"].stringValue ?? "") with a document")
        }
        do {
            return try JSON(parsing: Array((head["body"].stringValue ?? "").utf8))
        } catch {
            throw .internalError(
                "plugin \(plugin) answered \(description["path"].stringValue ?? "") with what is not JSON: \(error)")
        }
    }

    private func fields(_ head: JSON) -> (status: Int, contentType: String, headers: [(name: String, value: String)]) {
        var headers: [(name: String, value: String)] = []
        var contentType = ""
        for (name, value) in head["headers"].objectValue ?? [:] {
            let text = value.stringValue ?? ""
            guard !text.utf8.contains(where: { $0 < 0x20 && $0 != 9 }) else { continue }
            if name.lowercased() == "content-type" { contentType = text } else { headers.append((name, text)) }
        }
        return (Int(head["status"].integerValue ?? 200), contentType, headers)
    }

    /// An answer whose body comes over the socket, which the response now owns.
    func streamResponse(_ head: JSON, _ descriptor: Int32) -> HTTPResponse {
        let (status, contentType, headers) = fields(head)
        return HTTPResponse(
            status: status, contentType: contentType, headers: headers, body: .packets(descriptor: descriptor))
    }

    /// An answer that is whole.
    func plainResponse(_ head: JSON) throws(APIStatus) -> HTTPResponse {
        var (status, contentType, headers) = fields(head)
        var body = Array((head["body"].stringValue ?? "").utf8)
        if let encoded = head["bodyBase64"].stringValue {
            guard let decoded = Base64.decode(encoded) else {
                throw .internalError("plugin \(plugin) answered with a bodyBase64 that is not base 64")
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
