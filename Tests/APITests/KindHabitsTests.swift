import Objects
import XCTest

@testable import API

/// What some kinds do otherwise than most.
final class KindHabitsTests: XCTestCase {
    private var server: TestServer!
    private let merge = ["Content-Type": "application/merge-patch+json"]
    private let container: JSON = ["name": "c", "image": "i"]

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private func create(_ path: String, _ object: JSON) throws -> JSON {
        let answer = try server.request("POST", path, object)
        XCTAssertEqual(answer.status, 201, answer.text)
        return try answer.json
    }

    func testNothingBelongsToAnEvent() throws {
        let events = "/api/v1/namespaces/default/events"
        let about: JSON = ["kind": "Pod", "name": "p", "namespace": "default"]
        let event: JSON = [
            "kind": "Event", "metadata": ["name": "e", "finalizers": ["example.com/f"]], "involvedObject": about,
        ]
        _ = try create(events, event)
        let options: JSON = ["kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"]
        XCTAssertEqual(try server.request("DELETE", events + "/e", options).status, 200)
        XCTAssertEqual(try server.request("GET", events + "/e").json.finalizers, ["example.com/f"])
    }

    func testCapacitiesAreChangedByRevision() throws {
        let path = "/apis/storage.k8s.io/v1/namespaces/default/csistoragecapacities"
        var object = try create(
            path, ["kind": "CSIStorageCapacity", "metadata": ["name": "c"], "storageClassName": "s"])
        object["metadata"].removeValue(forKey: "resourceVersion")
        let answer = try server.request("PUT", path + "/c", object)
        XCTAssertEqual(answer.status, 422)
        XCTAssertTrue(
            answer.text.contains("metadata.resourceVersion: Invalid value: 0: must be specified for an update"))
    }

    func testANodeBringsItsStatus() throws {
        let body: JSON = [
            "apiVersion": "v1", "kind": "Node", "metadata": ["name": "n"], "status": ["capacity": ["cpu": "2"]],
        ]
        let node = try server.request(
            "PATCH", "/api/v1/nodes/n?fieldManager=me", body, headers: ["Content-Type": "application/apply-patch+yaml"])
        XCTAssertEqual(node.status, 201)
        XCTAssertEqual(try node.json["status"]["capacity"]["cpu"], "2")
        let set: JSON = [
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": ["name": "q"], "spec": ["hard": ["pods": "1"]],
            "status": ["hard": ["pods": "9"]],
        ]
        let quota = try server.request(
            "PATCH", "/api/v1/namespaces/default/resourcequotas/q?fieldManager=me", set,
            headers: ["Content-Type": "application/apply-patch+yaml"])
        XCTAssertEqual(quota.status, 201)
        XCTAssertTrue(try quota.json["status"]["hard"].isNull, "of every other kind it is the server's")
    }

    func testMetadataOfStatusRequests() throws {
        _ = try create(CustomDefinitions.path, CustomDefinitions.widgets())
        let ranges = "/apis/networking.k8s.io/v1/servicecidrs"
        _ = try create(ranges, ["kind": "ServiceCIDR", "metadata": ["name": "r"], "spec": ["cidrs": ["10.5.0.0/24"]]])
        let label: JSON = ["metadata": ["labels": ["a": "b"]]]
        for (path, isKept) in [(CustomDefinitions.path + "/widgets.example.com", true), (ranges + "/r", false)] {
            let answer = try server.request("PATCH", path + "/status", label, headers: merge)
            XCTAssertEqual(answer.status, 200, answer.text)
            XCTAssertEqual(try answer.json.labels["a"].exists, isKept, path)
        }
    }

    func testGenerations() throws {
        let labels: JSON = ["metadata": ["labels": ["a": "b"]], "spec": ["containers": .array([container])]]
        let templates = "/api/v1/namespaces/default/podtemplates"
        XCTAssertEqual(
            try create(templates, ["kind": "PodTemplate", "metadata": ["name": "t"], "template": labels]).generation, 1)
        let change: JSON = ["template": ["spec": ["terminationGracePeriodSeconds": 3]]]
        XCTAssertEqual(try server.request("PATCH", templates + "/t", change, headers: merge).json.generation, 2)
        XCTAssertEqual(
            try server.request("PATCH", templates + "/t", ["metadata": ["labels": ["c": "d"]]], headers: merge).json
                .generation,
            2)
        let classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
        XCTAssertEqual(
            try create(classes, ["kind": "PriorityClass", "metadata": ["name": "p"], "value": 5]).generation, 1)
        let drivers = "/apis/storage.k8s.io/v1/csidrivers"
        let driver = try create(drivers, ["kind": "CSIDriver", "metadata": ["name": "d.example.com"], "spec": [:]])
        XCTAssertEqual(driver.generation, 1)
        let devices = "/apis/resource.k8s.io/v1/deviceclasses"
        XCTAssertEqual(
            try create(devices, ["kind": "DeviceClass", "metadata": ["name": "d"], "spec": [:]]).generation, 1)
    }
}
