import Objects
import XCTest

@testable import Controllers

final class MirrorPlanTests: XCTestCase {
    private func endpoints(_ subsets: JSON, labels: JSON = [:], annotations: JSON = [:]) -> JSON {
        [
            "metadata": [
                "name": "db", "namespace": "default", "uid": "e", "labels": labels, "annotations": annotations,
            ],
            "subsets": subsets,
        ]
    }
    private let service: JSON = ["metadata": ["name": "db"], "spec": ["ports": []]]

    func testWhatIsMirrored() {
        let cases: [(String, JSON, JSON?, Bool)] = [
            ("by hand", endpoints([]), service, true), ("no Service", endpoints([]), nil, false),
            ("a selector", endpoints([]), ["spec": ["selector": ["a": "b"]]], false),
            ("not wanted", endpoints([], labels: .object([MirrorPlan.skipLabel: "true"])), service, false),
            (
                "an election", endpoints([], annotations: ["control-plane.alpha.kubernetes.io/leader": "{}"]), service,
                false
            ),
        ]
        for (reason, object, service, expected) in cases {
            XCTAssertEqual(MirrorPlan.isMirrored(object, service: service), expected, reason)
        }
    }

    func testSlices() {
        let subsets: JSON = [
            [
                "addresses": [["ip": "10.1.2.3"], ["ip": "fd00::1"]], "notReadyAddresses": [["ip": "10.1.2.4"]],
                "ports": [["name": "http", "port": 80, "protocol": "TCP"]],
            ]
        ]
        let plan = MirrorPlan(endpoints(subsets, labels: ["a": "b"], annotations: ["x": "y"]), existing: [])
        XCTAssertEqual(plan.create.map { $0["addressType"] }, ["IPv4", "IPv6"])
        let first = plan.create[0]
        XCTAssertEqual(first["endpoints"].arrayValue.map { $0["conditions"]["ready"] }, [true, false])
        XCTAssertEqual(first["ports"][0]["port"], 80)
        XCTAssertEqual(first.labels["a"], "b")
        XCTAssertEqual(first.labels[EndpointPlan.serviceLabel], "db")
        XCTAssertEqual(first.labels[EndpointPlan.managedByLabel].stringValue, MirrorPlan.manager)
        XCTAssertEqual(first.annotations["x"], "y")
        XCTAssertEqual(first.ownerReferences.map { $0["kind"] }, ["Endpoints"])
        let again = MirrorPlan(
            endpoints(subsets, labels: ["a": "b"], annotations: ["x": "y"]), existing: plan.create)
        XCTAssertTrue(again.create.isEmpty && again.update.isEmpty && again.delete.isEmpty)
    }

    func testChangesKeepSlices() {
        func one(_ address: JSON, port: JSON) -> JSON {
            [["addresses": [["ip": address]], "ports": [["port": port, "protocol": "TCP"]]]]
        }
        var slice = MirrorPlan(endpoints(one("10.1.2.3", port: 80)), existing: []).create[0]
        slice["metadata"]["name"] = "db-1"
        let moved = MirrorPlan(endpoints(one("10.1.2.9", port: 81)), existing: [slice])
        XCTAssertEqual(moved.update.map(\.name), ["db-1"])
        XCTAssertTrue(moved.create.isEmpty && moved.delete.isEmpty)
        XCTAssertEqual(MirrorPlan(endpoints([]), existing: [slice]).delete.map(\.name), ["db-1"])
        XCTAssertEqual(MirrorPlan(nil, existing: [slice]).delete.map(\.name), ["db-1"])
    }
}
