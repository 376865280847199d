import Glibc
import Objects
import PluginKit
import Synchronization

@testable import API

/// An admission webhook over HTTPS whose answers the test decides.
final class ReviewServer: HTTPHandler {
    /// What it answers to a review's request at a path: the `response` without its uid; nil for no answer at all.
    typealias Answer = @Sendable (_ path: String, _ request: JSON) -> JSON?

    private let directory: String
    private let server: HTTPServer
    private let contents: PKIDirectory.Contents
    private let state = Mutex((answer: nil as Answer?, requests: [] as [(path: String, request: JSON)]))
    private let unanswered = Mutex<[HTTPExchange]>([])
    let port: UInt16

    /// What it was asked, in order.
    var requests: [(path: String, request: JSON)] { state.withLock { $0.requests } }

    init(_ answer: @escaping Answer) throws {
        var template = Array("/tmp/hostd-review-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw PluginError.internal("mkdtemp: \(errno)") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        contents = try PKIDirectory(path: directory + "/pki").prepare(names: ["IP:127.0.0.1"])
        let context = try TLSContext(
            certificate: contents.server.certificate, key: contents.server.key, clientAuthority: contents.authority)
        let box = HandlerBox()
        server = try HTTPServer(threads: 1, context: context, handler: box)
        port = try server.listen(on: SocketAddress(host: "127.0.0.1", port: 0))
        state.withLock { $0.answer = answer }
        box.handler.withLock { $0 = self }
    }

    func stop() throws {
        for exchange in unanswered.withLock({ $0 }) { exchange.respond(.text(503, "")) }
        server.stop()
        try FileTree.remove(directory)
    }

    /// `clientConfig` of a webhook.
    func client(_ path: String) -> JSON {
        [
            "url": .string("https://127.0.0.1:\(port)\(path)"),
            "caBundle": .string(Base64.encode(contents.authority)),
        ]
    }

    func handle(_ exchange: HTTPExchange) {
        guard let review = try? JSON(parsing: exchange.body) else { return exchange.respond(.text(400, "no JSON")) }
        let request = review["request"]
        let path = exchange.head.target
        let answer = state.withLock { state in
            state.requests.append((path, request))
            return state.answer
        }
        guard var response = answer?(path, request) else {
            return unanswered.withLock { $0.append(exchange) }
        }
        if response["uid"].isNull { response["uid"] = request["uid"] }
        exchange.respond(
            .json(200, ["apiVersion": review["apiVersion"], "kind": review["kind"], "response": response]))
    }

    func refusal(_ error: HTTPParseError) -> HTTPResponse { .text(error.status, error.message) }

    /// Hands requests on to a handler that is made after its server.
    private final class HandlerBox: HTTPHandler {
        let handler = Mutex<ReviewServer?>(nil)

        func handle(_ exchange: HTTPExchange) {
            if let handler = handler.withLock({ $0 }) {
                handler.handle(exchange)
            } else {
                exchange.respond(.text(503, ""))
            }
        }

        func refusal(_ error: HTTPParseError) -> HTTPResponse { .text(error.status, error.message) }
    }
}
