import Objects
import XCTest

@testable import API

/// Tests of how the API behaves as a whole: many rows against one server, which lives as long as its class has tests to run.
class ConformanceCase: XCTestCase {
    // SAFETY (nonisolated(unsafe)): XCTest runs the tests of a process one after the other, on one thread.
    nonisolated(unsafe) private(set) static var shared: TestServer?
    nonisolated(unsafe) private static var client: TLSClient?

    override class func setUp() {
        do {
            let server = try TestServer()
            shared = server
            client = try server.connect()
        } catch {
            XCTFail("no server: \(error)")
        }
    }

    override class func tearDown() {
        client?.close()
        client = nil
        do { try shared?.stop() } catch { XCTFail("the server does not stop: \(error)") }
        shared = nil
    }

    var server: TestServer {
        get throws { try XCTUnwrap(Self.shared) }
    }

    /// A request on the connection that the tests of a class share.
    @discardableResult
    func ask(
        _ method: String, _ path: String, _ body: JSON? = nil, type: String? = nil, headers: [String: String] = [:]
    ) throws -> TLSClient.Response {
        var headers = headers
        if let type { headers["Content-Type"] = type }
        return try XCTUnwrap(Self.client).request(method, path, body: body?.serialized(), headers: headers)
    }

    /// The same with a body in other than JSON.
    @discardableResult
    func ask(_ method: String, _ path: String, text: String, type: String) throws -> TLSClient.Response {
        try XCTUnwrap(Self.client).request(method, path, body: Array(text.utf8), headers: ["Content-Type": type])
    }

    func merge(_ path: String, _ patch: JSON) throws -> TLSClient.Response {
        try ask("PATCH", path, patch, type: "application/merge-patch+json")
    }

    @discardableResult
    func apply(_ path: String, _ config: JSON, manager: String, force: Bool = false) throws -> TLSClient.Response {
        try ask(
            "PATCH", "\(path)?fieldManager=\(manager)" + (force ? "&force=true" : ""), config,
            type: "application/apply-patch+yaml")
    }

    /// The events of a watch until one for which `isLast` holds, or until the watch ends, of which it has two seconds.
    func events(_ path: String, headers: [String: String] = [:], until isLast: (JSON) -> Bool) throws -> [JSON] {
        let client = try server.connect()
        defer { client.close() }
        let mark = path.contains("?") ? "&" : "?"
        client.send(
            "GET \(path)\(mark)watch=1&timeoutSeconds=2 HTTP/1.1\r\nHost: a\r\n"
                + "Authorization: Bearer \(TestServer.token)\r\n"
                + headers.map { "\($0.key): \($0.value)\r\n" }.joined() + "\r\n")
        let head = try client.response(headOnly: true)
        XCTAssertEqual(head.status, 200, path)
        var events: [JSON] = []
        while let event = try client.event() {
            events.append(event)
            if isLast(event) { break }
        }
        return events
    }
}
