import Objects
import XCTest

@testable import Node

final class PodRefusalTests: XCTestCase {
    private func pod(_ uid: String, _ ports: JSON) -> Pod { TestPods.pod(uid: uid, template: ["ports": ports]) }

    func testPortsThatAreTaken() {
        let http: JSON = [["hostPort": 80, "containerPort": 8080, "protocol": "TCP"]]
        let cases: [(String, JSON, [JSON], Bool)] = [
            ("nobody else", http, [], false), ("the same", http, [http], true),
            ("no port of the host", [["containerPort": 80]], [http], false),
            ("another number", [["hostPort": 81]], [http], false),
            ("another protocol", [["hostPort": 80, "protocol": "UDP"]], [http], false),
            ("one address of all", [["hostPort": 80, "hostIP": "10.0.0.1"]], [http], true),
            (
                "another address", [["hostPort": 80, "hostIP": "10.0.0.1"]],
                [[["hostPort": 80, "hostIP": "10.0.0.2"]]],
                false
            ),
            (
                "all addresses", [["hostPort": 80, "hostIP": "0.0.0.0"]], [[["hostPort": 80, "hostIP": "10.0.0.2"]]],
                true
            ),
        ]
        for (reason, ports, others, isRefused) in cases {
            let refusal = PodRefusal(
                pod: pod("new", ports), others: others.enumerated().map { pod("other-\($0.offset)", $0.element) })
            XCTAssertEqual(try refusal.judge { nil }?.reason, isRefused ? "NodePorts" : nil, reason)
        }
    }

    /// A pod that came without a scheduler's decision, on a node of one core, 1000 bytes and three places.
    func testWhatTheNodeDoesNotHave() throws {
        let node: JSON = [
            "metadata": ["name": "n", "labels": ["zone": "a"]],
            "spec": ["taints": [["key": "k", "effect": "NoExecute"], ["key": "l", "effect": "NoSchedule"]]],
            "status": ["allocatable": ["cpu": "1", "memory": "1000", "pods": "3", "example.com/fake": "2"]],
        ]
        let tolerant: JSON = [["key": "k", "operator": "Exists"]]
        func asks(_ requests: JSON) -> JSONObject { ["resources": ["requests": requests]] }
        func affinity(_ operation: JSON, _ value: JSON) -> JSON {
            let term: JSON = ["matchExpressions": [["key": "zone", "operator": operation, "values": [value]]]]
            return ["nodeAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": ["nodeSelectorTerms": [term]]]]
        }
        func pod(_ uid: String, _ template: JSONObject = [:], _ spec: JSONObject = [:], status: JSON = [:]) -> Pod {
            var specification: JSONObject = ["tolerations": tolerant]
            for entry in spec { specification[entry.key] = entry.value }
            return TestPods.pod(uid: uid, status: status, specification: specification, template: template)
        }
        let half = pod("half", asks(["cpu": "500m", "memory": "500", "example.com/fake": "1"]))
        let placed: JSON = ["conditions": [["type": "PodScheduled", "status": "True"]]]
        let cases: [(String, Pod, [Pod], String?)] = [
            ("fits", half, [half], nil),
            ("cpu", pod("new", asks(["cpu": "501m"])), [half], "OutOfcpu"),
            ("memory", pod("new", asks(["memory": "501"])), [half], "OutOfmemory"),
            ("an extended resource", pod("new", asks(["example.com/fake": "2"])), [half], "OutOfexample.com/fake"),
            ("a resource that the node does not count", pod("new", asks(["example.com/other": "2"])), [], nil),
            ("places", pod("new"), [pod("a"), pod("b"), pod("c")], "OutOfpods"),
            ("asks for nothing on a full node", pod("new"), [pod("a", asks(["cpu": "2"]))], nil),
            ("selector", pod("new", [:], ["nodeSelector": ["zone": "b"]]), [], "NodeAffinity"),
            ("affinity", pod("new", [:], ["affinity": affinity("NotIn", "a")]), [], "NodeAffinity"),
            ("affinity that holds", pod("new", [:], ["affinity": affinity("In", "a")]), [], nil),
            ("a taint that evicts", pod("new", [:], ["tolerations": []]), [], "TaintToleration"),
            ("another system", pod("new", [:], ["os": ["name": "windows"]]), [], "PodOSNotSupported"),
            ("a scheduler looked at it", pod("new", asks(["cpu": "2"]), status: placed), [], nil),
        ]
        for (reason, pod, others, expected) in cases {
            XCTAssertEqual(try PodRefusal(pod: pod, others: others).judge { node }?.reason, expected, reason)
        }
        let message = try PodRefusal(pod: pod("new", asks(["cpu": "700m"])), others: [half]).judge { node }?.message
        XCTAssertEqual(
            message,
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 700, used: 500, capacity: 1000")
    }

    func testWhatIsRefusedIsNotStarted() {
        var snapshot = TestPods.snapshot(TestPods.pod(), sandboxes: [])
        snapshot.isRefused = true
        XCTAssertEqual(PodPlanner.plan(snapshot).actions, [.releaseResources])
        let status = PodStatusBuilder(
            snapshot: snapshot, startTime: "2026-01-01T00:00:00Z", now: "2026-01-01T00:00:00Z",
            failure: WaitingReason(reason: "NodePorts", message: "m")
        ).build()
        XCTAssertEqual(status["phase"], "Failed")
        XCTAssertEqual(status["reason"], "NodePorts")
    }
}
