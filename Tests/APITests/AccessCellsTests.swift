import Objects
import XCTest

@testable import API

/// Cells of what says who may do what, and of what bounds it.
final class AccessCellsTests: XCTestCase {
    func testAccess() throws {
        try checkCells(
            "rolebindings.rbac.authorization.k8s.io",
            [
                (
                    [
                        "roleRef": ["kind": "ClusterRole", "name": "edit"],
                        "subjects": [
                            ["kind": "User", "name": "ann"], ["kind": "Group", "name": "g"],
                            ["kind": "User", "name": "bob"],
                            ["kind": "ServiceAccount", "namespace": "x", "name": "s"],
                            ["kind": "ServiceAccount", "namespace": "y", "name": "t"],
                        ],
                    ], ["a", "ClusterRole/edit", "10s", "ann, bob", "g", "x/s, y/t"], "subjects of each kind"
                ),
                (["roleRef": ["kind": "Role", "name": "r"]], ["a", "Role/r", "10s", "", "", ""], "no subjects"),
            ])
        func request(_ conditions: [String], _ certificate: String = "") -> JSON {
            [
                "spec": ["signerName": "example.com/s", "username": "ann", "expirationSeconds": 7200],
                "status": [
                    "conditions": .array(conditions.map { ["type": .string($0), "status": "True"] }),
                    "certificate": .string(certificate),
                ],
            ]
        }
        func cells(_ state: JSON) -> [JSON] { ["a", "10s", "example.com/s", "ann", "120m", state] }
        try checkCells(
            "certificatesigningrequests.certificates.k8s.io",
            [
                (request([]), cells("Pending"), "nobody has spoken"),
                (request(["Approved"]), cells("Approved"), "approved"),
                (request(["Approved"], "x"), cells("Approved,Issued"), "signed"),
                (request(["Approved", "Failed"]), cells("Approved,Failed"), "not signed"),
                (request(["Denied", "Approved"]), cells("Denied"), "denied goes first"),
            ])
        try checkCells(
            "apiservices.apiregistration.k8s.io",
            [
                (
                    ["status": ["conditions": [["type": "Available", "status": "True", "reason": "Local"]]]],
                    ["a", "Local", "True", "10s"], "the server's own"
                ),
                (
                    [
                        "spec": ["service": ["namespace": "x", "name": "s"]],
                        "status": [
                            "conditions": [["type": "Available", "status": "False", "reason": "ServiceNotFound"]]
                        ],
                    ], ["a", "x/s", "False (ServiceNotFound)", "10s"], "another's, not there"
                ),
                (
                    ["spec": ["service": ["namespace": "x", "name": "s"]]], ["a", "x/s", "Unknown", "10s"],
                    "not looked at yet"
                ),
            ])
    }

    func testLimits() throws {
        try checkCells(
            "resourcequotas",
            [
                (
                    [
                        "status": [
                            "hard": ["pods": "4", "limits.cpu": "2", "requests.cpu": "1", "limits": "1"],
                            "used": ["pods": "1", "limits.cpu": "500m"],
                        ]
                    ], ["a", "limits: 0/1, pods: 1/4, requests.cpu: 0/1", "limits.cpu: 500m/2", "10s"],
                    "limits by their prefix"
                )
            ])
        try checkCells(
            "poddisruptionbudgets.policy",
            [
                (
                    ["spec": ["minAvailable": "50%"], "status": ["disruptionsAllowed": 2]],
                    ["a", "50%", "N/A", 2, "10s"],
                    "at least"
                ), (["spec": ["maxUnavailable": 1]], ["a", "N/A", "1", 0, "10s"], "at most"),
            ])
        try checkCells(
            "componentstatuses",
            [
                (
                    ["conditions": [["type": "Healthy", "status": "True", "message": "ok"]]],
                    ["a", "Healthy", "ok", ""], "well"
                ),
                (
                    ["conditions": [["type": "Healthy", "status": "Unknown", "error": "e"]]],
                    ["a", "Unhealthy", "", "e"],
                    "not known to be well"
                ), ([:], ["a", "Unknown", "", ""], "nothing is said"),
            ])
    }
}
