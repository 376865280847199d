import Objects
import XCTest

@testable import API

/// Owners that are named more than once are kept once.
final class OwnerReferencesTests: XCTestCase {
    private var server: TestServer!
    private let maps = "/api/v1/namespaces/default/configmaps"

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private func owner(_ uid: String) -> JSON {
        ["apiVersion": "v1", "kind": "Node", "name": "n", "uid": .string(uid)]
    }

    private func warning(_ uids: String, isAdmitted: Bool = false) -> String {
        "299 - \".metadata.ownerReferences contains duplicate entries"
            + (isAdmitted ? " after mutating admission happens" : "")
            + "; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix "
            + "your requests; duplicate UID(s) observed: \(uids)\""
    }

    func testRequests() throws {
        let (a, b) = (owner("1"), owner("2"))
        var object: JSON = [
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "m", "ownerReferences": [a, a]],
        ]
        let created = try server.request("POST", maps, object)
        XCTAssertEqual(created.status, 201)
        XCTAssertEqual(try created.json["metadata"]["ownerReferences"], [a])
        XCTAssertEqual(created.headers["warning"], warning("1"))
        object["metadata"]["ownerReferences"] = [a, b, a, b]
        let put = try server.request("PUT", maps + "/m", object)
        XCTAssertEqual(try put.json["metadata"]["ownerReferences"], [a, b])
        XCTAssertEqual(put.headers["warning"], warning("1, 2"))
        let type = ["Content-Type": "application/json-patch+json"]
        func add(_ owner: JSON) throws -> TLSClient.Response {
            try server.request(
                "PATCH", maps + "/m", [["op": "add", "path": "/metadata/ownerReferences/-", "value": owner]],
                headers: type)
        }
        let patched = try add(a)
        XCTAssertEqual(try patched.json["metadata"]["ownerReferences"], [a, b])
        XCTAssertEqual(patched.headers["warning"], warning("1", isAdmitted: true))
        let third = try add(owner("3"))
        XCTAssertEqual(try third.json["metadata"]["ownerReferences"].arrayValue.count, 3)
        XCTAssertNil(third.headers["warning"])
    }

    func testWhatDiffersIsKept() {
        var other = owner("1")
        other["controller"] = true
        var object: JSON = ["metadata": ["ownerReferences": [owner("1"), other, owner("1"), other]]]
        XCTAssertEqual(OwnerReferences.deduplicate(&object, isAdmitted: false).count, 1)
        XCTAssertEqual(object["metadata"]["ownerReferences"], [owner("1"), other])
    }
}
