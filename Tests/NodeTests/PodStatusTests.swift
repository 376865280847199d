import Objects
import XCTest

@testable import Node

final class PodStatusTests: XCTestCase {
    private typealias Pods = TestPods

    private func status(
        _ snapshot: PodSnapshot, waiting: [String: WaitingReason] = [:], podIPs: [String] = ["10.244.0.5"]
    ) -> JSON {
        PodStatusBuilder(
            snapshot: snapshot, waiting: waiting, podIPs: podIPs, hostIPs: ["10.244.0.1"],
            startTime: "2026-01-01T00:00:00Z", now: "2026-01-01T00:01:00Z"
        ).build()
    }

    private func condition(_ status: JSON, _ type: String) -> JSON {
        status["conditions"].arrayValue.first { $0["type"].stringValue == type } ?? .null
    }

    func testPhases() {
        let pods = Pods.self
        let initA: JSON = ["name": "a", "image": "busybox:1"]
        let rows: [(reason: String, pod: Pod, containers: [ObservedContainer], phase: PodPhase)] = [
            ("nothing yet", pods.pod(), [], .pending),
            ("runs", pods.pod(), [pods.container("main", "running")], .running),
            ("one of two", pods.pod(containers: ["main", "x"]), [pods.container("main", "running")], .running),
            ("init runs", pods.pod(initContainers: [initA]), [pods.container("a", "running")], .pending),
            (
                "init failed, retried", pods.pod(initContainers: [initA]),
                [pods.container("a", "exited", exitCode: 1)], .pending
            ),
            (
                "init failed for good", pods.pod(restartPolicy: "Never", initContainers: [initA]),
                [pods.container("a", "exited", exitCode: 1)], .failed
            ),
            ("ended, comes again", pods.pod(), [pods.container("main", "exited")], .running),
            ("succeeded", pods.pod(restartPolicy: "Never"), [pods.container("main", "exited")], .succeeded),
            (
                "failed", pods.pod(restartPolicy: "Never"), [pods.container("main", "exited", exitCode: 3)], .failed
            ),
            (
                "failed, tried again", pods.pod(restartPolicy: "OnFailure"),
                [pods.container("main", "exited", exitCode: 3)], .running
            ),
            (
                "an end is kept", pods.pod(status: ["phase": "Succeeded"]), [pods.container("main", "running")],
                .succeeded
            ),
            (
                "deleted, all ended", pods.pod(metadata: ["deletionTimestamp": "2026-01-01T00:01:30Z"]),
                [pods.container("main", "exited", exitCode: 0)], .succeeded
            ),
        ]
        for row in rows {
            XCTAssertEqual(PodPhase.compute(pods.snapshot(row.pod, containers: row.containers)), row.phase, row.reason)
        }
    }

    /// Whoever keeps a deleted pod with a finalizer is told how it ended.
    func testPhaseOfWhatIsReleased() {
        let deleted = TestPods.pod(metadata: ["deletionTimestamp": "2026-01-01T00:01:30Z"])
        let rows: [(String, Pod, [ObservedContainer], PodPhase)] = [
            ("never started", deleted, [], .failed),
            ("succeeded", deleted, [TestPods.container("main", "exited")], .succeeded),
            ("succeeded before its records went", TestPods.pod(status: ["phase": "Succeeded"]), [], .succeeded),
            ("not deleted", TestPods.pod(), [], .pending),
            ("something runs", deleted, [TestPods.container("main", "running")], .running),
        ]
        for (reason, pod, containers, phase) in rows {
            var snapshot = TestPods.snapshot(pod, sandboxes: [], containers: containers)
            snapshot.isReleased = true
            XCTAssertEqual(PodPhase.compute(snapshot), phase, reason)
        }
    }

    func testRunningPod() {
        let status = status(Pods.snapshot(Pods.pod(), containers: [Pods.container("main", "running", attempt: 2)]))
        XCTAssertEqual(status["phase"], "Running")
        XCTAssertEqual(status["podIP"], "10.244.0.5")
        XCTAssertEqual(status["podIPs"], [["ip": "10.244.0.5"]])
        XCTAssertEqual(status["hostIP"], "10.244.0.1")
        XCTAssertEqual(status["qosClass"], "BestEffort")
        let container = status["containerStatuses"][0]
        XCTAssertEqual(container["state"], ["running": ["startedAt": "2026-01-01T00:00:01Z"]])
        XCTAssertEqual(container["restartCount"], 2)
        XCTAssertEqual(container["ready"], true)
        XCTAssertEqual(container["started"], true)
        XCTAssertEqual(container["containerID"], "hostd://main-2")
        for type in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"] {
            XCTAssertEqual(condition(status, type)["status"], "True", type)
        }
    }

    func testUsers() {
        let user: JSON = ["uid": 1000, "gid": 2000, "supplementalGroups": [2000, 3000]]
        var container = Pods.container("main", "running")
        container.user = user
        let shown = status(Pods.snapshot(Pods.pod(), containers: [container]))["containerStatuses"][0]["user"]
        XCTAssertEqual(shown, ["linux": user])
        container.user = .null
        for (id, expected) in [("main-0", shown), ("main-9", .null)] {
            let pod = Pods.pod(status: [
                "containerStatuses": [["name": "main", "containerID": .string("hostd://\(id)"), "user": shown]]
            ])
            let status = status(Pods.snapshot(pod, containers: [container]))
            XCTAssertEqual(
                status["containerStatuses"][0]["user"], expected, "of \(id), from a runtime that does not say")
        }
    }

    func testTransitionTimesAreKeptWhileTheStatusStays() {
        let pod = Pods.pod(status: [
            "conditions": [
                ["type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"],
                ["type": "ContainersReady", "status": "False", "lastTransitionTime": "2020-01-01T00:00:00Z"],
                ["type": "example.com/gate", "status": "True"],
            ]
        ])
        let status = status(Pods.snapshot(pod, containers: [Pods.container("main", "running")]))
        XCTAssertEqual(condition(status, "Ready")["lastTransitionTime"], "2020-01-01T00:00:00Z")
        XCTAssertEqual(condition(status, "ContainersReady")["lastTransitionTime"], "2026-01-01T00:01:00Z")
        XCTAssertEqual(condition(status, "example.com/gate")["status"], "True", "foreign conditions stay")
    }

    func testReadinessGates() {
        let gates: JSONObject = [
            "readinessGates": [["conditionType": "example.com/gate"], ["conditionType": "example.com/other"]]
        ]
        let running = [Pods.container("main", "running")]
        let half = Pods.pod(
            status: ["conditions": [["type": "example.com/gate", "status": "False"]]], specification: gates)
        let closed = condition(status(Pods.snapshot(half, containers: running)), "Ready")
        XCTAssertEqual(closed["reason"], "ReadinessGatesNotReady")
        XCTAssertEqual(
            closed["message"].stringValue,
            "the status of pod readiness gate \"example.com/gate\" is not \"True\", but False, "
                + "corresponding condition of pod readiness gate \"example.com/other\" does not exist.")
        let open = Pods.pod(
            status: [
                "conditions": [
                    ["type": "example.com/gate", "status": "True"], ["type": "example.com/other", "status": "True"],
                ]
            ], specification: gates)
        XCTAssertEqual(condition(status(Pods.snapshot(open, containers: running)), "Ready")["status"], "True")
    }

    func testUnreadyContainerIsNamed() {
        var snapshot = Pods.snapshot(Pods.pod(), containers: [Pods.container("main", "running")])
        snapshot.health["main-0"] = ContainerHealth(ready: false)
        let status = status(snapshot)
        XCTAssertEqual(condition(status, "Ready")["reason"], "ContainersNotReady")
        XCTAssertEqual(condition(status, "Ready")["message"], "containers with unready status: [main]")
        XCTAssertEqual(status["containerStatuses"][0]["ready"], false)
    }

    func testWaitingReasons() {
        let initA: JSON = ["name": "a", "image": "busybox:1"]
        let creating = status(Pods.snapshot(Pods.pod()), podIPs: [])
        XCTAssertEqual(creating["containerStatuses"][0]["state"], ["waiting": ["reason": "ContainerCreating"]])
        XCTAssertEqual(creating["podIP"], .null)
        let initializing = status(Pods.snapshot(Pods.pod(initContainers: [initA])))
        XCTAssertEqual(initializing["containerStatuses"][0]["state"], ["waiting": ["reason": "PodInitializing"]])
        XCTAssertEqual(condition(initializing, "Initialized")["reason"], "ContainersNotInitialized")
        let pull = status(
            Pods.snapshot(Pods.pod()), waiting: ["main": WaitingReason(reason: "ErrImagePull", message: "no")])
        XCTAssertEqual(
            pull["containerStatuses"][0]["state"], ["waiting": ["reason": "ErrImagePull", "message": "no"]])
    }

    func testCrashLoop() {
        var snapshot = Pods.snapshot(
            Pods.pod(),
            containers: [
                Pods.container("main", "exited", attempt: 1, exitCode: 2, finishedAt: "2026-01-01T00:00:58Z")
            ])
        var backOff = CrashBackOff()
        backOff.registerTry(failedAt: snapshot.now - 12, now: snapshot.now - 12)
        snapshot.backOff["main"] = backOff
        let container = status(snapshot)["containerStatuses"][0]
        XCTAssertEqual(container["state"]["waiting"]["reason"], "CrashLoopBackOff")
        XCTAssertEqual(
            container["state"]["waiting"]["message"],
            "back-off 10s restarting failed container=main pod=web_default(u1)")
        XCTAssertEqual(container["lastState"]["terminated"]["exitCode"], 2)
        XCTAssertEqual(container["lastState"]["terminated"]["reason"], "Error")
        XCTAssertEqual(container["restartCount"], 1)
    }

    func testOutOfMemoryIsNamed() {
        let snapshot = Pods.snapshot(
            Pods.pod(restartPolicy: "Never"),
            containers: [Pods.container("main", "exited", exitCode: 137, reason: "OOMKilled")])
        let container = status(snapshot)["containerStatuses"][0]
        XCTAssertEqual(container["state"]["terminated"]["reason"], "OOMKilled")
        XCTAssertEqual(status(snapshot)["phase"], "Failed")
    }

    func testLastStateSurvivesTheLossOfItsRecord() {
        let pod = Pods.pod(status: [
            "containerStatuses": [
                [
                    "name": "main", "containerID": "hostd://main-3", "restartCount": 3,
                    "lastState": ["terminated": ["exitCode": 9]], "state": ["running": [:]],
                ]
            ]
        ])
        let snapshot = Pods.snapshot(pod, containers: [Pods.container("main", "running", attempt: 3)])
        XCTAssertEqual(status(snapshot)["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 9)
    }

    func testSucceededPod() {
        let pod = Pods.pod(restartPolicy: "Never")
        var snapshot = Pods.snapshot(pod, containers: [Pods.container("main", "exited")])
        snapshot.sandboxes[0].isReady = false
        let status = status(snapshot)
        XCTAssertEqual(condition(status, "Ready")["reason"], "PodCompleted")
        XCTAssertEqual(condition(status, "Ready")["status"], "False")
        XCTAssertEqual(condition(status, "Initialized")["status"], "True")
        XCTAssertEqual(status["containerStatuses"][0]["state"]["terminated"]["reason"], "Completed")
        XCTAssertEqual(status["podIP"], "10.244.0.5")
    }

    func testDeadlineExceeded() {
        var snapshot = Pods.snapshot(
            Pods.pod(specification: ["activeDeadlineSeconds": 10]),
            containers: [Pods.container("main", "exited", exitCode: 137)])
        snapshot.startedAt = snapshot.now - 20
        let status = status(snapshot)
        XCTAssertEqual(status["phase"], "Failed")
        XCTAssertEqual(status["reason"], "DeadlineExceeded")
    }

    func testTheSameFactsGiveTheSameStatus() {
        let snapshot = Pods.snapshot(Pods.pod(), containers: [Pods.container("main", "running")])
        let first = status(snapshot)
        let again = Pods.pod(status: first)
        XCTAssertEqual(status(Pods.snapshot(again, containers: [Pods.container("main", "running")])), first)
    }

    func testQualityOfService() {
        func resources(_ requests: JSON, _ limits: JSON) -> JSON {
            ["containers": [["resources": ["requests": requests, "limits": limits]]]]
        }
        XCTAssertEqual(QualityOfService.classify(resources(.null, .null)), .bestEffort)
        XCTAssertEqual(QualityOfService.classify(resources(["cpu": "100m"], .null)), .burstable)
        XCTAssertEqual(
            QualityOfService.classify(resources(["cpu": "1", "memory": "1Gi"], ["cpu": "1000m", "memory": "1024Mi"])),
            .guaranteed)
        XCTAssertEqual(QualityOfService.classify(resources(.null, ["cpu": "1", "memory": "1Gi"])), .guaranteed)
        XCTAssertEqual(
            QualityOfService.oomScoreAdjust(.burstable, memoryRequestBytes: 1 << 30, nodeMemoryBytes: 4 << 30), 750)
    }
}
