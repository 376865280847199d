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
            let refusal = PodRefusal.judge(
                pod("new", ports), among: others.enumerated().map { pod("other-\($0.offset)", $0.element) })
            XCTAssertEqual(refusal?.reason, isRefused ? "NodePorts" : nil, reason)
        }
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
