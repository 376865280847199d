import Objects
import PluginKit

/// Between HTTPS and the API's requests: authenticates, reads what matters of the head, answers.
final class HTTPFront: HTTPHandler {
    private let pipeline: RequestPipeline
    private let authenticator: Authenticator
    private let metrics: RequestMetrics
    private let names = RequestNames()

    init(pipeline: RequestPipeline, anonymous: Replaceable<AnonymousAccess>) {
        self.pipeline = pipeline
        authenticator = Authenticator(
            tokens: pipeline.bearerTokens, authorizer: pipeline.authorizer, anonymous: anonymous)
        metrics = pipeline.requestMetrics
    }

    func handle(_ exchange: HTTPExchange) {
        let start = monotonicNanoseconds()
        let (metrics, workers) = (metrics, pipeline.workers)
        let accept = exchange.head.header("accept")
        let wantsProtobuf = ResponseForm.prefersProtobuf(accept)
        let wantsYAML = ResponseForm.prefersYAML(accept)
        let record: @Sendable (Int, Int?) -> Void = { status, size in
            metrics.record(
                exchange.labels ?? RequestLabels(method: exchange.head.method), status: status,
                nanoseconds: monotonicNanoseconds() - start, size: size)
        }
        let report: @Sendable (Int) -> Void = { record($0, nil) }
        let writes = exchange.head.method != "GET" && exchange.head.method != "HEAD"
        metrics.isInFlight(1, writes: writes)
        let name = names.name(exchange.head)
        let respond: Responder = { response in
            // Another server's status is reported when it is known.
            var response = wantsProtobuf ? response.inProtobuf() : response
            metrics.isInFlight(-1, writes: writes)
            if case .bytes(let bytes) = response.body {
                record(response.status, bytes.count)
            } else {
                if response.relayedStatus == nil { report(response.status) }
                if let labels = exchange.labels { response.countWhileOpen(labels, metrics) }
            }
            response.headers.append(("Audit-Id", name))
            guard wantsYAML, case .bytes = response.body else { return Self.send(response, exchange, workers) }
            let whole = response
            let isTaken = workers.run { Self.send(whole.inYAML(), exchange, workers) }
            if !isTaken { Self.send(whole.inYAML(), exchange, workers) }
        }
        let arrival = pipeline.audit == nil ? nil : AuditArrival(exchange: exchange, identifier: name)
        if serve(exchange, arrival, peer: nil, report, mayWait: false, respond) { return }
        // The client's connection is its loop's alone.
        let peer = exchange.peerAddress ?? ""
        pipeline.onAccessWorker(respond) { [self] () throws(APIStatus) in
            var arrival = arrival
            arrival?.peer = peer
            _ = serve(exchange, arrival, peer: peer, report, mayWait: true, respond)
        }
    }

    /// Answers, unless others have to be asked who it is and that may not be waited for: then the result is false.
    private func serve(
        _ exchange: HTTPExchange, _ arrival: AuditArrival?, peer: String?, _ report: @escaping @Sendable (Int) -> Void,
        mayWait: Bool, _ respond: @escaping Responder
    ) -> Bool {
        do throws(APIStatus) {
            guard let identity = try authenticator.identify(exchange, mayWait: mayWait) else { return false }
            var request = try request(exchange, identity.user, peer: peer)
            if request.upgrade != nil { request.upgrade?.report = StatusReport(report) }
            request.impersonator = identity.impersonator
            request.impersonationConstraint = identity.constraint
            guard let arrival, let record = pipeline.audit?.begin(request, arrival) else {
                run(request, exchange, respond)
                return true
            }
            request.audit = record
            run(request, exchange, record.observing(respond))
        } catch {
            let response = HTTPResponse.failure(error)
            if let arrival { pipeline.audit?.refused(arrival, response) }
            respond(response)
        }
        return true
    }

    /// Runs a request when its flow has its turn.
    private func run(_ request: APIRequest, _ exchange: HTTPExchange, _ respond: @escaping Responder) {
        guard let fairness = pipeline.fairness else { return pipeline.handle(request, respond: respond) }
        fairness.run(request, respond, later: exchange.onLoop) { [pipeline] respond in
            pipeline.handle(request, respond: respond)
        }
    }

    /// Large answers go out compressed to clients that take that.
    static func send(_ response: HTTPResponse, _ exchange: HTTPExchange, _ workers: WorkerPool) {
        guard case .bytes(let bytes) = response.body, bytes.count > GzipCoding.threshold,
            exchange.head.method == "GET"
        else { return exchange.respond(response) }
        var response = response
        response.headers.append(("Vary", "Accept-Encoding"))
        guard GzipCoding.isAccepted(exchange.head.header("accept-encoding")) else { return exchange.respond(response) }
        let plain = response
        let isTaken = workers.run {
            var response = plain
            if let compressed = GzipCoding.compress(bytes) {
                response.body = .bytes(compressed)
                response.headers.append(("Content-Encoding", "gzip"))
            }
            exchange.respond(response)
        }
        // Where too much waits already, the answer is not compressed.
        if !isTaken { exchange.respond(plain) }
    }

    func refusal(_ error: HTTPParseError) -> HTTPResponse {
        let reason =
            switch error {
            case .malformed: "BadRequest"
            case .headTooLarge: "RequestHeaderFieldsTooLarge"
            case .bodyTooLarge: "RequestEntityTooLarge"
            case .versionNotSupported, .codingNotSupported: "NotImplemented"
            }
        return .failure(APIStatus(code: error.status, reason: reason, message: error.message))
    }

    func carriesBody(_ head: HTTPRequestHead) -> Bool {
        guard pipeline.mayBeProxied(head.targetBytes) else { return false }
        do throws(APIStatus) {
            let target = head.target
            let path = Substring(target.utf8.prefix { $0 != UInt8(ascii: "?") })
            return pipeline.isProxied(try RequestPath(parsing: path))
        } catch {
            return false  // It is refused when it is handled.
        }
    }

    private func request(
        _ exchange: HTTPExchange, _ user: UserInfo, peer: String?
    ) throws(APIStatus) -> APIRequest {
        let head = exchange.head
        let contentType = head.header("content-type")
        var request = try APIRequest(
            method: .init(head.method, contentType: contentType), target: head.target, accept: head.header("accept"),
            contentType: contentType, body: exchange.body, user: user, isInternal: false)
        request.userAgent = head.header("user-agent")
        request.loop = exchange.loop
        request.exchange = exchange
        if case .other = request.path { request.ifNoneMatch = head.header("if-none-match") }
        if head.header("upgrade") != nil || exchange.carriesBody || mayStream(request) {
            request.upgrade = Self.upgrade(exchange, peer: peer ?? exchange.peerAddress ?? "")
        }
        return request
    }

    /// Subresources and other paths may go to an extension or to another server, which is told the headers.
    private func mayStream(_ request: APIRequest) -> Bool {
        switch request.path {
        case .resource(let path): !path.subresource.isEmpty || pipeline.isProxied(request.path)
        case .other: true
        }
    }

    static func upgrade(_ exchange: HTTPExchange, peer: String) -> APIRequest.Upgrade {
        let head = exchange.head
        let name =
            HTTPRequestHead.list(head.header("connection") ?? "", contains: "upgrade")
            ? head.header("upgrade") ?? "" : ""
        return APIRequest.Upgrade(
            isWebSocket: name.lowercased() == "websocket" && head.method == "GET", protocol: name,
            key: head.header("sec-websocket-key"), version: head.header("sec-websocket-version"),
            subprotocols: head.headers("sec-websocket-protocol").flatMap { $0.split(separator: ",") }.map { part in
                String(part).trimmingWhitespace()
            }, headers: head.allHeaders, peer: peer, minorVersion: head.minorVersion,
            carriesBody: exchange.carriesBody, expectsContinue: head.expectsContinue)
    }
}

extension HTTPResponse {
    /// Counts a stream until it has ended, or its client has gone.
    fileprivate mutating func countWhileOpen(_ labels: RequestLabels, _ metrics: RequestMetrics) {
        metrics.isLongRunning(1, labels)
        let tell = onEnd
        onEnd = {
            metrics.isLongRunning(-1, labels)
            tell?()
        }
    }
}
