import Objects
import XCTest

@testable import Node

final class PodPlannerTests: XCTestCase {
    private typealias Pods = TestPods

    private func plan(_ snapshot: PodSnapshot) -> [PodAction] { PodPlanner.plan(snapshot).actions }

    private let initA: JSON = ["name": "a", "image": "busybox:1"]
    private let initB: JSON = ["name": "b", "image": "busybox:1"]
    private let sidecar: JSON = ["name": "side", "image": "busybox:1", "restartPolicy": "Always"]

    // MARK: Sandbox

    func testSandboxComesFirst() {
        XCTAssertEqual(plan(Pods.snapshot(Pods.pod(), sandboxes: [])), [.createSandbox(attempt: 0)])
        XCTAssertEqual(
            plan(Pods.snapshot(Pods.pod(), sandboxes: [Pods.sandbox(ready: false)])), [.createSandbox(attempt: 1)])
    }

    func testSandboxWaitsAfterAFailure() {
        var snapshot = Pods.snapshot(Pods.pod(), sandboxes: [])
        snapshot.sandboxRetryAt = snapshot.now + 3
        let plan = PodPlanner.plan(snapshot)
        XCTAssertEqual(plan.actions, [])
        XCTAssertEqual(plan.wakeAfter ?? 0, 3, accuracy: 0.01)
    }

    func testLostSandboxStopsWhatRunsInItFirst() {
        let snapshot = Pods.snapshot(
            Pods.pod(), sandboxes: [Pods.sandbox(ready: false)], containers: [Pods.container("main", "running")])
        XCTAssertEqual(
            plan(snapshot), [.stopContainer(id: "main-0", name: "main", reason: .sandboxLost, graceSeconds: 1)])
    }

    func testContainersOfANewSandboxKeepCountingAttempts() {
        let snapshot = Pods.snapshot(
            Pods.pod(), sandboxes: [Pods.sandbox(ready: false), Pods.sandbox("s2", attempt: 1)],
            containers: [Pods.container("main", "exited", attempt: 2, exitCode: 137)])
        XCTAssertEqual(plan(snapshot), [.startContainer(name: "main", attempt: 3)])
    }

    // MARK: Starting

    func testStartsAllRegularContainers() {
        XCTAssertEqual(
            plan(Pods.snapshot(Pods.pod(containers: ["x", "y"]))),
            [.startContainer(name: "x", attempt: 0), .startContainer(name: "y", attempt: 0)])
    }

    func testNothingToDoWhileAllRuns() {
        let snapshot = Pods.snapshot(Pods.pod(), containers: [Pods.container("main", "running")])
        XCTAssertEqual(PodPlanner.plan(snapshot), PodPlan())
    }

    func testAttemptsGoOnFromTheStatusWhenRecordsAreLost() {
        var snapshot = Pods.snapshot(Pods.pod())
        snapshot.attemptFloor["main"] = 5
        XCTAssertEqual(plan(snapshot), [.startContainer(name: "main", attempt: 5)])
    }

    /// hostd was ended between create and start: the attempt begins again and is not counted twice.
    func testContainerThatWasNeverStartedIsReplaced() {
        let snapshot = Pods.snapshot(Pods.pod(), containers: [Pods.container("main", "created")])
        XCTAssertEqual(plan(snapshot), [.removeContainer(id: "main-0"), .startContainer(name: "main", attempt: 0)])
        var later = Pods.snapshot(
            Pods.pod(), containers: [Pods.container("main", "exited"), Pods.container("main", "created", attempt: 1)])
        later.attemptFloor["main"] = 1
        XCTAssertEqual(plan(later), [.removeContainer(id: "main-1"), .startContainer(name: "main", attempt: 1)])
    }

    // MARK: Init containers

    func testInitContainersRunOneByOne() {
        let pod = Pods.pod(initContainers: [initA, initB])
        XCTAssertEqual(plan(Pods.snapshot(pod)), [.startContainer(name: "a", attempt: 0)])
        XCTAssertEqual(plan(Pods.snapshot(pod, containers: [Pods.container("a", "running")])), [])
        XCTAssertEqual(
            plan(Pods.snapshot(pod, containers: [Pods.container("a", "exited")])),
            [.startContainer(name: "b", attempt: 0)])
        XCTAssertEqual(
            plan(Pods.snapshot(pod, containers: [Pods.container("a", "exited"), Pods.container("b", "exited")])),
            [.startContainer(name: "main", attempt: 0)])
    }

    func testFailedInitContainerIsRetriedUnlessPolicyIsNever() {
        let failed = [Pods.container("a", "exited", exitCode: 1)]
        XCTAssertEqual(
            plan(Pods.snapshot(Pods.pod(initContainers: [initA]), containers: failed)),
            [.startContainer(name: "a", attempt: 1)])
        XCTAssertEqual(
            plan(Pods.snapshot(Pods.pod(restartPolicy: "Never", initContainers: [initA]), containers: failed)),
            [.stopSandbox(id: "s1")])
    }

    func testInitContainersAreNotRunAgainWhenMainContainersExist() {
        let snapshot = Pods.snapshot(Pods.pod(initContainers: [initA]), containers: [Pods.container("main", "running")])
        XCTAssertEqual(plan(snapshot), [])
    }

    func testSidecarMustHaveStartedBeforeTheNextContainer() {
        let pod = Pods.pod(initContainers: [sidecar, initA])
        XCTAssertEqual(plan(Pods.snapshot(pod)), [.startContainer(name: "side", attempt: 0)])
        var snapshot = Pods.snapshot(pod, containers: [Pods.container("side", "running")])
        snapshot.health["side-0"] = ContainerHealth(started: false)
        XCTAssertEqual(plan(snapshot), [])
        snapshot.health["side-0"] = ContainerHealth(started: true)
        XCTAssertEqual(plan(snapshot), [.startContainer(name: "a", attempt: 0)])
    }

    func testSidecarIsRestartedBesideMainContainers() {
        let snapshot = Pods.snapshot(
            Pods.pod(initContainers: [sidecar]),
            containers: [Pods.container("side", "exited"), Pods.container("main", "running")])
        XCTAssertEqual(plan(snapshot), [.startContainer(name: "side", attempt: 1)])
    }

    // MARK: Restarts

    func testRestartPolicies() {
        for (policy, exitCode, restarts) in [
            ("Always", Int64(0), true), ("Always", 1, true), ("OnFailure", 0, false), ("OnFailure", 1, true),
            ("Never", 0, false), ("Never", 1, false),
        ] {
            let snapshot = Pods.snapshot(
                Pods.pod(restartPolicy: policy, containers: ["main", "other"]),
                containers: [Pods.container("main", "exited", exitCode: exitCode), Pods.container("other", "running")])
            let expected: [PodAction] = restarts ? [.startContainer(name: "main", attempt: 1)] : []
            XCTAssertEqual(plan(snapshot), expected, "\(policy) \(exitCode)")
        }
    }

    func testContainerRulesDecideBeforeThePolicy() {
        let rules: JSON = [
            ["action": "Restart", "exitCodes": ["operator": "In", "values": [42]]]
        ]
        let pod = Pods.pod(restartPolicy: "Never", template: ["restartPolicyRules": rules])
        XCTAssertTrue(pod.containers[0].restarts(afterExitCode: 42))
        XCTAssertFalse(pod.containers[0].restarts(afterExitCode: 1))
    }

    func testCrashBackOffDelaysTheRestart() {
        var snapshot = Pods.snapshot(
            Pods.pod(),
            containers: [Pods.container("main", "exited", exitCode: 1, finishedAt: "2026-01-01T00:00:55Z")])
        var backOff = CrashBackOff()
        backOff.registerTry(failedAt: snapshot.now - 20, now: snapshot.now - 20)
        snapshot.backOff["main"] = backOff
        let plan = PodPlanner.plan(snapshot)
        XCTAssertEqual(plan.actions, [])
        XCTAssertEqual(plan.wakeAfter ?? 0, 5, accuracy: 0.01)
    }

    func testUnhealthyContainerIsStoppedOnce() {
        var snapshot = Pods.snapshot(Pods.pod(), containers: [Pods.container("main", "running")])
        snapshot.health["main-0"] = ContainerHealth(killReason: .livenessFailed, killGraceSeconds: 7)
        XCTAssertEqual(
            plan(snapshot), [.stopContainer(id: "main-0", name: "main", reason: .livenessFailed, graceSeconds: 7)])
        snapshot.stopping["main-0"] = snapshot.now + 7
        XCTAssertEqual(plan(snapshot), [])
    }

    func testChangedImageRestartsTheContainer() {
        let snapshot = Pods.snapshot(
            Pods.pod(template: ["image": "busybox:2"]), containers: [Pods.container("main", "running")])
        XCTAssertEqual(
            plan(snapshot),
            [.stopContainer(id: "main-0", name: "main", reason: .specificationChanged, graceSeconds: 30)])
    }

    // MARK: Ending

    private func deleted(grace: Int64 = 30, initContainers: [JSON] = []) -> Pod {
        Pods.pod(
            initContainers: initContainers,
            metadata: ["deletionTimestamp": "2026-01-01T00:01:30Z", "deletionGracePeriodSeconds": .integer(grace)])
    }

    func testDeletionStopsContainersThenEverythingElse() {
        let pod = deleted()
        XCTAssertEqual(
            plan(Pods.snapshot(pod, containers: [Pods.container("main", "running")])),
            [.stopContainer(id: "main-0", name: "main", reason: .podDeleted, graceSeconds: 30)])
        XCTAssertEqual(
            plan(Pods.snapshot(pod, containers: [Pods.container("main", "exited")])),
            [.removeSandbox(id: "s1")])
        XCTAssertEqual(plan(Pods.snapshot(pod, sandboxes: [])), [.releaseResources, .finalize])
    }

    func testStopsInProgressAreLeftAloneUnlessTheGracePeriodShrinks() {
        var snapshot = Pods.snapshot(deleted(), containers: [Pods.container("main", "running")])
        snapshot.stopping["main-0"] = snapshot.now + 30
        XCTAssertEqual(plan(snapshot), [])
        XCTAssertEqual(PodPlanner.plan(snapshot).wakeAfter ?? 0, 30, accuracy: 0.01)
        snapshot.stopping["main-0"] = snapshot.now + 30.9
        XCTAssertEqual(plan(snapshot), [], "whole seconds, a little later: its preStop hook goes on")
        snapshot.stopping["main-0"] = snapshot.now
        let kill: [PodAction] = [.stopContainer(id: "main-0", name: "main", reason: .podDeleted, graceSeconds: 0)]
        XCTAssertEqual(plan(snapshot), kill, "the time is up")
        snapshot.killing = ["main-0"]
        XCTAssertEqual(plan(snapshot), [])
        var sooner = Pods.snapshot(
            Pods.pod(metadata: ["deletionTimestamp": "2026-01-01T00:01:02Z", "deletionGracePeriodSeconds": 2]),
            containers: [Pods.container("main", "running")])
        sooner.stopping["main-0"] = sooner.now + 30
        XCTAssertEqual(
            plan(sooner), [.stopContainer(id: "main-0", name: "main", reason: .podDeleted, graceSeconds: 2)])
    }

    func testSidecarsEndAfterTheContainersThatTheyServeInReverseOrder() {
        let second: JSON = ["name": "side2", "image": "busybox:1", "restartPolicy": "Always"]
        let pod = deleted(initContainers: [sidecar, second])
        let sidecars = [Pods.container("side", "running"), Pods.container("side2", "running")]
        XCTAssertEqual(
            plan(Pods.snapshot(pod, containers: sidecars + [Pods.container("main", "running")])),
            [.stopContainer(id: "main-0", name: "main", reason: .podDeleted, graceSeconds: 30)])
        XCTAssertEqual(
            plan(Pods.snapshot(pod, containers: sidecars + [Pods.container("main", "exited")])),
            [.stopContainer(id: "side2-0", name: "side2", reason: .podDeleted, graceSeconds: 30)])
    }

    func testFinishedPodGivesItsResourcesBackAndKeepsItsRecords() {
        var snapshot = Pods.snapshot(Pods.pod(restartPolicy: "Never"), containers: [Pods.container("main", "exited")])
        XCTAssertEqual(plan(snapshot), [.stopSandbox(id: "s1")])
        snapshot.sandboxes[0].isReady = false
        XCTAssertEqual(plan(snapshot), [.releaseResources])
        snapshot.isReleased = true
        XCTAssertEqual(plan(snapshot), [])
    }

    func testFinishedPodEndsItsSidecars() {
        let pod = Pods.pod(restartPolicy: "Never", initContainers: [sidecar])
        let snapshot = Pods.snapshot(
            pod, containers: [Pods.container("side", "running"), Pods.container("main", "exited")])
        XCTAssertEqual(
            plan(snapshot), [.stopContainer(id: "side-0", name: "side", reason: .podFinished, graceSeconds: 30)])
    }

    func testOrphanIsStoppedQuicklyAndForgotten() {
        var snapshot = Pods.snapshot(Pods.pod(), containers: [Pods.container("main", "running")])
        snapshot.isOrphan = true
        XCTAssertEqual(
            plan(snapshot), [.stopContainer(id: "main-0", name: "main", reason: .podDeleted, graceSeconds: 1)])
    }

    func testActiveDeadlineEndsThePod() {
        let pod = Pods.pod(specification: ["activeDeadlineSeconds": 100])
        let running = [Pods.container("main", "running")]
        var snapshot = Pods.snapshot(pod, containers: running)
        XCTAssertEqual(PodPlanner.plan(snapshot).wakeAfter ?? 0, 40, accuracy: 0.01)
        snapshot.startedAt = snapshot.now - 101
        XCTAssertEqual(
            plan(snapshot),
            [.stopContainer(id: "main-0", name: "main", reason: .deadlineExceeded, graceSeconds: 30)])
    }
}
