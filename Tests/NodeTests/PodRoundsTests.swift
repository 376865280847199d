import Objects
import XCTest

@testable import Node

/// The restart rule RestartAllContainers.
final class PodRoundsTests: XCTestCase {
    private typealias Pods = TestPods

    private static let rules: JSON = [
        ["action": "Restart", "exitCodes": ["operator": "In", "values": [7]]],
        ["action": "RestartAllContainers", "exitCodes": ["operator": "In", "values": [42, 7]]],
    ]
    private let initA: JSON = ["name": "a", "image": "busybox:1"]
    private let sidecar: JSON = ["name": "side", "image": "busybox:1", "restartPolicy": "Always"]
    /// Before and after the end that starts a new round.
    private let later = "2026-01-01T00:00:11Z"

    private func pod() -> Pod {
        var source: JSON = ["name": "source", "image": "busybox:1", "restartPolicy": "Never"]
        source["restartPolicyRules"] = Self.rules
        return Pods.pod(
            restartPolicy: "Never", initContainers: [initA, sidecar],
            specification: ["containers": [source, ["name": "other", "image": "busybox:1"]]])
    }

    private func plan(_ containers: [ObservedContainer]) -> [PodAction] {
        PodPlanner.plan(Pods.snapshot(pod(), containers: containers)).actions
    }

    func testTheFirstRuleThatMatchesDecides() {
        let source = pod().container(named: "source")
        XCTAssertEqual(source?.rule(forExitCode: 7), .container)
        XCTAssertEqual(source?.rule(forExitCode: 42), .allContainers)
        XCTAssertNil(source?.rule(forExitCode: 1))
        XCTAssertTrue(pod().mayBeginAnew)
        XCTAssertFalse(Pods.pod().mayBeginAnew)
    }

    func testAllEndAndBeginInOrder() {
        let trigger = Pods.container("source", "exited", exitCode: 42)
        let done = Pods.container("a", "exited")
        XCTAssertEqual(
            Set(
                plan([done, Pods.container("side", "running"), trigger, Pods.container("other", "running")]).map {
                    "\($0)"
                }),
            Set(
                ["side", "other"].map {
                    "\(PodAction.stopContainer(id: "\($0)-0", name: $0, reason: .podRestarts, graceSeconds: 0))"
                }))
        var records = [
            done, Pods.container("side", "exited", exitCode: 137), trigger,
            Pods.container("other", "exited", exitCode: 137),
        ]
        XCTAssertEqual(plan(records), [.startContainer(name: "a", attempt: 1)], "init containers run again")
        records.append(Pods.container("a", "running", attempt: 1, createdAt: later))
        XCTAssertEqual(plan(records), [])
        records[4] = Pods.container("a", "exited", attempt: 1, createdAt: later, finishedAt: "2026-01-01T00:00:12Z")
        XCTAssertEqual(plan(records), [.startContainer(name: "side", attempt: 1)])
        records.append(Pods.container("side", "running", attempt: 1, createdAt: "2026-01-01T00:00:13Z"))
        XCTAssertEqual(
            plan(records), [.startContainer(name: "source", attempt: 1), .startContainer(name: "other", attempt: 1)])
        records += ["source", "other"].map {
            Pods.container($0, "running", attempt: 1, createdAt: "2026-01-01T00:00:14Z")
        }
        XCTAssertEqual(plan(records), [], "and that was all")
    }

    func testAnEndThatNoRuleIsAboutEndsThePod() {
        let ended = ["source", "other"].map { Pods.container($0, "exited", exitCode: 1) }
        XCTAssertTrue(PodPlanner.isFinished(Pods.snapshot(pod(), containers: ended + [Pods.container("a", "exited")])))
        let asked = [Pods.container("source", "exited", exitCode: 42), Pods.container("other", "exited", exitCode: 1)]
        XCTAssertFalse(
            PodPlanner.isFinished(Pods.snapshot(pod(), containers: asked)), "what has failed begins anew too")
    }

    func testAnInitContainerLetsThoseBeforeItBeginAnew() {
        var source: JSON = ["name": "b", "image": "busybox:1", "restartPolicy": "Never"]
        source["restartPolicyRules"] = Self.rules
        let pod = Pods.pod(restartPolicy: "Never", initContainers: [initA, source])
        let snapshot = Pods.snapshot(
            pod, containers: [Pods.container("a", "exited"), Pods.container("b", "exited", exitCode: 42)])
        XCTAssertEqual(PodPlanner.plan(snapshot).actions, [.startContainer(name: "a", attempt: 1)])
        XCTAssertEqual(PodPhase.compute(snapshot), .pending)
    }

    func testOnlyWhoAskedForItWaits() throws {
        var snapshot = Pods.snapshot(
            pod(),
            containers: [
                Pods.container("source", "exited", exitCode: 42, finishedAt: "2026-01-01T00:00:55Z"),
                Pods.container("other", "exited", exitCode: 137, finishedAt: "2026-01-01T00:00:55Z"),
            ])
        for name in ["source", "other"] {
            var backOff = CrashBackOff()
            backOff.registerTry(failedAt: snapshot.now - 20, now: snapshot.now - 20)
            snapshot.backOff[name] = backOff
        }
        for (name, waits) in [("source", true), ("other", false)] {
            let container = try XCTUnwrap(snapshot.pod.container(named: name))
            let ended = try XCTUnwrap(snapshot.newest(name))
            XCTAssertEqual(PodPlanner.crashDelay(container, ended, snapshot) != nil, waits, name)
        }
    }

    func testStatusWhileItGoesOn() {
        func status(_ containers: [ObservedContainer]) -> JSON {
            PodStatusBuilder(
                snapshot: Pods.snapshot(pod(), containers: containers), podIPs: ["10.244.0.5"],
                startTime: "2026-01-01T00:00:00Z", now: "2026-01-01T00:01:00Z"
            ).build()
        }
        func condition(_ status: JSON) -> JSON {
            status["conditions"].arrayValue.first { $0["type"] == "AllContainersRestarting" }?["status"] ?? .null
        }
        let trigger = Pods.container("source", "exited", exitCode: 42)
        let ending = status([trigger, Pods.container("other", "running"), Pods.container("a", "exited")])
        XCTAssertEqual(condition(ending), "True")
        XCTAssertEqual(ending["phase"], "Running")
        XCTAssertEqual(ending["initContainerStatuses"][0]["ready"], false)
        XCTAssertEqual(ending["initContainerStatuses"][0]["lastState"]["terminated"]["exitCode"], 0)
        let source = ending["containerStatuses"][0]
        XCTAssertEqual(source["state"]["waiting"]["reason"], "PodInitializing")
        XCTAssertEqual(source["lastState"]["terminated"]["exitCode"], 42)
        let ended = status([trigger, Pods.container("other", "exited", exitCode: 137)])
        XCTAssertEqual(condition(ended), "False")
        XCTAssertEqual(ended["phase"], "Running")
        XCTAssertEqual(condition(status([Pods.container("source", "running")])), .null)
    }

    /// The record that starts a round is kept until all have begun it.
    func testTheTriggerIsKept() {
        let trigger = Pods.container("source", "exited", exitCode: 42)
        let other = Pods.container("other", "exited", exitCode: 137)
        XCTAssertTrue(Pods.snapshot(pod(), containers: [trigger, other]).isNeeded(trigger))
        let begun = ["source", "other"].map { Pods.container($0, "running", attempt: 1, createdAt: later) }
        XCTAssertFalse(Pods.snapshot(pod(), containers: [trigger, other] + begun).isNeeded(trigger))
    }

    func testAPodBeginsAnew() throws {
        try Bench.with { bench in
            bench.give(pod())
            try bench.syncUntil("the init container runs") { $0.runtime.calls.contains("start a") }
            bench.runtime.end("a", exitCode: 0)
            try bench.syncUntil("all run") { $0.runtime.calls.contains("start other") }
            bench.runtime.end("source", exitCode: 42)
            try bench.syncUntil("the init container runs again") { $0.runtime.calls.count { $0 == "start a" } == 2 }
            XCTAssertEqual(Set(bench.runtime.calls.filter { $0.hasPrefix("stop ") }), ["stop side", "stop other"])
            bench.runtime.end("a", exitCode: 0)
            try bench.syncUntil("all run again") { $0.runtime.calls.count { $0 == "start other" } == 2 }
            for list in ["initContainerStatuses", "containerStatuses"] {
                for container in bench.lastStatus[list].arrayValue {
                    XCTAssertEqual(container["restartCount"], 1, container["name"].stringValue ?? "")
                    XCTAssertTrue(container["lastState"]["terminated"].exists, container["name"].stringValue ?? "")
                }
            }
            XCTAssertEqual(bench.runtime.calls.count { $0 == "runSandbox" }, 1, "in the same sandbox")
            XCTAssertTrue(bench.events.has("Killing"))
        }
    }
}
