import Objects
import XCTest

@testable import API

/// What new nodes, volumes and claims start with, and what a pod is told of its node.
final class PlacementAdmissionTests: XCTestCase {
    private var server: TestServer!

    override func setUpWithError() throws { server = try TestServer() }

    override func tearDownWithError() throws { try server.stop() }

    private func create(_ path: String, _ object: JSON) throws -> JSON {
        let answer = try server.request("POST", path, object)
        XCTAssertEqual(answer.status, 201, answer.text)
        return try answer.json
    }

    func testANewNodeTakesNoPods() throws {
        let taint: JSON = ["key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"]
        XCTAssertEqual(try create("/api/v1/nodes", ["metadata": ["name": "a"]])["spec"]["taints"], [taint])
        let tainted: JSON = ["metadata": ["name": "b"], "spec": ["taints": [taint]]]
        XCTAssertEqual(try create("/api/v1/nodes", tainted)["spec"]["taints"], [taint], "once")
    }

    func testVolumesAndClaimsStayWhileTheyAreUsed() throws {
        let volume: JSON = [
            "metadata": ["name": "v"],
            "spec": [
                "capacity": ["storage": "1Gi"], "accessModes": ["ReadWriteOnce"], "hostPath": ["path": "/tmp/x"],
            ],
        ]
        XCTAssertEqual(
            try create("/api/v1/persistentvolumes", volume).finalizers, ["kubernetes.io/pv-protection"])
        let claim: JSON = [
            "metadata": ["name": "c", "finalizers": ["example.com/mine"]],
            "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]],
        ]
        XCTAssertEqual(
            try create("/api/v1/namespaces/default/persistentvolumeclaims", claim).finalizers,
            ["example.com/mine", "kubernetes.io/pvc-protection"])
    }

    func testAPodIsToldWhereItIs() throws {
        let zone = "topology.kubernetes.io/zone"
        _ = try create(
            "/api/v1/nodes",
            ["metadata": ["name": "a", "labels": [.init(zone): "east", "topology.kubernetes.io/rack": "7"]]])
        func pod(_ name: String, on node: JSON) -> JSON {
            var pod: JSON = [
                "metadata": ["name": .string(name), "labels": [.init(zone): "elsewhere"]],
                "spec": ["containers": [["name": "c", "image": "i"]]],
            ]
            if node.exists { pod["spec"]["nodeName"] = node }
            return pod
        }
        let pods = "/api/v1/namespaces/default/pods"
        let placed = try create(pods, pod("placed", on: "a"))
        XCTAssertEqual(
            placed.labels, [.init(zone): "east"], "the node knows better, and says no more than zone and region")
        XCTAssertEqual(
            try create(pods, pod("early", on: "later")).labels, [.init(zone): "elsewhere"], "of an unknown node")
        XCTAssertEqual(try create(pods, pod("bound", on: .null)).labels, [.init(zone): "elsewhere"])
        let binding: JSON = [
            "apiVersion": "v1", "kind": "Binding", "metadata": ["name": "bound"], "target": ["name": "a"],
        ]
        XCTAssertEqual(try server.request("POST", pods + "/bound/binding", binding).status, 201)
        XCTAssertEqual(try server.request("GET", pods + "/bound").json.labels, [.init(zone): "east"])
    }
}
