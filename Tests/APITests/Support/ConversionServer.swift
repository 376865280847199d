import Glibc
import Objects
import PluginKit
import Synchronization

@testable import API

/// A webhook over HTTPS that converts widgets: in v2 the size is in `spec.dimensions`.
final class ConversionServer: HTTPHandler {
    private let directory: String
    private let server: HTTPServer
    private let contents: PKIDirectory.Contents
    private let state = Mutex((calls: 0, failure: ""))
    let port: UInt16

    /// Conversions that were asked for.
    var calls: Int { state.withLock { $0.calls } }

    /// What it answers instead of objects; empty to convert.
    var failure: String {
        get { state.withLock { $0.failure } }
        set { state.withLock { $0.failure = newValue } }
    }

    init() throws {
        var template = Array("/tmp/hostd-conversion-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw PluginError.internal("mkdtemp: \(errno)") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        contents = try PKIDirectory(path: directory + "/pki").prepare(names: ["IP:127.0.0.1"])
        let context = try TLSContext(
            certificate: contents.server.certificate, key: contents.server.key, clientAuthority: contents.authority)
        let box = HandlerBox()
        server = try HTTPServer(threads: 1, context: context, handler: box)
        port = try server.listen(on: SocketAddress(host: "127.0.0.1", port: 0))
        box.handler.withLock { $0 = self }
    }

    func stop() throws {
        server.stop()
        try FileTree.remove(directory)
    }

    /// `spec.conversion` of a definition.
    func conversion(path: String = "/convert") -> JSON {
        [
            "strategy": "Webhook",
            "webhook": [
                "conversionReviewVersions": ["v1"],
                "clientConfig": [
                    "url": .string("https://127.0.0.1:\(port)\(path)"),
                    "caBundle": .string(Base64.encode(contents.authority)),
                ],
            ],
        ]
    }

    func handle(_ exchange: HTTPExchange) {
        let failure = state.withLock { state in
            state.calls += 1
            return state.failure
        }
        guard let review = try? JSON(parsing: exchange.body) else { return exchange.respond(.text(400, "no JSON")) }
        let request = review["request"]
        let version = request["desiredAPIVersion"].stringValue ?? ""
        var response: JSON = ["uid": request["uid"]]
        if failure.isEmpty {
            response["result"] = ["status": "Success"]
            response["convertedObjects"] = .array(request["objects"].arrayValue.map { Self.convert($0, version) })
        } else {
            response["result"] = ["status": "Failure", "message": .string(failure)]
        }
        exchange.respond(
            .json(200, ["apiVersion": review["apiVersion"], "kind": review["kind"], "response": response]))
    }

    func refusal(_ error: HTTPParseError) -> HTTPResponse { .text(error.status, error.message) }

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

    /// Hands requests on to a handler that is made after its server.
    private final class HandlerBox: HTTPHandler {
        let handler = Mutex<ConversionServer?>(nil)

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
