import Objects
import XCTest

@testable import API

/// Applies that say the same in other words, and objects that are large because of who manages them.
final class ApplyEdgeTests: XCTestCase {
    private var server: TestServer!
    private let maps = "/api/v1/namespaces/default/configmaps"

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private func apply(_ path: String, _ text: String, manager: String = "me") throws -> JSON {
        try server.request(
            "PATCH", path + "?fieldManager=" + manager, bytes: Array(text.utf8),
            headers: ["Content-Type": "application/apply-patch+yaml"]
        ).json
    }

    /// An amount in other words, and what only the server sets, are no change, and neither is the time of an apply.
    func testTheSameInOtherWords() throws {
        let sets = "/apis/apps/v1/namespaces/default/statefulsets/s"
        let container = #"{"name":"c","image":"i","resources":{"limits":{"memory":"2048Mi"}}}"#
        let template = #"{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[\#(container)]}}"#
        let spec = #"{"selector":{"matchLabels":{"a":"b"}},"serviceName":"s","template":\#(template)}"#
        let rows: [(path: String, text: String)] = [
            (sets, #"{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"s"},"spec":\#(spec)}"#),
            (
                maps + "/m",
                #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","creationTimestamp":null,"resourceVersion":null},"data":{"k":"v"}}"#
            ),
        ]
        for row in rows {
            let first = try apply(row.path, row.text)
            XCTAssertFalse(first.resourceVersion.isEmpty, "\(first)")
            let second = Timestamp.now().formatted()
            try server.eventually("another second") { Timestamp.now().formatted() != second }
            XCTAssertEqual(try apply(row.path, row.text), first, row.path)
        }
        let limits = try server.request("GET", sets).json["spec"]["template"]["spec"]["containers"][0]["resources"]
        XCTAssertEqual(limits["limits"]["memory"], "2Gi")
    }

    /// Kubernetes keeps an object without the account of its managers rather than not at all; an apply is not done without.
    func testObjectsThatOnlyTheirManagersMakeTooLarge() throws {
        // As long as keys may be, so that few of them are enough.
        var data = JSONObject()
        for number in 1000..<4400 { data[String(repeating: "k", count: 236) + "\(number)"] = "A" }
        let small: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "put"], "data": ["k": "v"]]
        XCTAssertEqual(try server.request("POST", maps, small).status, 201)
        var large = small
        large["data"] = .object(data)
        XCTAssertEqual(try server.request("PUT", maps + "/put", large).status, 200)
        XCTAssertEqual(try server.request("POST", maps, large.with("metadata", ["name": "made"])).status, 201)
        for name in ["put", "made"] {
            let shown = try server.request("GET", "\(maps)/\(name)").json
            XCTAssertEqual(shown["data"].objectValue?.count, data.count, name)
            XCTAssertFalse(shown.metadata["managedFields"].exists, name)
        }
        let text = #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"made"},"data":{"z":"z"}}"#
        XCTAssertEqual(try apply("\(maps)/made", text).kind, "Status")
        let refused = try server.request(
            "POST", maps, small.with("data", ["k": .string(String(repeating: "x", count: 1_600_000))]))
        XCTAssertEqual(refused.status, 422, "a rule of the kind's own")
        let revision: JSON = [
            "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": ["name": "r"], "revision": 1,
            "data": ["k": .string(String(repeating: "x", count: 1_600_000))],
        ]
        let revisions = "/apis/apps/v1/namespaces/default/controllerrevisions"
        let none = try server.request("POST", revisions, revision)
        XCTAssertEqual(none.status, 500, "too large without managers too")
        XCTAssertEqual(try none.json["message"], "etcdserver: request is too large")
        XCTAssertEqual(
            try server.request("POST", revisions, revision.with("data", ["k": "v"])).status, 201)
        let patched = try server.request(
            "PATCH", revisions + "/r", ["metadata": ["annotations": revision["data"]]],
            headers: ["Content-Type": "application/merge-patch+json"])
        XCTAssertEqual(patched.status, 422, "annotations have a bound of their own")
    }

    /// Only who says in so many words that dependents are to go hears that they are yet to.
    func testDeletionThatIsYetToBeDone() throws {
        let object: JSON = [
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "kept", "finalizers": ["example.com/f"]],
        ]
        XCTAssertEqual(try server.request("POST", maps, object).status, 201)
        XCTAssertEqual(try server.request("DELETE", maps + "/kept").status, 200)
        let options: JSON = ["kind": "DeleteOptions", "apiVersion": "v1", "orphanDependents": false]
        XCTAssertEqual(try server.request("DELETE", maps + "/kept", options).status, 202)
        let free: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "free"]]
        XCTAssertEqual(try server.request("POST", maps, free).status, 201)
        XCTAssertEqual(try server.request("DELETE", maps + "/free", options).status, 200)
    }

    /// What a deletion is conditional on is told of with the kind.
    func testPreconditionsOfDeletions() throws {
        let object: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "kept"]]
        let made = try server.request("POST", maps, object).json
        let rows: [(JSON, String)] = [
            (
                ["uid": "other"],
                "the UID in the precondition (other) does not match the UID in record (\(made.uid)). The object might "
                    + "have been deleted and then recreated"
            ),
            (
                ["resourceVersion": "1"],
                "the ResourceVersion in the precondition (1) does not match the ResourceVersion in record "
                    + "(\(made.resourceVersion)). The object might have been modified"
            ),
        ]
        for (preconditions, message) in rows {
            let answer = try server.request("DELETE", maps + "/kept", ["preconditions": preconditions])
            XCTAssertEqual(answer.status, 409)
            XCTAssertEqual(
                try answer.json["message"].stringValue,
                "Operation cannot be fulfilled on ConfigMap \"kept\": \(message)")
        }
    }

    /// A version that is none is told of before a continue token is looked at.
    func testWhichFaultOfAListIsToldOf() throws {
        for token in ["", "&continue=none"] {
            let answer = try server.request("GET", "\(maps)?resourceVersion=x\(token)")
            XCTAssertEqual(answer.status, 400)
            XCTAssertTrue(
                try answer.json["message"].stringValue?.hasPrefix("Invalid value: \"x\"") ?? false, answer.text)
        }
    }
}
