import Objects
import XCTest

@testable import API

final class UsageHistoryTests: XCTestCase {
    private static let second: UInt64 = 1_000_000_000

    /// A node that was asked at a moment, with one container.
    private func summary(
        at seconds: Int64, cpu: Int64, memory: Int64 = 4096, started: Int64 = 0, node: JSON = "a"
    ) throws -> UsageSummary {
        func entry(_ cpu: Int64) -> JSON {
            [
                "name": "main", "startTime": time(started),
                "cpu": ["time": time(seconds), "usageCoreNanoSeconds": .integer(cpu)],
                "memory": ["workingSetBytes": .integer(memory)],
            ]
        }
        var host = entry(cpu * 2)
        host["nodeName"] = node
        let pod: JSON = ["podRef": ["uid": "u"], "containers": .array([entry(cpu)])]
        return try XCTUnwrap(
            UsageSummary(["node": host, "pods": .array([pod])], taken: UInt64(seconds) * Self.second))
    }
    private func time(_ seconds: Int64) -> JSON { .string(Timestamp(seconds: seconds).formatted(fraction: .none)) }
    private let main = UsageSummary.Container(podUID: "u", name: "main")

    func testLooksThatAreNeeded() throws {
        var history = UsageHistory()
        XCTAssertEqual(history.need(now: 0), .twoLooks)
        history.add(try summary(at: 100, cpu: 0))
        XCTAssertEqual(history.need(now: 101 * Self.second), .look)
        history.add(try summary(at: 101, cpu: 0))
        let cases: [(String, UInt64, UsageHistory.Need)] = [
            ("just measured", 102, .nothing), ("still good", 115, .nothing), ("a while ago", 116, .look),
            ("nearly too long ago", 220, .look), ("too long ago", 221, .twoLooks),
        ]
        for (reason, now, expected) in cases {
            XCTAssertEqual(history.need(now: now * Self.second), expected, reason)
        }
    }

    func testUsageBetweenTwoLooks() throws {
        var history = UsageHistory()
        history.add(try summary(at: 100, cpu: 7_000_000_000))
        history.add(try summary(at: 120, cpu: 12_000_000_000, memory: 8192))
        let usage = try XCTUnwrap(history.usage(of: main))
        XCTAssertEqual(usage.nanocores, 250_000_000)
        XCTAssertEqual(usage.memoryBytes, 8192)
        XCTAssertEqual(usage.time, Timestamp(seconds: 120))
        XCTAssertEqual(usage.windowNanoseconds, 20_000_000_000)
        XCTAssertEqual(history.host?.nanocores, 500_000_000)
        XCTAssertNil(history.usage(of: .init(podUID: "u", name: "other")))
    }

    func testContainersThatBeganAreMeasuredFromTheirBeginning() throws {
        var history = UsageHistory()
        history.add(try summary(at: 100, cpu: 50_000_000_000, started: 10))
        history.add(try summary(at: 120, cpu: 5_000_000_000, started: 110))
        XCTAssertEqual(history.usage(of: main)?.nanocores, 500_000_000)
        var young = UsageHistory()
        young.add(try summary(at: 100, cpu: 1, started: 100))
        XCTAssertNil(young.usage(of: main), "no time has passed")
    }

    func testWhatNamesNoNodeIsNoSummary() {
        XCTAssertNil(UsageSummary(["pods": []], taken: 0))
    }

    func testObjects() throws {
        let usage = UsageHistory.Usage(
            nanocores: 12_345_678, memoryBytes: 3 << 20, time: Timestamp(seconds: 60),
            windowNanoseconds: 15_012_345_678)
        let now = Timestamp(seconds: 100)
        let pod: JSON = [
            "metadata": ["name": "p", "namespace": "default", "uid": "u", "labels": ["app": "x"]],
            "spec": [
                "containers": [["name": "main"], ["name": "waits"]],
                "initContainers": [["name": "ended"], ["name": "beside", "restartPolicy": "Always"]],
            ],
        ]
        let object = try XCTUnwrap(
            UsageObjects.pod(pod, usage: { $0.name == "waits" ? nil : usage }, now: now))
        XCTAssertEqual(object["kind"], "PodMetrics")
        XCTAssertEqual(object.labels["app"], "x")
        XCTAssertEqual(object["timestamp"], "1970-01-01T00:01:00Z")
        XCTAssertEqual(object["window"], "15.012s")
        XCTAssertEqual(object["containers"].arrayValue.map { $0["name"] }, ["main", "beside"])
        XCTAssertEqual(object["containers"][0]["usage"], ["cpu": "12345678n", "memory": "3Mi"])
        XCTAssertNil(UsageObjects.pod(pod, usage: { _ in nil }, now: now), "nothing was measured")
        let node = UsageObjects.node(["metadata": ["name": "n"]], usage, now: now)
        XCTAssertEqual(node["usage"]["memory"], "3Mi")
    }
}
