import Objects
import XCTest

@testable import Controllers

final class NodeHealthTests: XCTestCase {
    private let now = Timestamp(seconds: 10_000)
    private func node(ready: String, heartbeat: Int64? = nil, taints: JSON = []) -> JSON {
        var condition: JSON = ["type": "Ready", "status": .string(ready)]
        if let heartbeat {
            condition["lastHeartbeatTime"] = .string(Timestamp(seconds: heartbeat).formatted(fraction: .none))
        }
        return ["metadata": ["name": "a"], "spec": ["taints": taints], "status": ["conditions": .array([condition])]]
    }
    func testJudgement() {
        let cases: [(String, Int64?, NodeHealth.Verdict)] = [
            ("seen just now", 100, .alive(secondsLeft: 40)), ("seen a while ago", 70, .alive(secondsLeft: 10)),
            ("silent", 60, .silent), ("made by hand", nil, .alive(secondsLeft: 40)),
        ]
        for (reason, seen, expected) in cases {
            XCTAssertEqual(NodeHealth.judge(lastSeen: seen, now: 100), expected, reason)
        }
    }

    func testHeartbeat() {
        XCTAssertNil(NodeHealth.heartbeat(node(ready: "True"), lease: nil))
        XCTAssertEqual(NodeHealth.heartbeat(node(ready: "True"), lease: ["spec": ["renewTime": "t"]]), "t")
        XCTAssertNotNil(NodeHealth.heartbeat(node(ready: "True", heartbeat: 5), lease: nil))
    }

    func testTaintsFollowTheCondition() throws {
        XCTAssertNil(NodeTaints.taints(node(ready: "True"), now: now))
        let unknown = try XCTUnwrap(
            NodeTaints.taints(node(ready: "Unknown", taints: [["key": "own", "effect": "NoSchedule"]]), now: now))
        XCTAssertEqual(unknown.map { $0["key"].stringValue }, ["own", NodeHealth.unreachable, NodeHealth.unreachable])
        XCTAssertNil(NodeTaints.taints(node(ready: "Unknown", taints: .array(unknown)), now: now))
        let failed = try XCTUnwrap(NodeTaints.taints(node(ready: "False", taints: .array(unknown)), now: now))
        XCTAssertEqual(failed.map { $0["key"].stringValue }, ["own", NodeHealth.notReady, NodeHealth.notReady])
        let back = try XCTUnwrap(NodeTaints.taints(node(ready: "True", taints: .array(failed)), now: now))
        XCTAssertEqual(back.map { $0["key"].stringValue }, ["own"])
    }

    func testTaintsFollowPressure() throws {
        var pressed = node(ready: "True")
        pressed["status"]["conditions"].append(["type": "MemoryPressure", "status": "True"])
        pressed["status"]["conditions"].append(["type": "DiskPressure", "status": "False"])
        pressed["spec"]["unschedulable"] = true
        let taints = try XCTUnwrap(NodeTaints.taints(pressed, now: now))
        XCTAssertEqual(
            taints.map { $0["key"].stringValue },
            ["node.kubernetes.io/memory-pressure", "node.kubernetes.io/unschedulable"])
        XCTAssertEqual(Set(taints.map { $0["effect"] }), ["NoSchedule"])
        pressed["spec"]["taints"] = .array(taints)
        XCTAssertNil(NodeTaints.taints(pressed, now: now))
        pressed["spec"].removeValue(forKey: "unschedulable")
        XCTAssertEqual(try XCTUnwrap(NodeTaints.taints(pressed, now: now)).count, 1)
    }

    func testTaintsWithoutTimeBeginWhenTheyAreSeen() {
        let times = TaintTimes()
        let taint: JSON = ["key": "k", "value": "v", "effect": "NoExecute"]
        let own: JSON = ["key": "o", "effect": "NoExecute", "timeAdded": "2026-01-02T03:04:05Z"]
        let first = times.dated([taint, own], node: "a", now: now)
        XCTAssertEqual(first[0]["timeAdded"].timestamp, now)
        XCTAssertEqual(first[1], own)
        let later = now.adding(seconds: 30)
        XCTAssertEqual(times.dated([taint], node: "a", now: later)[0]["timeAdded"].timestamp, now)
        XCTAssertEqual(times.dated([taint], node: "b", now: later)[0]["timeAdded"].timestamp, later)
        _ = times.dated([], node: "a", now: later)
        XCTAssertEqual(
            times.dated([taint], node: "a", now: later)[0]["timeAdded"].timestamp, later,
            "a taint that went and came is a new one")
    }

    func testEviction() {
        let taint: JSON = [
            "key": "k", "effect": "NoExecute",
            "timeAdded": .string(Timestamp(seconds: 9_900).formatted(fraction: .none)),
        ]
        func pod(_ tolerations: JSON) -> JSON { ["spec": ["tolerations": tolerations]] }
        let cases: [(String, JSON, Int64?)] = [
            ("no toleration", [], 0), ("for ever", [["operator": "Exists"]], nil),
            ("for a while", [["key": "k", "operator": "Exists", "tolerationSeconds": 300]], 200),
            ("time is up", [["key": "k", "operator": "Exists", "tolerationSeconds": 10]], 0),
            ("another effect", [["key": "k", "operator": "Exists", "effect": "NoSchedule"]], 0),
        ]
        for (reason, tolerations, expected) in cases {
            XCTAssertEqual(NodeHealth.eviction(pod(tolerations), taints: [taint], now: now), expected, reason)
        }
        var late = pod([["key": "k", "operator": "Exists", "tolerationSeconds": 300]])
        late["status"]["conditions"] = [
            [
                "type": "PodScheduled", "status": "True",
                "lastTransitionTime": .string(Timestamp(seconds: 9_990).formatted(fraction: .none)),
            ]
        ]
        XCTAssertEqual(
            NodeHealth.eviction(late, taints: [taint], now: now), 290, "it came when the taint was there already")
        XCTAssertNil(NodeHealth.eviction(pod([]), taints: [["key": "k", "effect": "NoSchedule"]], now: now))
    }

    func testUnknownConditions() throws {
        let conditions = try XCTUnwrap(NodeHealth.unknownConditions(node(ready: "True"), now: now))
        XCTAssertEqual(conditions.condition("Ready")["status"], "Unknown")
        XCTAssertNil(NodeHealth.unknownConditions(node(ready: "Unknown"), now: now))
    }
}
