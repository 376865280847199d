import Objects
import PluginKit

/// The audit log: which requests are written, and what of them. Where none is configured there is none of this.
/// See https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/.
final class AuditLog: Sendable {
    private let policy: AuditPolicy
    private let sinks: [any AuditSink]
    private let events: Metrics.Series?

    init(_ settings: AuditSettings, _ host: Host) throws(PluginError) {
        policy = settings.policy
        events = try host.metrics().define(.counter, "apiserver_audit_event_total")
        var sinks: [any AuditSink] = []
        if let file = settings.file { sinks.append(try AuditWriter(file, host)) }
        if let webhook = settings.webhook { sinks.append(try AuditWebhook(webhook, host)) }
        self.sinks = sinks
    }

    func start() throws(PluginError) { for sink in sinks { try sink.start() } }

    /// What has been taken in goes where it is to go, as far as that is possible. Idempotent. [blocking]
    func stop() { for sink in sinks { sink.stop() } }

    /// Begins the record of a request whose user is known; nil when no rule wants it.
    func begin(_ request: APIRequest, _ arrival: AuditArrival) -> AuditRecord? {
        let info = RequestInfo(request)
        // Who acts as another is who the rules are about.
        let verdict = policy.verdict(info, request.impersonator ?? request.user)
        guard verdict.level > .none else { return nil }
        let source = AuditSource(arrival)
        var body = JSON.null
        if verdict.level >= .request, !request.body.isEmpty {
            // A body that cannot be read is refused, and the event says so.
            body = (try? RequestPipeline.parseBody(request)) ?? .null
        }
        let record = AuditRecord(
            self, verdict, base(request, info, source, verdict.level, body: body), body: body)
        record.write(.requestReceived)
        return record
    }

    /// Writes of a request whose credentials do not count, or whose path is none.
    func refused(_ arrival: AuditArrival, _ response: HTTPResponse) {
        let head = arrival.exchange.head
        let method = APIRequest.Method(head.method, contentType: nil)
        let request: APIRequest
        do throws(APIStatus) {
            request = try APIRequest(method: method, target: head.target, user: UserInfo(name: ""), isInternal: false)
        } catch {
            // What cannot be read is about nothing that a rule could name.
            return
        }
        let info = RequestInfo(request)
        let verdict = policy.verdict(info, request.user)
        guard verdict.level > .none else { return }
        let source = AuditSource(arrival)
        let record = AuditRecord(
            self, verdict, base(request, info, source, verdict.level, body: .null), body: .null)
        record.write(.responseStarted, response)
    }

    func write(_ event: JSONObject) {
        events?.record(1)
        let bytes = JSON.object(event).serialized()
        for sink in sinks { sink.append(bytes) }
    }

    private func base(
        _ request: APIRequest, _ info: RequestInfo, _ source: AuditSource, _ level: AuditPolicy.Level, body: JSON
    ) -> JSONObject {
        var event: JSONObject = [
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": .string(level.rawValue),
            "auditID": .string(source.identifier), "stage": "", "requestURI": .string(source.target),
            "verb": .string(info.verb), "user": (request.impersonator ?? request.user).json,
        ]
        if request.impersonator != nil { event["impersonatedUser"] = request.user.json }
        if !request.impersonationConstraint.isEmpty {
            event["authenticationMetadata"] = ["impersonationConstraint": .string(request.impersonationConstraint)]
        }
        event["sourceIPs"] = .array(source.addresses.map { .string($0) })
        if let agent = request.userAgent { event["userAgent"] = .string(agent) }
        if info.isResource { event["objectRef"] = Self.reference(info, body) }
        event["requestReceivedTimestamp"] = .string(source.received.formatted(fraction: .micro))
        return event
    }

    private static func reference(_ info: RequestInfo, _ body: JSON) -> JSON {
        var reference: JSONObject = ["resource": .string(info.resource)]
        // What is created is named by its object alone.
        let name = info.name.isEmpty && info.verb == "create" ? body.name : info.name
        for (key, value) in [
            ("namespace", info.namespace), ("name", name), ("uid", info.verb == "update" ? body.uid : ""),
            ("apiGroup", info.group), ("apiVersion", info.version),
            ("resourceVersion", info.verb == "update" ? body.resourceVersion : ""),
            ("subresource", info.subresource),
        ] where !value.isEmpty { reference[key] = .string(value) }
        return .object(reference)
    }
}

/// A request as it came, from which an event takes what only the connection knows. Where no event is wanted, nothing is made
/// of it.
struct AuditArrival: Sendable {
    let exchange: HTTPExchange
    /// The request's name.
    let identifier: String
    let received = Timestamp.now()
    /// The client's address, where the connection cannot be asked for it any more.
    var peer: String?
}

/// What only the connection knows of a request.
struct AuditSource: Sendable {
    let identifier: String
    /// Path and query as they were sent.
    let target: String
    /// Those that proxies have seen, then the peer's.
    let addresses: [String]
    let received: Timestamp

    /// On the connection's loop, unless the arrival has the peer.
    init(_ arrival: AuditArrival) {
        let head = arrival.exchange.head
        identifier = arrival.identifier
        target = head.target
        received = arrival.received
        var addresses: [String] = []
        for part in (head.header("x-forwarded-for") ?? "").split(separator: ",") {
            let text = String(part).trimmingWhitespace()
            if SocketAddress.bytes(of: text) != nil { addresses.append(text) }
        }
        if addresses.isEmpty, let real = head.header("x-real-ip"), SocketAddress.bytes(of: real) != nil {
            addresses.append(real)
        }
        if let peer = arrival.peer ?? arrival.exchange.peerAddress, addresses.last != peer { addresses.append(peer) }
        self.addresses = addresses
    }
}
