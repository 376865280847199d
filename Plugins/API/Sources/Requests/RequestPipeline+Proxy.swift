import CEpoll
import Objects
import PluginKit

/// The proxy subresources of pods, services and nodes: a client's request goes on to what runs there.
/// See https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/.
extension RequestPipeline {
    private static let proxied: Set = ["pods", "services", "nodes"]

    /// Whether another server answers requests at a path.
    func isProxied(_ path: RequestPath) -> Bool {
        guard case .resource(let place) = path else { return false }
        return aggregated.find(path) != nil
            || place.subresource == "proxy" && place.group.isEmpty && Self.proxied.contains(place.resource)
    }

    /// Whether that is possible, by a glance at a target as it was sent.
    func mayBeProxied(_ target: ArraySlice<UInt8>) -> Bool {
        guard aggregated.isEmpty, !target.contains(UInt8(ascii: "%")) else { return true }
        return target.withUnsafeBytes { bytes in
            bytes.baseAddress.map { memmem($0, bytes.count, "/proxy", 6) != nil } ?? false
        }
    }

    /// Carries an authorized request on.
    func proxy(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        let request = context.request
        guard !request.isInternal, let details = request.upgrade else {
            throw .badRequest("\(request.rawPath) is served over HTTPS only")
        }
        let kind = context.resource.singular
        guard let name = ProxyName(context.path.name) else {
            throw .badRequest("invalid \(kind) request \"\(context.path.name)\"")
        }
        let rest = ProxyPath.rest(of: request.rawPath, after: context.resource.isNamespaced ? 7 : 5)
        if context.resource.plural == "nodes" {
            let node = try stored("nodes//\(name.name)", name.name, context)
            if name.port.isEmpty || name.port == Self.ownPort(of: node) {
                return try ofNode(name.name, context, rest, respond)
            }
        }
        let isRead = request.method == .get || request.method == .other("HEAD")
        if rest.isEmpty, isRead, details.protocol.isEmpty {
            let query = request.rawQuery.isEmpty ? "" : "?\(request.rawQuery)"
            return respond(
                HTTPResponse(
                    status: 301, contentType: "", headers: [("Location", request.rawPath + "/" + query)],
                    body: .bytes([])))
        }
        onDiallingWorker(respond) { [self] () throws(APIStatus) in
            let address =
                switch context.resource.plural {
                case "pods": try podAddress(name, context)
                case "services": try serviceAddress(name, context)
                default: try nodeAddress(name, context)
                }
            let prefix = String(request.rawPath.dropLast(rest.utf8.count))
            let query = request.rawQuery.isEmpty ? "" : "?\(request.rawQuery)"
            let host = details.headers.first { $0.name == "host" }?.value ?? ""
            let forwarded = ProxyRequest(
                method: ExtensionRoutes.name(request.method), target: (rest.isEmpty ? "/" : rest) + query, host: host,
                headers: ProxyRequest.uncompressed(
                    ProxyRequest.forwarded(details.headers, peer: details.peer, path: request.rawPath)),
                upgrade: details.protocol, body: request.body)
            // Kubernetes does not look at the certificates of pods either: nobody has given them any.
            let security: UpstreamSecurity = name.scheme == .https ? .unverified : .none
            respond(
                try relay(
                    forwarded, ProxyResponse(prefix: prefix, authority: address.authority, requestHost: host), request,
                    to: address, security))
        }
    }

    /// Connects, and hands the client's connection to what carries the request on. [blocking]
    func relay(
        _ forwarded: ProxyRequest, _ answer: ProxyResponse, _ request: APIRequest, to address: UpstreamAddress,
        _ security: UpstreamSecurity
    ) throws(APIStatus) -> HTTPResponse {
        let details = request.upgrade
        let report = details?.report ?? StatusReport { _ in }
        var exchange = ProxyExchange(
            request: forwarded, response: answer, expectsContinue: details?.expectsContinue ?? false,
            clientKnowsChunks: details?.minorVersion != 0, report: report)
        let key = UpstreamConnection.Key(
            address: address, security: security, user: address.pod == nil ? nil : request.user)
        let upstream: UpstreamConnection
        if forwarded.isRepeatable, details?.carriesBody != true, let waiting = upstreams.take(key) {
            upstream = waiting
            // Its server may end it before it reads the request: then a new one is made.
            exchange.connectAgain = { [self] then in
                let isTaken = dialling.run { [self] in then(Result { () throws(UpstreamError) in try connect(key) }) }
                if !isTaken { then(.failure(UpstreamError("too many connections are being made already"))) }
            }
        } else {
            do throws(UpstreamError) { upstream = try connect(key) } catch { throw .unreachable(error) }
        }
        let begin = exchange
        let upgrade = StreamUpgrade(headers: nil, report: report) { [upstreams] connection in
            try ProxyRelay(begin, upstream, upstreams, connection: connection)
        } discard: {
            // The connection closes with the closure above.
        }
        return HTTPResponse(status: 200, body: .upgrade(upgrade))
    }

    /// A new connection. [blocking]
    private func connect(_ key: UpstreamConnection.Key) throws(UpstreamError) -> UpstreamConnection {
        let context = try key.security.context()
        let descriptor = try dialer.connect(to: key.address, for: key.user ?? .host)
        let connection = UpstreamConnection(descriptor, key)
        connection.session = try context.map { context throws(UpstreamError) in
            try TLSClientSession(context, serverName: key.security.serverName(key.address))
        }
        return connection
    }

    // MARK: - Where it goes

    /// The port at which a node's own paths are served.
    private static func ownPort(of node: JSON) -> String {
        let port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].integerValue ?? 0
        return String(port == 0 ? 10250 : port)
    }

    private func stored(_ key: String, _ name: String, _ context: RequestContext) throws(APIStatus) -> JSON {
        do {
            if let object = try store.object(key) { return object }
        } catch let error as PluginError {
            throw APIStatus(error, context.resource, name)
        } catch {
            throw .internalError("\(error)")
        }
        throw .notFound(context.resource, name)
    }

    private func podAddress(_ name: ProxyName, _ context: RequestContext) throws(APIStatus) -> UpstreamAddress {
        let pod = try stored("pods/\(context.path.namespace)/\(name.name)", name.name, context)
        let containers = pod["spec"]["containers"].arrayValue
        let first = containers.lazy.compactMap { $0["ports"][0]["containerPort"].integerValue }.first
        var text = name.port
        if text.isEmpty { text = first.map(String.init) ?? Self.defaultPort(name.scheme) }
        guard let port = UInt16(text), port > 0 else {
            throw .badRequest("invalid pod request \"\(context.path.name)\": the port must be a number")
        }
        let host = pod["status"]["podIP"].stringValue ?? ""
        guard SocketAddress.bytes(of: host) != nil else {
            throw .badRequest("address not allowed: pod \"\(name.name)\" has no address yet")
        }
        return UpstreamAddress(
            host: host, port: port, pod: .init(namespace: context.path.namespace, name: name.name))
    }

    private static func defaultPort(_ scheme: ProxyName.Scheme) -> String { scheme == .https ? "443" : "80" }

    private func serviceAddress(_ name: ProxyName, _ context: RequestContext) throws(APIStatus) -> UpstreamAddress {
        let namespace = context.path.namespace
        let service = try stored("services/\(namespace)/\(name.name)", name.name, context)
        var portName = name.port
        if let number = Int64(portName) {
            let ports = service["spec"]["ports"].arrayValue
            guard let port = ports.first(where: { $0["port"].integerValue == number }) else {
                throw .unavailable("no service port \(number) found for service \"\(name.name)\"")
            }
            portName = port["name"].stringValue ?? ""
        }
        let ready: [UpstreamAddress]
        do throws(PluginError) {
            ready = try ServiceEndpoints.ready(namespace: namespace, name: name.name, portName: portName, store)
        } catch {
            throw APIStatus(error, context.resource, name.name)
        }
        guard let address = ready.randomElement() else {
            throw .unavailable("no endpoints available for service \"\(context.path.name)\"")
        }
        return try Self.checked(address)
    }

    /// Whoever may write EndpointSlices does not thereby reach what listens on this machine for itself.
    static func checked(_ address: UpstreamAddress) throws(APIStatus) -> UpstreamAddress {
        guard address.pod != nil || UpstreamAddress.isProxyable(address.host) else {
            throw .badRequest("address not allowed: \(address.host)")
        }
        return address
    }

    private func nodeAddress(_ name: ProxyName, _ context: RequestContext) throws(APIStatus) -> UpstreamAddress {
        let node = try stored("nodes//\(name.name)", name.name, context)
        let addresses = node["status"]["addresses"].arrayValue
        let entry = addresses.first { $0["type"].stringValue == "InternalIP" } ?? .null
        guard let port = UInt16(name.port), port > 0 else {
            throw .badRequest("invalid node request \"\(context.path.name)\": the port must be a number")
        }
        guard let host = entry["address"].stringValue else {
            throw .badRequest("address not allowed: node \"\(name.name)\" has no InternalIP")
        }
        return try Self.checked(UpstreamAddress(host: host, port: port))
    }

    /// The node's own paths, which a plugin serves.
    private func ofNode(
        _ name: String, _ context: RequestContext, _ rest: Substring, _ respond: @escaping Responder
    ) throws(APIStatus) {
        guard context.request.upgrade?.carriesBody != true else { throw .methodNotAllowed }
        guard try extensions.serve(context.request, self, respond) else {
            throw .unavailable("no plugin serves \(rest.isEmpty ? "/" : rest) of node \"\(name)\"")
        }
    }
}
