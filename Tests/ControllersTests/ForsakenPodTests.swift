import Objects
import XCTest

@testable import Controllers

/// Pods that nobody is left to end, those of silent nodes, and those that have ended long ago.
final class ForsakenPodTests: XCTestCase {
    private let now = Timestamp(seconds: 10_000)

    private func pod(_ name: String = "p", node: String = "n", phase: String = "Running", deleted: Bool = false) -> JSON
    {
        var metadata: JSON = ["name": .string(name), "uid": .string(name), "namespace": "default"]
        if deleted { metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z" }
        return ["metadata": metadata, "spec": ["nodeName": .string(node)], "status": ["phase": .string(phase)]]
    }

    private func node(ready: String, taints: [String] = []) -> JSON {
        [
            "metadata": ["name": "n"],
            "spec": ["taints": .array(taints.map { ["key": .string($0), "effect": "NoExecute"] })],
            "status": ["conditions": [["type": "Ready", "status": .string(ready)]]],
        ]
    }

    func testReasons() {
        let out = node(ready: "Unknown", taints: [ForsakenPod.outOfService])
        let cases: [(String, JSON, JSON?, ForsakenPod?)] = [
            ("its node is there", pod(), node(ready: "True"), nil),
            ("its node does not answer", pod(deleted: true), node(ready: "Unknown"), nil),
            ("its node is gone", pod(), nil, .nodeVanished),
            ("and was asked to end", pod(deleted: true), nil, .nodeVanished),
            ("out of service", pod(deleted: true), out, .nodeOutOfService),
            ("out of service, and not asked to end", pod(), out, nil),
            (
                "declared so, and well", pod(deleted: true), node(ready: "True", taints: [ForsakenPod.outOfService]),
                nil
            ),
            ("waits for a node", pod(node: ""), nil, nil),
            ("is to end before it had one", pod(node: "", deleted: true), nil, .neverScheduled),
        ]
        for (reason, pod, node, expected) in cases {
            XCTAssertEqual(ForsakenPod(pod, node: node), expected, reason)
        }
    }

    func testWhatIsSaid() throws {
        let patch = try XCTUnwrap(ForsakenPod.nodeVanished.patch(of: pod(), now: now))
        XCTAssertEqual(patch["status"]["phase"], "Failed")
        let condition = patch["status"]["conditions"].condition("DisruptionTarget")
        XCTAssertEqual(condition["reason"], "DeletionByPodGC")
        XCTAssertEqual(condition["message"], "PodGC: node no longer exists")
        XCTAssertNil(ForsakenPod.nodeVanished.patch(of: pod(phase: "Succeeded"), now: now), "it has ended already")
        XCTAssertFalse(
            try XCTUnwrap(ForsakenPod.neverScheduled.patch(of: pod(node: ""), now: now))["status"]["conditions"].exists)
    }

    func testPodsOfASilentNodeAreNotReady() {
        let patch = NodeHealth.unready(pod(), now: now)
        XCTAssertEqual(patch["metadata"]["uid"], "p")
        XCTAssertEqual(patch["status"]["conditions"].condition("Ready")["status"], "False")
    }

    func testTheOldestEndedPodsGo() {
        func ended(_ name: String, _ created: String, phase: String = "Succeeded") -> JSON {
            var object = pod(name, phase: phase)
            object["metadata"]["creationTimestamp"] = .string(created)
            return object
        }
        let pods = [
            ended("young", "2026-01-03T00:00:00Z"), ended("old", "2026-01-01T00:00:00Z", phase: "Failed"),
            ended("middle", "2026-01-02T00:00:00Z"), ended("runs", "2025-01-01T00:00:00Z", phase: "Running"),
        ]
        XCTAssertEqual(FinishedPods.surplus(pods, limit: 3).map(\.name), [])
        XCTAssertEqual(FinishedPods.surplus(pods, limit: 1).map(\.name), ["old", "middle"])
    }
}
