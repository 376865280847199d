import Objects
import Synchronization

@testable import API

/// A webhook over HTTPS that converts widgets: in v2 the size is in `spec.dimensions`.
final class ConversionServer: Sendable {
    private final class State: Sendable {
        let values = Mutex((calls: 0, failure: ""))
        let change = Mutex<(@Sendable (JSON) -> HTTPResponse)?>(nil)
    }
    private let state = State()
    private let server: TestHTTPSServer

    /// Conversions that were asked for.
    var calls: Int { state.values.withLock { $0.calls } }

    /// What it answers instead of objects; empty to convert.
    var failure: String {
        get { state.values.withLock { $0.failure } }
        set { state.values.withLock { $0.failure = newValue } }
    }

    /// Has it answer otherwise: with what this makes of the review; nil to convert again.
    func answer(_ change: (@Sendable (JSON) -> HTTPResponse)?) { state.change.withLock { $0 = change } }

    init() throws {
        server = try TestHTTPSServer { [state] exchange in Self.answer(exchange, state) }
    }

    func stop() throws { try server.stop() }

    /// `spec.conversion` of a definition.
    func conversion(path: String = "/convert", versions: [String] = ["v1"]) -> JSON {
        [
            "strategy": "Webhook",
            "webhook": ["conversionReviewVersions": JSON(versions), "clientConfig": server.clientConfig(path)],
        ]
    }

    private static func answer(_ exchange: HTTPExchange, _ state: State) {
        let failure = state.values.withLock { state in
            state.calls += 1
            return state.failure
        }
        guard let review = try? JSON(parsing: exchange.body) else { return exchange.respond(.text(400, "no JSON")) }
        if let change = state.change.withLock({ $0 }) { return exchange.respond(change(review)) }
        let request = review["request"]
        let version = request["desiredAPIVersion"].stringValue ?? ""
        var response: JSON = ["uid": request["uid"]]
        if failure.isEmpty {
            response["result"] = ["status": "Success"]
            response["convertedObjects"] = .array(request["objects"].arrayValue.map { convert($0, version) })
        } else {
            response["result"] = ["status": "Failure", "message": .string(failure)]
        }
        exchange.respond(
            .json(200, ["apiVersion": review["apiVersion"], "kind": review["kind"], "response": response]))
    }

    private static func convert(_ object: JSON, _ version: String) -> JSON {
        var object = object
        object.apiVersion = version
        if version.hasSuffix("/v2") {
            if let size = object["spec"].removeValue(forKey: "size") { object["spec"]["dimensions"]["size"] = size }
        } else if let dimensions = object["spec"].removeValue(forKey: "dimensions") {
            object["spec"]["size"] = dimensions["size"]
        }
        object["metadata"]["annotations"]["converted"] = "yes"
        return object
    }
}
