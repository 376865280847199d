import Objects
import PluginKit
import XCTest

@testable import API

/// Clients that do what they should not: each gets one clear answer, and the server goes on.
final class BadInputTests: XCTestCase {
    private var server: TestServer!

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws {
        XCTAssertEqual(try server.request("GET", "/livez").status, 200, "the server goes on")
        try server.stop()
    }

    private let path = "/api/v1/namespaces/default/configmaps"

    private func post(_ body: [UInt8], type: String = "application/json") throws -> TLSClient.Response {
        let client = try server.connect()
        defer { client.close() }
        return try client.request("POST", path, body: body, headers: ["Content-Type": type])
    }

    func testBodies() throws {
        let deep = String(repeating: "[", count: 5000)
        let rows: [(body: [UInt8], type: String, status: Int, reason: String)] = [
            (Array("{\"kind\":".utf8), "application/json", 400, "truncated"), ([], "application/json", 400, "empty"),
            (Array("[]".utf8), "application/json", 400, "no object"),
            (Array("{\"a\":\(deep)".utf8), "application/json", 400, "nested too deeply"),
            (Array("{\"a\":1,\"a\":2}".utf8), "application/json", 422, "a key twice, and no name"),
            ([0x7B, 0x22, 0xFF, 0xFE, 0x22, 0x3A, 0x31, 0x7D], "application/json", 400, "no UTF-8"),
            (Array("{}".utf8), "application/cbor", 415, "another encoding"),
            (Array("a: [1".utf8), "application/yaml", 400, "broken YAML"),
            (Array("k8s".utf8), "application/vnd.kubernetes.protobuf", 400, "broken protobuf"),
            (Array("{\"apiVersion\":\"v2\",\"kind\":\"ConfigMap\"}".utf8), "application/json", 400, "another version"),
            (Array("{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}".utf8), "application/json", 400, "another kind"),
            (Array("{\"metadata\":[]}".utf8), "application/json", 400, "metadata is no object"),
            (Array("{\"metadata\":{}}".utf8), "application/json", 422, "no name"),
        ]
        for row in rows {
            let answer = try post(row.body, type: row.type)
            XCTAssertEqual(answer.status, row.status, "\(row.reason): \(answer.text)")
            XCTAssertEqual(try answer.json.kind, "Status", row.reason)
            XCTAssertEqual(try answer.json["code"].integerValue, Int64(row.status), row.reason)
        }
    }

    func testTimeouts() throws {
        let rows: [(path: String, timeout: String, status: Int)] = [
            ("/version", "3m", 200), ("/version", "0s", 200), ("/version", "", 200), ("/version", "invalid", 400),
            (path, "1.5h", 200), (path, "10", 400),
        ]
        for row in rows {
            let answer = try server.request("GET", "\(row.path)?timeout=\(row.timeout)")
            XCTAssertEqual(answer.status, row.status, "\(row)")
            guard row.status == 400 else { continue }
            let message = try XCTUnwrap(try answer.json["message"].stringValue)
            XCTAssertTrue(message.hasPrefix("invalid timeout specified in the request URL"), message)
        }
    }

    func testOversizedBody() throws {
        let client = try server.connect()
        defer { client.close() }
        client.send(
            "POST \(path) HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(TestServer.token)\r\nContent-Length: 4000000\r\n\r\n{"
        )
        let answer = try client.response()
        XCTAssertEqual(answer.status, 413)
        XCTAssertEqual(try answer.json["reason"], "RequestEntityTooLarge")
        XCTAssertTrue(client.isAtEnd())
    }

    func testLargestBodyArrives() throws {
        let value = String(repeating: "x", count: 1_000_000)
        let body: JSON = [
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "big"], "data": ["k": .string(value)],
        ]
        XCTAssertEqual(try post(body.serialized()).status, 201)
        XCTAssertEqual(try server.request("GET", path + "/big").json["data"]["k"].stringValue?.utf8.count, 1_000_000)
        let tooBig: JSON = [
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "bigger"],
            "data": ["k": .string(String(repeating: "x", count: 2_000_000))],
        ]
        let refused = try post(tooBig.serialized()).status
        XCTAssertTrue((400..<500).contains(refused), "\(refused)")
    }

    func testRawRequests() throws {
        let rows: [(text: String, status: Int, reason: String)] = [
            ("GET / HTTP/1.1\r\n\r\n", 400, "no Host"),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400,
                "conflicting lengths"
            ),
            ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "another version"),
            ("\u{01}\u{02}\u{03}\r\n\r\n", 400, "no HTTP"),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "y", count: 70_000))\r\n\r\n", 431,
                "a head too large"
            ),
            ("GET /livez/%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a broken escape"),
            ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 401, "nobody's, before anything of it is looked at"),
        ]
        for row in rows {
            let client = try server.connect()
            client.send(row.text)
            let answer = try client.response()
            XCTAssertEqual(answer.status, row.status, row.reason)
            XCTAssertEqual(try answer.json.kind, "Status", row.reason)
            client.close()
        }
    }

    func testPipelinedChunkedAndExpectedRequests() throws {
        let client = try server.connect()
        defer { client.close() }
        let head = "Host: a\r\nAuthorization: Bearer \(TestServer.token)\r\n"
        client.send(String(repeating: "GET /livez HTTP/1.1\r\n\(head)\r\n", count: 20))
        for _ in 0..<20 { XCTAssertEqual(try client.response().text, "ok") }
        let object = "{\"metadata\":{\"name\":\"chunked\"}}"
        client.send("POST \(path) HTTP/1.1\r\n\(head)Transfer-Encoding: chunked\r\n\r\n")
        for character in object { client.send("1\r\n\(character)\r\n") }
        client.send("0\r\n\r\n")
        XCTAssertEqual(try client.response().status, 201)
        client.send("POST \(path) HTTP/1.1\r\n\(head)Expect: 100-continue\r\nContent-Length: 32\r\n\r\n")
        XCTAssertEqual(try client.response().status, 100)
        client.send("{\"metadata\":{\"name\":\"expected\"}} ".prefix(32).description)
        XCTAssertEqual(try client.response().status, 201)
        client.send("GET /livez HTTP/1.1\r\n\(head)Connection: close\r\n\r\n")
        XCTAssertEqual(try client.response().headers["connection"], "close")
        XCTAssertTrue(client.isAtEnd())
    }

    func testPortInUse() throws {
        XCTAssertThrowsError(try TestServer(listen: "127.0.0.1:\(server.port)")) { error in
            XCTAssertTrue("\(error)".contains("127.0.0.1:\(server.port)") && "\(error)".contains("in use"), "\(error)")
        }
    }
}
