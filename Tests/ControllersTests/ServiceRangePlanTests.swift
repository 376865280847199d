import Objects
import XCTest

@testable import Controllers

/// The objects that show the addresses of services. Pure.
final class ServiceRangePlanTests: XCTestCase {
    func testAddressesOfServices() {
        let rows: [(JSON, [String], String)] = [
            (["clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"]], ["10.96.0.9"], "a service"),
            (["clusterIP": "10.96.0.9"], ["10.96.0.9"], "of an old client"),
            (["clusterIP": "None", "clusterIPs": ["None"]], [], "headless"),
            (["type": "ExternalName", "clusterIP": "10.96.0.9"], [], "a name"),
            ([:], [], "not given yet"),
        ]
        for (specification, expected, reason) in rows {
            XCTAssertEqual(ServiceRangePlan.addresses(of: ["spec": specification]), expected, reason)
        }
    }

    func testAddressObjects() {
        let service: JSON = ["metadata": ["namespace": "a", "name": "web"]]
        let address = ServiceRangePlan.address("10.96.0.9", of: service)
        XCTAssertTrue(ServiceRangePlan.isOwn(address))
        XCTAssertTrue(ServiceRangePlan.isHeld(address, by: service))
        XCTAssertFalse(ServiceRangePlan.isHeld(address, by: ["metadata": ["namespace": "b", "name": "web"]]))
        XCTAssertFalse(ServiceRangePlan.isOwn(["metadata": ["name": "10.96.0.9"]]), "somebody else's")
        XCTAssertEqual(address.labels["ipaddress.kubernetes.io/ip-family"], "IPv4")
    }

    func testContains() {
        let rows: [(JSON, String, Bool)] = [
            (["10.96.0.0/16"], "10.96.255.255", true), (["10.96.0.0/16"], "10.97.0.0", false),
            (["0.0.0.0/0"], "1.2.3.4", true), (["10.96.0.1/32"], "10.96.0.1", true),
            (["fd00::/8", "10.0.0.0/8"], "10.1.1.1", true), (["fd00::/8"], "fd00::1", false),
            (["x"], "10.1.1.1", false),
        ]
        for (ranges, address, expected) in rows {
            XCTAssertEqual(
                ServiceRangePlan.contains(["spec": ["cidrs": ranges]], address), expected, "\(ranges) \(address)")
        }
    }

    func testConditions() throws {
        func range(_ cidr: String, leaves: Bool = false) -> JSON {
            [
                "metadata": leaves ? ["deletionTimestamp": "2026-01-01T00:00:00Z"] : [:],
                "spec": ["cidrs": [.string(cidr)]],
            ]
        }
        let rows: [(JSON, Bool, String, String)] = [
            (range("10.96.0.0/16"), false, "True", ""), (range("203.0.113.0/24"), false, "True", ""),
            (range("fd00::/112"), false, "False", "NotServed"), (range("10.96.0.1/32"), false, "False", "NotServed"),
            (range("10.96.0.0/16", leaves: true), true, "False", "Terminating"),
            (range("10.96.0.0/16", leaves: true), false, "True", ""),
        ]
        for (range, inUse, status, reason) in rows {
            let condition = ServiceRangePlan.ready(range, inUse: inUse)
            XCTAssertEqual(condition["status"], .string(status))
            XCTAssertEqual(condition["reason"], .string(reason))
        }
        var object = range("10.96.0.0/16")
        let condition = ServiceRangePlan.ready(object, inUse: false)
        let first = try XCTUnwrap(ServiceRangePlan.status(object, condition, now: Timestamp.now()))
        object["status"] = first
        XCTAssertNil(ServiceRangePlan.status(object, condition, now: Timestamp.now()), "nothing to write again")
        object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        let later = ServiceRangePlan.ready(object, inUse: true)
        XCTAssertEqual(ServiceRangePlan.status(object, later, now: Timestamp.now())?["conditions"].count, 1)
    }
}
