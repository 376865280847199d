import Glibc
import Objects
import PluginKit
import Synchronization

@testable import API

/// A server of JSON over HTTPS whose answers the test decides.
final class JSONServer: HTTPHandler {
    struct Question: Sendable {
        let path: String
        let authorization: String?
        let body: JSON
    }

    private let directory: String
    private let server = Mutex<HTTPServer?>(nil)
    private let answers = Mutex<(@Sendable (Question) -> JSON?)?>(nil)
    private let asked = Mutex<[Question]>([])
    private let open: Mutex<UInt16> = Mutex(0)
    /// What signs its certificate, in PEM.
    let authority: String

    var port: UInt16 { open.withLock { $0 } }
    /// What it was asked, in order.
    var questions: [Question] { asked.withLock { $0 } }
    func url(_ path: String) -> String { "https://127.0.0.1:\(port)\(path)" }

    /// - Parameter answer: nil answers 500.
    init(_ answer: (@Sendable (Question) -> JSON?)? = nil) throws {
        var template = Array("/tmp/hostd-json-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw PluginError.internal("mkdtemp: \(errno)") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let contents = try PKIDirectory(path: directory + "/pki").prepare(names: ["IP:127.0.0.1"])
        authority = String(decoding: contents.authority, as: UTF8.self)
        let context = try TLSContext(
            certificate: contents.server.certificate, key: contents.server.key, clientAuthority: contents.authority)
        answers.withLock { $0 = answer }
        let server = try HTTPServer(threads: 1, context: context, handler: self)
        let port = try server.listen(on: SocketAddress(host: "127.0.0.1", port: 0))
        self.open.withLock { $0 = port }
        self.server.withLock { $0 = server }
    }

    func answer(_ answer: @escaping @Sendable (Question) -> JSON?) { answers.withLock { $0 = answer } }

    func stop() throws {
        server.withLock { server in
            defer { server = nil }
            return server
        }?.stop()
        try FileTree.remove(directory)
    }

    func handle(_ exchange: HTTPExchange) {
        let body = (try? JSON(parsing: exchange.body)) ?? .null
        let question = Question(
            path: exchange.head.target, authorization: exchange.head.header("authorization"), body: body)
        asked.withLock { $0.append(question) }
        let answer = answers.withLock { $0 }
        exchange.respond(answer?(question).map { .json(200, $0) } ?? .text(500, "no answer"))
    }

    func refusal(_ error: HTTPParseError) -> HTTPResponse { .text(error.status, error.message) }
}
