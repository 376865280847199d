import Objects
import XCTest

@testable import API

/// Services whose type changes, and statuses with which annotations come along.
final class ServiceTypeTests: XCTestCase {
    private var server: TestServer!
    private let services = "/api/v1/namespaces/default/services"

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    func testTypesComeAndGo() throws {
        let made = try server.inProcess(
            "POST", services,
            [
                "apiVersion": "v1", "kind": "Service", "metadata": ["name": "s"],
                "spec": ["type": "ExternalName", "externalName": "a.example"],
            ])
        XCTAssertEqual(made.code, 201)
        let steps: [(String, JSON, (JSON) -> Bool)] = [
            (
                "an address", ["type": "ClusterIP", "externalName": .null, "ports": [["port": 80]]],
                { $0["clusterIP"].exists && $0["clusterIPs"].arrayValue.count == 1 }
            ),
            (
                "a port of the node", ["type": "NodePort"],
                { $0["ports"][0]["nodePort"].exists && $0["externalTrafficPolicy"] == "Cluster" }
            ),
            (
                "a name again", ["type": "ExternalName", "externalName": "b.example"],
                { spec in
                    ["clusterIP", "clusterIPs", "ipFamilies", "externalTrafficPolicy"].allSatisfy { !spec[$0].exists }
                        && !spec["ports"][0]["nodePort"].exists
                }
            ),
        ]
        for (reason, spec, holds) in steps {
            let answer = try server.inProcess("PATCH application/merge-patch+json", services + "/s", ["spec": spec])
            XCTAssertEqual(answer.code, 200, "\(reason): \(answer.json)")
            XCTAssertTrue(holds(answer.json["spec"]), "\(reason): \(answer.json["spec"])")
        }
        let wrong = try server.inProcess(
            "PATCH application/merge-patch+json", services + "/s", ["spec": ["clusterIP": "10.96.0.77"]])
        XCTAssertEqual(wrong.code, 422, "an address that was asked for is not dropped in silence")
    }

    func testLabelsAndAnnotationsComeWithAStatus() throws {
        let jobs = "/apis/batch/v1/namespaces/default/jobs"
        let template: JSON = ["spec": ["restartPolicy": "Never", "containers": [["name": "c", "image": "i"]]]]
        let made = try server.inProcess(
            "POST", jobs,
            [
                "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "j"],
                "spec": ["suspend": true, "template": template],
            ])
        XCTAssertEqual(made.code, 201)
        let patched = try server.inProcess(
            "PATCH application/merge-patch+json", jobs + "/j/status",
            [
                "metadata": ["annotations": ["patchedstatus": "true"]], "spec": ["suspend": false],
                "status": ["startTime": "2026-01-01T00:00:00Z"],
            ])
        XCTAssertEqual(patched.json.annotations["patchedstatus"], "true")
        XCTAssertEqual(patched.json["status"]["startTime"], "2026-01-01T00:00:00Z")
        XCTAssertEqual(patched.json["spec"]["suspend"], true)
    }
}
