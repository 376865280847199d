import Objects
import Synchronization

@testable import API

/// A server of JSON over HTTPS whose answers the test decides.
final class JSONServer: Sendable {
    struct Question: Sendable {
        let path: String
        let authorization: String?
        let body: JSON
    }

    private final class State: Sendable {
        let answer = Mutex<(@Sendable (Question) -> JSON?)?>(nil)
        let asked = Mutex<[Question]>([])
    }
    private let state = State()
    private let server: TestHTTPSServer

    /// What signs its certificate, in PEM.
    var authority: String { String(decoding: server.contents.authority, as: UTF8.self) }
    var port: UInt16 { server.port }
    /// What it was asked, in order.
    var questions: [Question] { state.asked.withLock { $0 } }
    func url(_ path: String) -> String { "https://127.0.0.1:\(port)\(path)" }

    /// - Parameter answer: nil answers 500; a text is sent as it is.
    init(_ answer: (@Sendable (Question) -> JSON?)? = nil) throws {
        state.answer.withLock { $0 = answer }
        server = try TestHTTPSServer { [state] exchange in
            let question = Question(
                path: exchange.head.target, authorization: exchange.head.header("authorization"),
                body: (try? JSON(parsing: exchange.body)) ?? .null)
            state.asked.withLock { $0.append(question) }
            let answer = state.answer.withLock { $0 }
            switch answer?(question) {
            case nil: exchange.respond(.text(500, "no answer"))
            case .string(let text): exchange.respond(.text(200, text))
            case let json?: exchange.respond(.json(200, json))
            }
        }
    }

    func answer(_ answer: @escaping @Sendable (Question) -> JSON?) { state.answer.withLock { $0 = answer } }

    func stop() throws { try server.stop() }
}
