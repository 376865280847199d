import Objects
import Synchronization

@testable import API

/// An admission webhook over HTTPS whose answers the test decides.
final class ReviewServer: Sendable {
    /// What it answers to a review's request at a path: the `response` without its uid; nil for no answer at all.
    typealias Answer = @Sendable (_ path: String, _ request: JSON) -> JSON?

    private final class State: Sendable {
        let requests = Mutex<[(path: String, request: JSON)]>([])
        let unanswered = Mutex<[HTTPExchange]>([])
    }
    private let state = State()
    private let server: TestHTTPSServer

    /// What it was asked, in order.
    var requests: [(path: String, request: JSON)] { state.requests.withLock { $0 } }

    init(_ answer: @escaping Answer) throws {
        server = try TestHTTPSServer { [state] exchange in
            guard let review = try? JSON(parsing: exchange.body) else {
                return exchange.respond(.text(400, "no JSON"))
            }
            let request = review["request"]
            let path = exchange.head.target
            state.requests.withLock { $0.append((path, request)) }
            guard var response = answer(path, request) else {
                return state.unanswered.withLock { $0.append(exchange) }
            }
            if response["uid"].isNull { response["uid"] = request["uid"] }
            exchange.respond(
                .json(200, ["apiVersion": review["apiVersion"], "kind": review["kind"], "response": response]))
        }
    }

    /// Tells who waits for an answer that there is none.
    func giveUp() {
        let waiting = state.unanswered.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        for exchange in waiting { exchange.respond(.text(503, "")) }
    }

    func stop() throws {
        giveUp()
        try server.stop()
    }

    /// `clientConfig` of a webhook.
    func client(_ path: String) -> JSON { server.clientConfig(path) }
}
