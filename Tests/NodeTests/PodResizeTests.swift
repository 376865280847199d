import Objects
import PluginKit
import XCTest

@testable import Node

final class PodResizeTests: XCTestCase {
    private static func amounts(_ cpu: String, _ memory: String) -> JSON {
        [
            "requests": ["cpu": .string(cpu), "memory": .string(memory)],
            "limits": ["cpu": .string(cpu), "memory": .string(memory)],
        ]
    }

    private func pod(_ resources: JSON, policy: JSON = [], status: JSON = [:]) -> Pod {
        TestPods.pod(status: status, template: ["resources": resources, "resizePolicy": policy])
    }

    // MARK: Decisions

    func testAmountsAreCompared() {
        let rows: [(left: JSON, right: JSON, resource: String?, isEqual: Bool)] = [
            (Self.amounts("1", "1Gi"), Self.amounts("1000m", "1024Mi"), nil, true),
            (Self.amounts("1", "1Gi"), Self.amounts("2", "1Gi"), nil, false),
            (Self.amounts("1", "1Gi"), Self.amounts("2", "1Gi"), "memory", true),
            (Self.amounts("1", "1Gi"), Self.amounts("2", "1Gi"), "cpu", false),
            (.null, [:], nil, true), (.null, ["limits": ["cpu": "1"]], nil, false),
        ]
        for row in rows {
            XCTAssertEqual(
                PodResources.equal(row.left, row.right, row.resource), row.isEqual,
                "\(row.left.serializedString()) \(row.right.serializedString())")
        }
    }

    func testWhatTheNodeCanGrant() {
        let allocatable = ResourceFieldReference.NodeAllocatable(cpuMilli: 1000, memoryBytes: 1000)
        let rows: [(wanted: PodRequest, others: PodRequest, verdict: String?)] = [
            (.init(cpuMilli: 500, memoryBytes: 500), .init(cpuMilli: 500, memoryBytes: 500), nil),
            (.init(cpuMilli: 501), .init(cpuMilli: 500), "Deferred"),
            (.init(memoryBytes: 501), .init(memoryBytes: 500), "Deferred"),
            (.init(cpuMilli: 1001), .init(), "Infeasible"), (.init(memoryBytes: 1001), .init(), "Infeasible"),
            (.init(), .init(cpuMilli: 5000), nil),
        ]
        for row in rows {
            let refusal = PodRequest.judgeResize(row.wanted, others: row.others, allocatable: allocatable)
            XCTAssertEqual(refusal?.reason, row.verdict, "\(row.wanted)")
        }
    }

    func testWhatTheAPIShowsWasGranted() {
        let status: JSON = ["containerStatuses": [["name": "main", "resources": Self.amounts("1", "1Gi")]]]
        let wanted = pod(Self.amounts("2", "1Gi"), status: status)
        let resources = PodResources(wanted)
        XCTAssertEqual(resources.granted["main"], Self.amounts("1", "1Gi"))
        XCTAssertTrue(resources.differ(from: wanted))
        XCTAssertFalse(PodResources(pod(Self.amounts("2", "1Gi"))).differ(from: wanted))
    }

    func testThePodAsAWhole() {
        func whole(_ amounts: JSON, status: JSON = [:]) -> Pod {
            TestPods.pod(status: status, specification: ["resources": amounts])
        }
        let (less, more) = (Self.amounts("1", "1Gi"), Self.amounts("2", "1Gi"))
        var resources = PodResources(whole(less))
        XCTAssertFalse(resources.differ(from: whole(less)))
        XCTAssertTrue(resources.differ(from: whole(more)), "it wants more")
        resources.grant(whole(more), instances: [])
        XCTAssertFalse(resources.differ(from: whole(more)))
        XCTAssertEqual(resources.podApplied, less, "until the limits are set")
        XCTAssertEqual(whole(less).with(resources: resources.granted).specification["resources"], more)
        resources.completed()
        XCTAssertEqual(resources.podApplied, more)
        XCTAssertTrue(
            PodResources(whole(more, status: ["resources": less])).differ(from: whole(more)),
            "what the API shows was granted")
        XCTAssertNil(PodResources(TestPods.pod(specification: [:])).granted[PodResources.pod])
    }

    func testInPlaceOrByRestart() {
        let running = TestPods.container("main", "running")
        let memoryRestarts: JSON = [
            ["resourceName": "cpu", "restartPolicy": "NotRequired"],
            ["resourceName": "memory", "restartPolicy": "RestartContainer"],
        ]
        let rows: [(reason: String, wanted: JSON, policy: JSON, actions: [PodAction])] = [
            ("nothing changed", Self.amounts("1", "1Gi"), [], [.applyResources]),
            ("in place by default", Self.amounts("2", "2Gi"), [], [.applyResources]),
            ("cpu in place", Self.amounts("2", "1Gi"), memoryRestarts, [.applyResources]),
            (
                "memory by restart", Self.amounts("1", "2Gi"), memoryRestarts,
                [
                    .applyResources,
                    .stopContainer(id: "main-0", name: "main", reason: .resized, graceSeconds: 30),
                ]
            ),
        ]
        for row in rows {
            let pod = pod(row.wanted, policy: row.policy)
            var snapshot = TestPods.snapshot(pod, containers: [running])
            snapshot.resources = PodResources(self.pod(Self.amounts("1", "1Gi")))
            XCTAssertEqual(PodPlanner.plan(snapshot).actions, [], "not before it is granted")
            snapshot.resources.grant(pod, instances: [running])
            XCTAssertEqual(PodPlanner.plan(snapshot).actions, row.actions, row.reason)
        }
    }

    /// The container's exit code and the restart policy have no say when it is ended to be started anew.
    func testWhatIsReplacedStartsAgainAtOnce() {
        let pod = TestPods.pod(restartPolicy: "OnFailure")
        let ended = TestPods.container("main", "exited", finishedAt: "2026-01-01T00:00:59Z")
        var snapshot = TestPods.snapshot(pod, containers: [ended])
        XCTAssertTrue(PodPlanner.isFinished(snapshot))
        snapshot.replacing = [ended.id]
        var backOff = CrashBackOff()
        backOff.registerTry(failedAt: snapshot.now - 1, now: snapshot.now - 1)
        snapshot.backOff["main"] = backOff
        XCTAssertFalse(PodPlanner.isFinished(snapshot))
        XCTAssertEqual(PodPlanner.plan(snapshot).actions, [.startContainer(name: "main", attempt: 1)])
        XCTAssertEqual(PodPhase.compute(snapshot), .running)
    }

    func testAnotherImageDoesNotWaitForTheOldOnesBackOff() {
        let ended = TestPods.container("main", "exited", exitCode: 1, finishedAt: "2026-01-01T00:00:59Z")
        var backOff = CrashBackOff()
        backOff.registerTry(failedAt: TestPods.now - 1, now: TestPods.now - 1)
        for (image, actions) in [
            ("busybox:1", []), ("busybox:2", [.startContainer(name: "main", attempt: 1)]),
        ] as [(JSON, [PodAction])] {
            var snapshot = TestPods.snapshot(TestPods.pod(template: ["image": image]), containers: [ended])
            snapshot.backOff["main"] = backOff
            XCTAssertEqual(PodPlanner.plan(snapshot).actions, actions, "\(image)")
        }
    }

    // MARK: The worker

    private func updates(_ bench: Bench) -> [String] { bench.runtime.calls.filter { $0.hasPrefix("update ") } }

    private func conditions(_ bench: Bench) -> [String: JSON] {
        var result: [String: JSON] = [:]
        for condition in bench.lastStatus["conditions"].arrayValue {
            result[condition["type"].stringValue ?? ""] = condition
        }
        return result
    }

    func testAResizeWithoutRestart() throws {
        try Bench.with { bench in
            bench.give(pod(Self.amounts("500m", "64Mi")))
            try bench.sync()
            XCTAssertEqual(
                bench.lastStatus["containerStatuses"][0]["resources"], Self.amounts("500m", "64Mi"))
            bench.give(pod(Self.amounts("1", "128Mi"), status: bench.lastStatus))
            try bench.sync()
            let calls = updates(bench)
            XCTAssertEqual(calls.map { $0.split(separator: " ")[1] }, ["s1", "c2", "s1"], "the pod first and last")
            XCTAssertTrue(calls[1].contains("\"cpuQuota\":100000") && calls[1].contains("134217728"), calls[1])
            let shown = bench.lastStatus["containerStatuses"][0]
            XCTAssertEqual(shown["resources"], Self.amounts("1", "128Mi"))
            XCTAssertEqual(shown["allocatedResources"], ["cpu": "1", "memory": "128Mi"])
            XCTAssertEqual(shown["restartCount"], 0)
            XCTAssertNil(conditions(bench)["PodResizeInProgress"])
            XCTAssertTrue(bench.events.has("ResizeCompleted"))
        }
    }

    func testAResizeByRestart() throws {
        try Bench.with { bench in
            let policy: JSON = [["resourceName": "memory", "restartPolicy": "RestartContainer"]]
            bench.give(pod(Self.amounts("500m", "64Mi"), policy: policy))
            try bench.sync()
            bench.give(pod(Self.amounts("500m", "128Mi"), policy: policy, status: bench.lastStatus))
            try bench.syncUntil("restarted") { bench in
                bench.lastStatus["containerStatuses"][0]["restartCount"] == 1
                    && self.conditions(bench)["PodResizeInProgress"] == nil
            }
            XCTAssertEqual(
                bench.lastStatus["containerStatuses"][0]["resources"], Self.amounts("500m", "128Mi"))
            XCTAssertEqual(updates(bench).map { $0.split(separator: " ")[1] }, ["s1", "s1"], "wide, then exact")
        }
    }

    func testWhatDoesNotFitWaits() throws {
        try Bench.with { bench in
            bench.give(pod(Self.amounts("500m", "64Mi")))
            try bench.sync()
            let other = TestPods.pod(uid: "u2", name: "other", template: ["resources": Self.amounts("1", "64Mi")])
            bench.give(other)
            for (cpu, reason) in [("3", "Infeasible"), ("1500m", "Deferred")] {
                bench.give(pod(Self.amounts(cpu, "64Mi"), status: bench.lastStatus))
                try bench.sync()
                XCTAssertEqual(conditions(bench)["PodResizePending"]?["reason"].stringValue, reason)
                XCTAssertTrue(bench.events.has("Resize\(reason)"))
                XCTAssertEqual(
                    bench.lastStatus["containerStatuses"][0]["resources"], Self.amounts("500m", "64Mi"))
            }
            XCTAssertEqual(updates(bench), [])
            bench.worker.podRemoved(other.object)
            bench.worker.forget("u2")
            try bench.sync()
            XCTAssertNil(conditions(bench)["PodResizePending"])
            XCTAssertEqual(
                bench.lastStatus["containerStatuses"][0]["resources"], Self.amounts("1500m", "64Mi"))
        }
    }

    func testALimitBelowWhatIsInUse() throws {
        try Bench.with { bench in
            bench.give(pod(Self.amounts("500m", "64Mi")))
            try bench.sync()
            bench.runtime.state.withLock { $0.usedMemory = 40 << 20 }
            bench.give(pod(Self.amounts("500m", "32Mi"), status: bench.lastStatus))
            try bench.sync()
            let condition = try XCTUnwrap(conditions(bench)["PodResizeInProgress"])
            XCTAssertEqual(condition["reason"], "Error")
            XCTAssertTrue(
                condition["message"].stringValue?.contains("memory limit (33554432) below current usage") == true)
            XCTAssertEqual(updates(bench), [])
            // The wish is withdrawn.
            bench.give(pod(Self.amounts("500m", "64Mi"), status: bench.lastStatus))
            try bench.sync()
            XCTAssertNil(conditions(bench)["PodResizeInProgress"])
        }
    }

    // MARK: Runtime classes

    func testARuntimeClassChoosesTheRuntime() throws {
        try Bench.with { bench in
            bench.objects.all.withLock { $0["runtimeclasses.node.k8s.io//sealed"] = ["handler": "runtime-oci"] }
            bench.give(TestPods.pod(specification: ["runtimeClassName": "sealed"]))
            try bench.sync()
            XCTAssertEqual(bench.runtime.calls.first, "handler runtime-oci")
        }
    }

    func testWhatNoRuntimeGivesIsRefused() throws {
        try Bench.with { bench in
            bench.give(TestPods.pod(specification: ["runtimeClassName": "gone"]))
            try bench.sync()
            XCTAssertTrue(bench.events.has("FailedCreatePodSandBox"))
            XCTAssertFalse(bench.runtime.calls.contains("runSandbox"))
        }
    }
}
