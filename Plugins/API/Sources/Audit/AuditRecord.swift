import ObjectSchema
import Objects
import PluginKit
import Synchronization

/// What is written of one request, while it is on its way.
final class AuditRecord: Sendable {
    private let log: AuditLog
    let verdict: AuditPolicy.Verdict
    private let base: JSONObject
    private let body: JSON
    private let annotations = Mutex<[String: String]>([:])

    init(_ log: AuditLog, _ verdict: AuditPolicy.Verdict, _ base: JSONObject, body: JSON) {
        self.log = log
        self.verdict = verdict
        self.base = base
        self.body = body
    }

    /// Adds to the events that are yet to come. The first value of a key stays, as in Kubernetes.
    func annotate(_ key: String, _ value: @autoclosure () -> String, from level: AuditPolicy.Level = .metadata) {
        guard verdict.level >= level else { return }
        let value = value()
        annotations.withLock { if $0[key] == nil { $0[key] = value } }
    }

    /// The same, with what is there already.
    func annotate(_ key: String, updating change: (String?) -> String) {
        annotations.withLock { $0[key] = change($0[key]) }
    }

    /// Notes what the authorizers said.
    func decided(_ decision: String, _ reason: String) {
        annotate("authorization.k8s.io/decision", decision)
        annotate("authorization.k8s.io/reason", reason)
    }

    /// Writes of the answer.
    func observing(_ respond: @escaping Responder) -> Responder {
        { [self] response in
            var response = response
            if case .bytes = response.body {
                write(.responseComplete, response)
                return respond(response)
            }
            // Another server's status is known when it has answered.
            let relayed = response.relayedStatus
            if relayed == nil { write(.responseStarted, response) }
            let (status, tell) = (response.status, response.onEnd)
            response.onEnd = { [self] in
                write(.responseComplete, HTTPResponse(status: relayed?.status ?? status, body: .bytes([])))
                tell?()
            }
            respond(response)
        }
    }

    func write(_ stage: AuditPolicy.Stage, _ response: HTTPResponse? = nil) {
        guard !verdict.omittedStages.contains(stage) else { return }
        var event = base
        event["stage"] = .string(stage.rawValue)
        if verdict.level >= .request, body.exists, stage != .requestReceived {
            event["requestObject"] = Self.shown(body, verdict)
        }
        if let response { describe(response, stage, &event) }
        event["stageTimestamp"] = .string(Timestamp.now().formatted(fraction: .micro))
        let notes = annotations.withLock { $0 }
        if !notes.isEmpty {
            event["annotations"] = .object(
                JSONObject(notes.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
        }
        log.write(event)
    }

    private func describe(_ response: HTTPResponse, _ stage: AuditPolicy.Stage, _ event: inout JSONObject) {
        var status: JSONObject = ["metadata": [:], "code": .integer(Int64(response.status))]
        let isShown = response.status >= 400 || verdict.level == .requestResponse
        let object = isShown ? Self.object(response) : .null
        if response.status >= 400, object.kind == "Status" {
            for key in ["status", "message", "reason", "details"] where object[key].exists { status[key] = object[key] }
        }
        event["responseStatus"] = .object(status)
        if verdict.level == .requestResponse, stage == .responseComplete, object.exists {
            event["responseObject"] = Self.shown(object, verdict)
        }
    }

    /// The object of an answer, in whichever coding it goes out; null for what is none.
    static func object(_ response: HTTPResponse) -> JSON {
        guard case .bytes(let bytes) = response.body else { return .null }
        let type = response.contentType.prefix { $0 != ";" }
        // What cannot be read, of a plugin's or another server's answer, is no object to be shown.
        if type == "application/json" { return (try? JSON(parsing: bytes)) ?? .null }
        guard type == KubernetesProtobuf.contentType else { return .null }
        return (try? bytes.withUnsafeBytes { try KubernetesProtobuf.decode($0) }) ?? .null
    }

    private static func shown(_ object: JSON, _ verdict: AuditPolicy.Verdict) -> JSON {
        guard verdict.omitsManagedFields else { return object }
        var object = object
        if object.metadata["managedFields"].exists { object["metadata"].removeValue(forKey: "managedFields") }
        guard object["items"].exists else { return object }
        object["items"].updateElements { (_, item: inout JSON) throws(Never) in
            if item.metadata["managedFields"].exists { item["metadata"].removeValue(forKey: "managedFields") }
        }
        return object
    }
}
