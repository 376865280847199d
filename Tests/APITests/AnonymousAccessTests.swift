import Objects
import XCTest

@testable import API

final class AnonymousAccessTests: XCTestCase {
    func testPaths() {
        let rows: [(JSON, String, Bool, String)] = [
            (.null, "/healthz", true, "health"), (.null, "/livez/ping", true, "one check"),
            (.null, "/readyz?verbose", true, "with a query"), (.null, "/version", true, "the version"),
            (.null, "/healthzz", false, "a longer name"), (.null, "/api/v1/pods", false, "an API"),
            (["enabled": false], "/healthz", false, "nowhere"), (["enabled": true], "/api/v1/pods", true, "everywhere"),
            (["enabled": true, "conditions": [["path": "/a"]]], "/a", true, "where it says"),
            (["enabled": true, "conditions": [["path": "/a"]]], "/healthz", false, "and there alone"),
        ]
        for (json, target, isOpen, reason) in rows {
            XCTAssertEqual(AnonymousAccess(json).isOpen(target), isOpen, reason)
        }
    }

    func testItIsForTheAuthorizersToSay() throws {
        let server = try TestServer(options: ["authentication": ["anonymous": ["enabled": true]]])
        defer { XCTAssertNoThrow(try server.stop()) }
        let answer = try server.request("GET", "/api/v1/pods", token: nil)
        XCTAssertEqual(answer.status, 403)
        XCTAssertTrue(answer.text.contains("system:anonymous"), answer.text)
    }
}
