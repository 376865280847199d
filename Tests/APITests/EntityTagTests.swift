import Objects
import XCTest

@testable import API

/// Documents that clients keep, and ask only whether they still hold.
final class EntityTagTests: XCTestCase {
    func testMatches() {
        let tag = EntityTag(of: Array("abc".utf8))
        XCTAssertEqual(tag.text, "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", "SHA-256")
        let rows: [(header: String?, matches: Bool)] = [
            (nil, false), ("", false), ("*", true), ("\"\(tag.text)\"", true), ("W/\"\(tag.text)\"", true),
            ("\"a\", \"\(tag.text)\" ,\"b\"", true), (tag.text, false), ("\"a\"", false),
        ]
        for row in rows { XCTAssertEqual(tag.matches(row.header), row.matches, row.header ?? "none") }
    }

    func testDiscovery() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        func get(_ path: String, _ known: String? = nil, accept: String = accept) throws -> TLSClient.Response {
            var headers = ["Accept": accept]
            if let known { headers["If-None-Match"] = known }
            return try server.request("GET", path, headers: headers)
        }
        for path in ["/api", "/apis", "/apis/apps/v1"] {
            let first = try get(path)
            XCTAssertEqual(first.status, 200)
            XCTAssertEqual(first.headers["cache-control"], path == "/apis/apps/v1" ? "no-cache, private" : "public")
            XCTAssertEqual(first.headers["vary"], "Accept")
            let tag = try XCTUnwrap(first.headers["etag"])
            let client = try server.connect()
            defer { client.close() }
            let again = try client.request("GET", path, headers: ["Accept": accept, "If-None-Match": tag])
            XCTAssertEqual(again.status, 304, path)
            XCTAssertEqual(again.headers["etag"], tag)
            XCTAssertEqual(again.body, [])
            XCTAssertEqual(try client.request("GET", "/livez").text, "ok", "nothing follows a 304's head")
            XCTAssertEqual(try get(path, "\"other\"").status, 200)
        }
        let groups = try XCTUnwrap(try get("/apis").headers["etag"])
        XCTAssertNotEqual(groups, try get("/apis", accept: "application/json").headers["etag"], "another form")
        _ = try server.request("POST", CustomDefinitions.path, CustomDefinitions.widgets())
        let changed = try get("/apis", groups)
        XCTAssertEqual(changed.status, 200, "a custom resource has come")
        XCTAssertNotEqual(changed.headers["etag"], groups)
    }

    func testOpenAPI() throws {
        let server = try TestServer()
        defer { XCTAssertNoThrow(try server.stop()) }
        _ = try server.request("POST", CustomDefinitions.path, CustomDefinitions.widgets())
        let index = try server.request("GET", "/openapi/v3")
        let known = try XCTUnwrap(index.headers["etag"])
        XCTAssertEqual(try server.request("GET", "/openapi/v3", headers: ["If-None-Match": known]).status, 304)
        var urls: Set<String> = []
        for place in ["api/v1", "apis/apps/v1", "apis/example.com/v1"] {
            let url = try XCTUnwrap(try index.json["paths"][place]["serverRelativeURL"].stringValue)
            XCTAssertTrue(urls.insert(String(url.split(separator: "=")[1])).inserted, "each has a hash of its own")
            let document = try server.request("GET", url)
            XCTAssertEqual(document.status, 200)
            XCTAssertEqual(document.headers["cache-control"], "public, immutable")
            XCTAssertNotNil(document.headers["expires"])
            let tag = try XCTUnwrap(document.headers["etag"])
            XCTAssertEqual(try server.request("GET", url, headers: ["If-None-Match": tag]).status, 304)
            let old = try server.request("GET", "/openapi/v3/\(place)?hash=OLD")
            XCTAssertEqual(old.status, 301, place)
            XCTAssertEqual(old.headers["location"], url)
            let plain = try server.request("GET", "/openapi/v3/\(place)")
            XCTAssertEqual(plain.body, document.body)
            XCTAssertEqual(plain.headers["cache-control"], "no-cache, private", "it may change under this address")
        }
        XCTAssertEqual(try server.request("GET", "/openapi/v3/apis/none/v1").status, 404)
        let all = try server.request("GET", "/openapi/v2")
        XCTAssertTrue(try all.json["definitions"].exists)
        let tag = try XCTUnwrap(all.headers["etag"])
        XCTAssertEqual(try server.request("GET", "/openapi/v2", headers: ["If-None-Match": tag]).status, 304)
        let accept = ("Accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
        let protobuf = try server.request("GET", "/openapi/v2", headers: [accept.0: accept.1])
        XCTAssertEqual(
            protobuf.headers["content-type"], "application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
        for name in ["io.k8s.api.core.v1.Pod", "com.example.v1.Widget"] {
            XCTAssertTrue(protobuf.text.contains(name), "\(name) is defined")
        }
        let other = try XCTUnwrap(protobuf.headers["etag"])
        XCTAssertNotEqual(other, tag, "each form has a tag of its own")
        XCTAssertEqual(
            try server.request("GET", "/openapi/v2", headers: [accept.0: accept.1, "If-None-Match": other]).status, 304)
        XCTAssertEqual(try server.request("DELETE", CustomDefinitions.path + "/widgets.example.com").status, 200)
        try server.eventually("another document") {
            try server.request("GET", "/openapi/v2", headers: ["If-None-Match": tag]).status == 200
        }
        try server.restart()
        let after = try server.request("GET", "/openapi/v3").json["paths"]["apis/apps/v1"]
        XCTAssertEqual(after, try index.json["paths"]["apis/apps/v1"], "the same after a restart")
    }
}
