import Glibc
import PluginKit
import Synchronization

@testable import API

/// An HTTPS server whose answers show what the connection made of the request: sizes, streams that the test writes, requests
/// that wait until the test answers them.
final class EchoServer: HTTPHandler {
    private struct State {
        var streams: [String: HTTPBodyStream] = [:]
        var closed: Set<String> = []
        var waiting: [HTTPExchange] = []
    }

    private let directory: String
    private let server = Mutex<HTTPServer?>(nil)
    let contents: PKIDirectory.Contents
    private let state = Mutex(State())
    let port: UInt16

    init() throws {
        var template = Array("/tmp/hostd-echo-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw PluginError.internal("mkdtemp: \(errno)") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        contents = try PKIDirectory(path: directory + "/pki").prepare(names: ["IP:127.0.0.1"])
        let context = try TLSContext(
            certificate: contents.server.certificate, key: contents.server.key, clientAuthority: contents.authority)
        let relay = HandlerRelay()
        let server = try HTTPServer(threads: 1, context: context, handler: relay)
        port = try server.listen(on: SocketAddress(host: "127.0.0.1", port: 0))
        self.server.withLock { $0 = server }
        relay.handler.withLock { $0 = self }
    }

    /// Stops the server, once.
    func stop() throws {
        let server = server.withLock { server in
            defer { server = nil }
            return server
        }
        guard let server else { return }
        server.stop()
        try FileTree.remove(directory)
    }

    func handle(_ exchange: HTTPExchange) {
        let target = exchange.head.target
        if target.hasPrefix("/bytes/"), let count = Int(target.dropFirst(7)) {
            let turn = (0..<251).map { UInt8($0) }
            let bytes = (0..<(count / turn.count)).flatMap { _ in turn } + turn[..<(count % turn.count)]
            exchange.respond(HTTPResponse(status: 200, contentType: "application/octet-stream", body: .bytes(bytes)))
        } else if target.hasPrefix("/stream/") {
            let stream = HTTPBodyStream()
            stream.onClose { [self] in state.withLock { _ = $0.closed.insert(target) } }
            state.withLock { $0.streams[target] = stream }
            exchange.respond(HTTPResponse(status: 200, body: .stream(stream)))
        } else if target == "/who" {
            exchange.respond(.text(200, exchange.certificate?.commonName ?? ""))
        } else if target == "/wait" {
            state.withLock { $0.waiting.append(exchange) }
        } else {
            let names = exchange.head.allHeaders.map(\.name).sorted().joined(separator: ",")
            exchange.respond(.text(200, "\(exchange.head.method) \(target) \(exchange.body.count) \(names)"))
        }
    }

    func refusal(_ error: HTTPParseError) -> HTTPResponse { .text(error.status, error.message) }

    /// A stream that has been asked for.
    func stream(_ target: String) -> HTTPBodyStream? { state.withLock { $0.streams[target] } }

    /// Whether the client of a stream is gone, as its writer was told.
    func isClosed(_ target: String) -> Bool { state.withLock { $0.closed.contains(target) } }

    var waiting: [HTTPExchange] { state.withLock { $0.waiting } }
}
