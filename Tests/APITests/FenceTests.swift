import Objects
import PluginAPI
import PluginKit
import XCTest

/// Requests of hostd.api/1 that may write only while someone leads.
final class FenceTests: XCTestCase {
    private static let key = "leases.coordination.k8s.io/kube-system/test"
    private let maps = "/api/v1/namespaces/default/configmaps"

    private func map(_ name: String, _ value: String) -> JSON {
        ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)], "data": ["a": .string(value)]]
    }

    func testWritesHappenOnlyWhileTheFenceHolds() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let token = try server.store.create(Self.key, value: Array("{\"metadata\":{}}".utf8))
        let fence = WriteFence(key: Self.key, revision: token)
        func send(_ method: String, _ path: String, _ body: JSON? = nil) throws -> (code: Int32, json: JSON) {
            try server.inProcess(method, path, body, fence: fence)
        }
        let merge = "PATCH application/merge-patch+json"
        XCTAssertEqual(try send("POST", maps, map("m", "1")).code, 201)
        XCTAssertEqual(try send("PUT", "\(maps)/m", map("m", "2")).code, 200)
        XCTAssertEqual(try send(merge, "\(maps)/m", ["data": ["a": "3"]]).code, 200)
        XCTAssertEqual(try send("POST", maps, map("gone", "1")).code, 201)
        XCTAssertEqual(try send("DELETE", "\(maps)/gone").code, 200)

        try server.store.update(Self.key, value: Array("{\"metadata\":{}}".utf8))
        let before = try send("GET", "\(maps)/m").json
        let rows: [(String, String, JSON?)] = [
            ("POST", maps, map("n", "1")), ("PUT", "\(maps)/m", map("m", "4")),
            (merge, "\(maps)/m", ["data": ["a": "4"]]),
            ("DELETE", "\(maps)/m", nil),
            (
                "POST", "/api/v1/namespaces/default/services",
                ["metadata": ["name": "s"], "spec": ["ports": [["port": 80]]]]
            ),
        ]
        for (method, path, body) in rows {
            let (code, json) = try send(method, path, body)
            XCTAssertEqual(code, 403, "\(method) \(path): \(json)")
            XCTAssertEqual(json["reason"], "Forbidden")
            XCTAssertTrue(json["message"].stringValue?.contains("does not lead any more") == true, "\(json)")
        }
        for path in ["\(maps)/n", "/api/v1/namespaces/default/services/s"] {
            XCTAssertEqual(try send("GET", path).code, 404, "\(path) was written")
        }
        let (code, json) = try send("GET", "\(maps)/m")
        XCTAssertEqual(code, 200, "reads do not look at the fence")
        XCTAssertEqual(json["data"]["a"], "3")
        XCTAssertEqual(json, before, "nothing was written")
        XCTAssertEqual(try send("POST", maps, map("m", "5")).code, 409, "what would fail anyway says so")

        try server.store.remove(Self.key)
        XCTAssertEqual(try send("PUT", "\(maps)/m", map("m", "6")).code, 403, "a key that is gone is at no revision")
        XCTAssertEqual(try server.inProcess("PUT", "\(maps)/m", map("m", "6")).code, 200, "without a fence")
    }
}
