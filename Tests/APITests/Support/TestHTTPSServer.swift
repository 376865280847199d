import Glibc
import Objects
import PluginKit

@testable import API

/// An HTTPS server on loopback, with a certificate authority of its own, whose answers the test decides.
final class TestHTTPSServer: HTTPHandler {
    /// Answers a request, now or later.
    typealias Answer = @Sendable (HTTPExchange) -> Void

    private let directory: String
    private let server: HTTPServer
    private let answer: Answer
    let contents: PKIDirectory.Contents
    let port: UInt16

    /// - Parameters:
    ///   - names: what its certificate is for besides loopback's address: "DNS:…", "IP:…".
    ///   - clientAuthority: whose clients' certificates count, in PEM; nil for its own.
    init(
        names: [String] = [], clientAuthority: [UInt8]? = nil, _ answer: @escaping Answer
    ) throws {
        var template = Array("/tmp/hostd-https-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw PluginError.internal("mkdtemp: \(errno)") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        contents = try PKIDirectory(path: directory + "/pki").prepare(names: ["IP:127.0.0.1"] + names)
        let context = try TLSContext(
            certificate: contents.server.certificate, key: contents.server.key,
            clientAuthority: clientAuthority ?? contents.authority)
        self.answer = answer
        let relay = HandlerRelay()
        server = try HTTPServer(threads: 1, context: context, handler: relay)
        port = try server.listen(on: SocketAddress(host: "127.0.0.1", port: 0))
        relay.handler.withLock { $0 = self }
    }

    func stop() throws {
        server.stop()
        try FileTree.remove(directory)
    }

    /// The authority that its certificate is from, as objects of the API hold it.
    var caBundle: JSON { .string(Base64.encode(contents.authority)) }

    /// `clientConfig` of a webhook at a path.
    func clientConfig(_ path: String) -> JSON {
        ["url": .string("https://127.0.0.1:\(port)\(path)"), "caBundle": caBundle]
    }

    func handle(_ exchange: HTTPExchange) { answer(exchange) }

    func refusal(_ error: HTTPParseError) -> HTTPResponse { .text(error.status, error.message) }
}
