import Objects
import PluginKit
import XCTest

@testable import API

/// What a binding does to a pod, and what it is refused for.
final class BindingTests: XCTestCase {
    private var server: TestServer!
    private let pods = "/api/v1/namespaces/default/pods"

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    @discardableResult
    private func create(_ name: String) throws -> JSON {
        let pod: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": .string(name), "labels": ["app": "a"]],
            "spec": ["containers": [["name": "c", "image": "i"]]],
        ]
        let answer = try server.request("POST", pods, pod)
        XCTAssertEqual(answer.status, 201, answer.text)
        return try answer.json
    }

    private func binding(_ name: String, to node: String, _ metadata: JSON = [:]) -> JSON {
        var metadata = metadata
        metadata["name"] = .string(name)
        return [
            "apiVersion": "v1", "kind": "Binding", "metadata": metadata,
            "target": ["kind": "Node", "name": .string(node)],
        ]
    }

    private func bind(_ name: String, _ binding: JSON) throws -> (code: Int32, json: JSON) {
        try server.inProcess("POST", "\(pods)/\(name)/binding", binding)
    }

    func testAGatedPodGetsNoNode() throws {
        let gated: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "gated"],
            "spec": ["containers": [["name": "c", "image": "i"]], "schedulingGates": [["name": "example.com/wait"]]],
        ]
        let created = try server.request("POST", pods, gated)
        XCTAssertEqual(created.status, 201)
        XCTAssertEqual(try created.json["status"]["conditions"][0]["reason"], "SchedulingGated")
        let refused = try bind("gated", binding("gated", to: "n1"))
        XCTAssertEqual(refused.code, 409)
        XCTAssertTrue(refused.json["message"].stringValue?.contains("non-empty .spec.schedulingGates") ?? false)
    }

    func testABindingChangesTheNodeAndNothingThatWasAskedFor() throws {
        let created = try create("p")
        let answer = try bind(
            "p",
            binding(
                "p", to: "n1", ["annotations": ["note": "x"], "labels": ["zone": "z"], "uid": .string(created.uid)]))
        XCTAssertEqual(answer.code, 201)
        XCTAssertEqual(answer.json["status"], "Success")
        let bound = try server.request("GET", pods + "/p").json
        XCTAssertEqual(bound["spec"]["nodeName"], "n1")
        XCTAssertEqual(bound.annotations, ["note": "x"])
        XCTAssertEqual(bound.labels, ["app": "a", "zone": "z"])
        XCTAssertEqual(bound.generation, created.generation, "that it has a node is no other wish")
        XCTAssertEqual(bound.metadata["managedFields"], created.metadata["managedFields"], "and makes nobody an owner")
        let condition = bound["status"]["conditions"].arrayValue.first { $0["type"] == "PodScheduled" }
        XCTAssertEqual(condition?["status"], "True")
        XCTAssertEqual(condition?.objectValue?.keys.sorted(), ["lastTransitionTime", "status", "type"])
        var spec = bound["spec"]
        spec.removeValue(forKey: "nodeName")
        XCTAssertEqual(spec, created["spec"])
        XCTAssertEqual(bound["status"]["qosClass"], created["status"]["qosClass"])
    }

    func testRefusals() throws {
        try create("p")
        let rows: [(JSON, Int32, String, String)] = [
            (binding("p", to: ""), 400, "target.name", "no node"),
            (binding("p", to: "Not A Node"), 422, "spec.nodeName: Invalid value: \"Not A Node\"", "no name of a node"),
            (binding("p", to: "n", ["labels": ["a b": "c"]]), 422, "metadata.labels", "no label"),
            (binding("p", to: "n", ["annotations": ["-/x": "c"]]), 422, "metadata.annotations", "no annotation"),
            (binding("p", to: "n", ["uid": "other"]), 409, "Precondition failed: UID", "another pod of that name"),
        ]
        for (binding, code, text, reason) in rows {
            let answer = try bind("p", binding)
            XCTAssertEqual(answer.code, code, reason)
            XCTAssertTrue(answer.json["message"].stringValue?.contains(text) == true, "\(reason): \(answer.json)")
        }
        XCTAssertEqual(try server.request("GET", pods + "/p").json["spec"]["nodeName"], .null, "it has no node yet")
        XCTAssertEqual(try bind("q", binding("q", to: "n")).code, 404)
        XCTAssertEqual(try bind("p", binding("p", to: "n")).code, 201)
        let again = try bind("p", binding("p", to: "m"))
        XCTAssertEqual(again.code, 409, "it is bound")
        XCTAssertTrue(again.json["message"].stringValue?.contains("already assigned to node \"n\"") == true)
        XCTAssertEqual(try server.request("DELETE", pods + "/p").status, 200)
        XCTAssertEqual(try bind("p", binding("p", to: "m")).code, 409, "it is being deleted")
    }

    func testOnlyOneOfManyBindingsAtOnceIsTaken() throws {
        try create("p")
        let requests = (0..<16).map { number in
            (method: "POST", path: "\(pods)/p/binding", body: binding("p", to: "n\(number)"))
        }
        let taken = APIClient(server.client).all(requests).enumerated().filter { (try? $0.element.get()) != nil }
        XCTAssertEqual(taken.count, 1)
        let bound = try server.request("GET", pods + "/p").json
        XCTAssertEqual(bound["spec"]["nodeName"].stringValue, taken.first.map { "n\($0.offset)" })
    }
}
