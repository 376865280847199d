import Objects
import XCTest

@testable import Node

final class NodeStatusTests: XCTestCase {
    private func builder(notReady: String? = nil, pressure: HostPressure = HostPressure()) -> NodeStatusBuilder {
        NodeStatusBuilder(
            nodeName: "alpha",
            host: HostFacts(
                cpus: 2, memoryBytes: 1 << 30, architecture: "amd64", kernelVersion: "6.1", osImage: "Debian",
                machineID: "m", systemUUID: "s", bootID: "b"),
            pressure: pressure, diskBytes: 10 << 30, addresses: ["10.244.0.1"],
            devices: ["nvidia.com/gpu": (all: 2, healthy: 1)],
            images: [["repoTags": ["a:1"], "repoDigests": [], "size": 5], ["repoTags": [], "repoDigests": []]],
            notReady: notReady, runtimeVersion: "0.1.0",
            runtimeFeatures: ["onlyListedGroups": true, "recursiveReadOnlyMounts": false])
    }

    func testStatus() {
        let status = builder().status(old: .null, now: "2026-01-01T00:00:00Z")
        XCTAssertEqual(status["capacity"]["cpu"], "2")
        XCTAssertEqual(status["capacity"]["memory"], "1048576Ki")
        XCTAssertEqual(status["allocatable"]["memory"], "946176Ki")
        XCTAssertEqual(status["capacity"]["pods"], "110")
        XCTAssertEqual(status["capacity"]["nvidia.com/gpu"], "2")
        XCTAssertEqual(status["allocatable"]["nvidia.com/gpu"], "1")
        XCTAssertEqual(
            status["addresses"],
            [["type": "InternalIP", "address": "10.244.0.1"], ["type": "Hostname", "address": "alpha"]])
        XCTAssertEqual(status["nodeInfo"]["containerRuntimeVersion"], "hostd://0.1.0")
        XCTAssertEqual(status["daemonEndpoints"], ["kubeletEndpoint": ["Port": 10250]])
        XCTAssertEqual(status["images"], [["names": ["a:1"], "sizeBytes": 5]])
        XCTAssertTrue(status["nodeInfo"]["swap"].isNull, "without swap nothing is said of it")
        XCTAssertEqual(status["features"], ["supplementalGroupsPolicy": true])
        XCTAssertEqual(
            status["runtimeHandlers"],
            [["name": "", "features": ["recursiveReadOnlyMounts": false, "userNamespaces": false]]])
        let ready = status["conditions"].arrayValue.first { $0["type"] == "Ready" }
        XCTAssertEqual(ready?["status"], "True")
    }

    /// Resources that somebody advertises by hand.
    func testForeignResources() {
        let old: JSON = [
            "capacity": ["cpu": "64", "example.com/fake": "5"],
            "allocatable": ["cpu": "64", "example.com/gone": "1", "nvidia.com/gpu": "1"],
        ]
        let status = builder().status(old: old, now: "2026-01-01T00:00:00Z")
        XCTAssertEqual(status["allocatable"]["example.com/fake"], "5")
        XCTAssertEqual(status["allocatable"].objectValue?["example.com/gone"], .null, "a merge patch takes it away")
        XCTAssertEqual(status["allocatable"]["cpu"], "2", "what the node measures is not advertised by others")
        XCTAssertEqual(status["allocatable"]["nvidia.com/gpu"], "1")
        XCTAssertNil(status["capacity"].objectValue?["example.com/fake"], "it stays as it was written")
    }

    func testConditionsKeepTimesAndForeignTypes() {
        let old: JSON = [
            "conditions": [
                ["type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"],
                ["type": "NetworkUnavailable", "status": "False"],
            ]
        ]
        let same = builder().status(old: old, now: "2026-01-01T00:00:00Z")["conditions"].arrayValue
        XCTAssertEqual(same.first { $0["type"] == "Ready" }?["lastTransitionTime"], "2020-01-01T00:00:00Z")
        XCTAssertTrue(same.contains { $0["type"] == "NetworkUnavailable" })
        let broken = builder(notReady: "no network").status(old: old, now: "2026-01-01T00:00:00Z")["conditions"]
        let ready = broken.arrayValue.first { $0["type"] == "Ready" }
        XCTAssertEqual(ready?["status"], "False")
        XCTAssertEqual(ready?["message"], "no network")
        XCTAssertEqual(ready?["lastTransitionTime"], "2026-01-01T00:00:00Z")
    }

    func testHeartbeatsAreNoNews() {
        let first = builder().status(old: .null, now: "2026-01-01T00:00:00Z")
        let second = builder().status(old: first, now: "2026-01-01T00:05:00Z")
        XCTAssertNotEqual(first, second)
        XCTAssertEqual(NodeStatusBuilder.withoutHeartbeats(first), NodeStatusBuilder.withoutHeartbeats(second))
    }

    func testReadingTheHost() throws {
        XCTAssertEqual(HostFacts.meminfo("MemTotal:  12 kB\nX: y\n"), ["MemTotal": 12288])
        XCTAssertEqual(HostFacts.prettyName("NAME=x\nPRETTY_NAME=\"Debian 12\"\n"), "Debian 12")
        let facts = try HostFacts.read()
        XCTAssertGreaterThan(facts.cpus, 0)
        XCTAssertGreaterThan(facts.memoryBytes, 0)
    }
}
