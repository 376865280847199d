import Objects
import XCTest

@testable import Node

/// What keeps a pod from starting that claims devices.
final class PodDeviceClaimsTests: XCTestCase {
    func testProblems() {
        let direct: JSONObject = ["resourceClaims": [["name": "x", "resourceClaimName": "c"]]]
        let made: JSONObject = ["resourceClaims": [["name": "x", "resourceClaimTemplateName": "t"]]]
        func told(_ entry: JSON) -> JSON { ["resourceClaimStatuses": .array([entry])] }
        func claim(_ uid: String, _ results: JSON = []) -> JSON {
            [
                "metadata": ["name": "c", "uid": "v"],
                "status": [
                    "reservedFor": [["resource": "pods", "name": "web", "uid": .string(uid)]],
                    "allocation": ["devices": ["results": results]],
                ],
            ]
        }
        let rows: [(reason: String, specification: JSONObject, status: JSON, claim: JSON?, expected: String?)] = [
            ("none", [:], [:], nil, nil),
            ("not made yet", made, [:], nil, "pod \"default/web\": ResourceClaim not created yet"),
            ("not needed", made, told(["name": "x"]), nil, nil),
            (
                "gone", made, told(["name": "x", "resourceClaimName": "c"]), nil,
                "fetch ResourceClaim default/c: resourceclaims.resource.k8s.io \"c\" not found"
            ),
            ("another's", direct, [:], claim("u2"), "pod web(u1) is not allowed to use resource claim c(v)"),
            ("of nothing", direct, [:], claim("u1"), nil),
            (
                "of a device", direct, [:], claim("u1", [["driver": "gpu.example"]]),
                "DRA driver gpu.example is not registered"
            ),
            (
                "by extended resources", [:], ["extendedResourceClaimStatus": ["resourceClaimName": "c"]],
                claim("u1", [["driver": "gpu.example"]]), "DRA driver gpu.example is not registered"
            ),
        ]
        for row in rows {
            let pod = TestPods.pod(status: row.status, specification: row.specification)
            XCTAssertEqual(PodDeviceClaims.problem(of: pod) { _ in row.claim }, row.expected, row.reason)
        }
    }
}
