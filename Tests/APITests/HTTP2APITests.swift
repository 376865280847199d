import Objects
import XCTest

@testable import API

/// The API over HTTP/2: what clients in Go choose where it is offered.
final class HTTP2APITests: XCTestCase {
    private var server: TestServer!
    private let maps = "/api/v1/namespaces/default/configmaps"

    override func setUpWithError() throws {
        server = try TestServer()
        XCTAssertEqual(try server.request("POST", maps, bytes: map("first")).status, 201)
    }
    override func tearDownWithError() throws { try server.stop() }

    private func map(_ name: String, _ value: String = "v") -> [UInt8] {
        (["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)], "data": ["k": .string(value)]]
            as JSON).serialized()
    }

    func testObjectsListsAndWatchesShareAConnection() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        let watches = try (0..<100).map { _ in try client.open("GET", maps + "?watch=1") }
        XCTAssertEqual(try client.event(watches[0])["object"].name, "first")
        let writes = try (0..<50).map { try client.open("POST", maps, body: map("m\($0)")) }
        for write in writes { XCTAssertEqual(try client.answer(write).status, 201) }
        XCTAssertEqual(try client.request("GET", maps + "/m7").json["data"]["k"], "v")
        for watch in watches.dropFirst() { XCTAssertEqual(try client.event(watch)["object"].name, "first") }
        for watch in watches {
            let names = try (0..<50).map { _ in try client.event(watch)["object"].name }
            XCTAssertEqual(Set(names), Set((0..<50).map { "m\($0)" }))
        }
        for watch in watches.dropFirst() { client.reset(watch) }
        XCTAssertEqual(try client.request("DELETE", maps + "/m1").status, 200)
        let deleted = try client.event(watches[0])
        XCTAssertEqual(deleted["type"], "DELETED")
        XCTAssertEqual(deleted["object"].name, "m1")
        let large = try client.request("POST", maps, body: map("large", String(repeating: "x", count: 3 << 20)))
        XCTAssertEqual(large.status, 413)
        XCTAssertEqual(try large.json["reason"], "RequestEntityTooLarge")
        XCTAssertEqual(try client.request("GET", maps + "/none").status, 404)
        XCTAssertEqual(try client.request("GET", maps + "?limit=5").json["items"].arrayValue.count, 5)
    }

    func testWatchesEndInTime() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        let watch = try client.open("GET", maps + "?watch=1&timeoutSeconds=1")
        XCTAssertEqual(try client.event(watch)["type"], "ADDED")
        let answer = try client.answer(watch)
        XCTAssertTrue(answer.hasEnded)
        XCTAssertEqual(answer.status, 200)
    }

    func testStreamsThatNeedAnUpgradeAreRefused() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        XCTAssertEqual(try client.request("GET", "/healthz").body, Array("ok".utf8))
        let answer = try client.request("CONNECT-UDP", "/healthz")
        XCTAssertEqual(answer.status, 405)
    }

    func testWhoItIs() throws {
        let client = try HTTP2Client(port: server.port)
        defer { client.close() }
        XCTAssertEqual(try client.answer(try client.open("GET", maps, token: nil)).status, 401)
        XCTAssertEqual(try client.answer(try client.open("GET", maps, token: "wrong")).status, 401)
    }
}
