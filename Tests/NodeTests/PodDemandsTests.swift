import Objects
import XCTest

@testable import Node

final class PodDemandsTests: XCTestCase {
    func testWhatIsNotGiven() {
        func sysctl(_ name: String) -> JSONObject {
            ["securityContext": ["sysctls": [["name": .string(name), "value": "1"]]]]
        }
        func profile(_ profile: JSON) -> JSONObject { ["securityContext": ["appArmorProfile": profile]] }
        let rows: [(reason: String, specification: JSONObject, refusal: String?)] = [
            ("nothing special", [:], nil), ("a safe parameter", sysctl("kernel.shm_rmid_forced"), nil),
            ("with slashes", sysctl("kernel/shm_rmid_forced"), nil),
            ("a dot within slashes is a slash", sysctl("net/ipv4/conf/eth0.1/forwarding"), "SysctlForbidden"),
            ("an unsafe parameter", sysctl("kernel.msgmax"), "SysctlForbidden"),
            ("one that the administrator allows", sysctl("net.core.somaxconn"), nil),
            ("one that a prefix allows", sysctl("net.ipv6.x.y"), nil),
            ("the default profile", profile(["type": "RuntimeDefault"]), nil),
            ("a profile of its own", profile(["type": "Localhost", "localhostProfile": "p"]), "AppArmor"),
        ]
        let unsupported: [(String, JSONObject)] = [
            (
                "a trust bundle",
                [
                    "volumes": [
                        ["name": "v", "projected": ["sources": [["clusterTrustBundle": ["name": "b", "path": "p"]]]]]
                    ]
                ]
            ),
            (
                "a certificate",
                ["volumes": [["name": "v", "projected": ["sources": [["podCertificate": ["signerName": "a/b"]]]]]]]
            ),
        ]
        for (reason, specification) in unsupported {
            let refusal = PodDemands(pod: TestPods.pod(specification: specification), sysctls: SysctlPolicy()).refusal
            XCTAssertEqual(refusal?.reason, "PodFeatureUnsupported", reason)
            XCTAssertTrue(refusal?.message.hasPrefix("Pod was rejected: this node does not give ") == true, reason)
        }
        let sysctls = SysctlPolicy(allowed: ["net.core.somaxconn", "net.ipv6.*"])
        for row in rows {
            let demands = PodDemands(pod: TestPods.pod(specification: row.specification), sysctls: sysctls)
            XCTAssertEqual(demands.refusal?.reason, row.refusal, row.reason)
        }
    }
}
