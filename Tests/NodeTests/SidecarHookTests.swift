import Objects
import XCTest

@testable import Node

/// preStop hooks of sidecars: they begin with the pod's end, and the signals come in the reverse order of the starts.
final class SidecarHookTests: XCTestCase {
    private typealias Pods = TestPods

    private let deletion: JSONObject = [
        "deletionTimestamp": "2026-01-01T00:01:30Z", "deletionGracePeriodSeconds": 30,
    ]

    private func sidecar(_ name: String, hook: String? = nil) -> JSON {
        var object: JSON = ["name": .string(name), "image": "busybox:1", "restartPolicy": "Always"]
        if let hook { object["lifecycle"] = ["preStop": ["exec": ["command": [.string(hook)]]]] }
        return object
    }

    func testHooksBeginAtOnce() {
        let pod = Pods.pod(
            initContainers: [sidecar("a", hook: "x"), sidecar("b"), sidecar("c", hook: "y")], metadata: deletion)
        var snapshot = Pods.snapshot(
            pod,
            containers: ["a", "b", "c", "main"].map { Pods.container($0, "running") })
        func plan() -> [PodAction] { PodPlanner.plan(snapshot).actions }
        func hook(_ name: String) -> PodAction {
            .beginPreStop(id: "\(name)-0", name: name, reason: .podDeleted, graceSeconds: 30)
        }
        func stop(_ name: String) -> PodAction {
            .stopContainer(id: "\(name)-0", name: name, reason: .podDeleted, graceSeconds: 30)
        }
        XCTAssertEqual(Set(plan().map { "\($0)" }), Set([stop("main"), hook("a"), hook("c")].map { "\($0)" }))
        snapshot.preStops = ["a-0": snapshot.now + 30, "c-0": snapshot.now + 30]
        XCTAssertEqual(plan(), [stop("main")], "each once")
        snapshot.containers = ["a", "b", "c"].map { Pods.container($0, "running") }
        XCTAssertEqual(plan(), [stop("c")], "the last one's turn")
        snapshot.containers.removeLast()
        XCTAssertEqual(plan(), [stop("b")])
        snapshot.containers.removeLast()
        XCTAssertEqual(plan(), [stop("a")])
    }

    /// The grace period of a pod that has done its work begins with the hooks.
    func testGraceBeginsWithTheHooks() {
        let pod = Pods.pod(restartPolicy: "Never", initContainers: [sidecar("a", hook: "x"), sidecar("b")])
        var snapshot = Pods.snapshot(
            pod, containers: [Pods.container("a", "running"), Pods.container("main", "exited")])
        snapshot.preStops = ["a-0": snapshot.now + 12]
        XCTAssertEqual(
            PodPlanner.plan(snapshot).actions,
            [.stopContainer(id: "a-0", name: "a", reason: .podFinished, graceSeconds: 12)])
    }

    /// The signal to a sidecar follows its hook, which has run once, whichever of the two ends first.
    func testTheSignalFollowsTheHook() throws {
        try Bench.with { bench in
            let inits = [sidecar("a", hook: "bye-a"), sidecar("b", hook: "bye-b")]
            bench.give(Pods.pod(initContainers: inits))
            try bench.syncUntil("all run") { bench in
                ["a", "b", "main"].allSatisfy { bench.runtime.calls.contains("start \($0)") }
            }
            bench.give(
                Pods.pod(
                    initContainers: inits,
                    metadata: ["deletionTimestamp": "2100-01-01T00:01:30Z", "deletionGracePeriodSeconds": 30]))
            try bench.syncUntil("gone") { $0.worker.entry("u1") == nil }
            let calls = bench.runtime.calls
            for name in ["a", "b"] {
                XCTAssertEqual(calls.count { $0 == "exec bye-\(name)" }, 1, name)
                XCTAssertEqual(calls.count { $0 == "stop \(name)" }, 1, name)
                let hook = try XCTUnwrap(calls.firstIndex(of: "exec bye-\(name)"))
                XCTAssertLessThan(hook, try XCTUnwrap(calls.firstIndex(of: "stop \(name)")), name)
            }
            let stops = calls.filter { $0.hasPrefix("stop ") }
            XCTAssertEqual(stops, ["stop main", "stop b", "stop a"])
            let killings = bench.events.all.withLock { $0.filter { $0.hasPrefix("Killing:") }.sorted() }
            XCTAssertEqual(killings, ["a", "b", "main"].map { "Killing: Stopping container \($0)" }, "each once")
        }
    }
}
