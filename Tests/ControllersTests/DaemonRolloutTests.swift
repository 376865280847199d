import Objects
import XCTest

@testable import Controllers

final class DaemonRolloutTests: XCTestCase {
    private let now = Timestamp(seconds: 100_000)

    private func set(surge: JSON) -> JSON {
        ["spec": ["updateStrategy": ["rollingUpdate": ["maxSurge": surge, "maxUnavailable": 0]]]]
    }
    private func pod(_ name: String, _ label: String, ready: Bool = true) -> JSON {
        [
            "metadata": [
                "name": .string(name), "uid": .string(name),
                "labels": .object([ControllerHistory.podLabel: .string(label)]),
            ],
            "status": [
                "phase": "Running", "conditions": [["type": "Ready", "status": ready ? "True" : "False"]],
            ],
        ]
    }

    func testNewPodsComeFirst() {
        let cases: [(String, [String: [JSON]], [String], [String])] = [
            ("one beside its old one", ["a": [pod("a", "o")], "b": [pod("b", "o")]], ["a"], []),
            (
                "the old one goes when the new one serves",
                ["a": [pod("a", "o"), pod("a2", "h")], "b": [pod("b", "o")]], ["b"], ["a"]
            ),
            (
                "no more than may be", ["a": [pod("a", "o"), pod("a2", "h", ready: false)], "b": [pod("b", "o")]], [],
                []
            ),
            (
                "one that does not serve does not wait for the other",
                ["a": [pod("a", "o", ready: false), pod("a2", "h", ready: false)], "b": [pod("b", "o")]], ["b"], ["a"]
            ),
            (
                "one that does not serve costs nothing", ["a": [pod("a", "o", ready: false)], "b": [pod("b", "o")]],
                ["a", "b"], []
            ),
        ]
        for (reason, byNode, creates, deletes) in cases {
            let rollout = DaemonRollout(set(surge: 1), wanted: ["a", "b"], byNode, labels: ["h"], now: now)
            XCTAssertEqual(rollout.create, creates, reason)
            XCTAssertEqual(rollout.delete.map(\.name), deletes, reason)
        }
    }

    func testAnOldRevisionMadeAnewStartsNothing() {
        let rollout = DaemonRollout(set(surge: 0), wanted: ["a"], ["a": [pod("a", "x")]], labels: ["h", "x"], now: now)
        XCTAssertTrue(rollout.create.isEmpty && rollout.delete.isEmpty)
    }
}
