import Objects
import XCTest

@testable import Controllers

final class WorkloadPlanTests: XCTestCase {
    private let now = Timestamp(seconds: 100_000)
    private func text(_ seconds: Int64) -> JSON { .string(Timestamp(seconds: seconds).formatted(fraction: .none)) }

    private func pod(
        _ name: String, phase: String = "Running", ready: Bool = true, labels: JSON = [:], node: String = "",
        deleted: Bool = false, annotations: JSON = [:], finished: Int64? = nil
    ) -> JSON {
        var metadata: JSON = [
            "name": .string(name), "uid": .string(name), "namespace": "default", "labels": labels,
            "annotations": annotations, "finalizers": .array([.string(JobTracking.finalizer)]),
        ]
        if deleted { metadata["deletionTimestamp"] = text(1) }
        var status: JSON = [
            "phase": .string(phase),
            "conditions": [["type": "Ready", "status": ready ? "True" : "False", "lastTransitionTime": text(1)]],
        ]
        if let finished { status["containerStatuses"] = [["state": ["terminated": ["finishedAt": text(finished)]]]] }
        return ["metadata": metadata, "spec": ["nodeName": .string(node)], "status": status]
    }

    // MARK: Job

    private func job(_ spec: JSON, status: JSON = [:]) -> JSON {
        var spec = spec
        spec["template"] = ["spec": ["restartPolicy": "Never"]]
        return ["metadata": ["name": "j", "namespace": "default", "uid": "j"], "spec": spec, "status": status]
    }

    /// The plan once the finalizers of all that is counted are gone.
    private func settled(_ job: JSON, _ pods: [JSON]) -> JobPlan {
        let first = JobPlan(job, pods: pods, now: now)
        let released = Set(first.tracking.release.map(\.uid))
        if released.isEmpty { return first }
        var job = job
        job["status"] = first.status
        var left = pods
        for index in left.indices where released.contains(left[index].uid) {
            left[index]["metadata"].removeValue(forKey: "finalizers")
        }
        return settled(job, left)
    }

    func testJobCounts() {
        let cases: [(String, JSON, [JSON], Int, Int)] = [
            ("starts", ["completions": 3, "parallelism": 2], [], 2, 0),
            (
                "no more than are missing", ["completions": 3, "parallelism": 2],
                [pod("a", phase: "Succeeded"), pod("b", phase: "Succeeded")], 1, 0
            ),
            ("surplus goes", ["completions": 3, "parallelism": 1], [pod("a"), pod("b")], 0, 1),
            ("a queue fills up", ["parallelism": 2], [pod("a")], 1, 0),
            ("a queue drains", ["parallelism": 2], [pod("a"), pod("b", phase: "Succeeded")], 0, 0),
            ("suspended", ["completions": 1, "suspend": true], [pod("a")], 0, 1),
            ("waits after a failure", ["completions": 1], [pod("a", phase: "Failed", finished: 99_995)], 0, 0),
            ("goes on after the wait", ["completions": 1], [pod("a", phase: "Failed", finished: 99_900)], 1, 0),
        ]
        for (reason, spec, pods, creates, deletes) in cases {
            let plan = JobPlan(job(spec), pods: pods, now: now)
            XCTAssertEqual(plan.create.count, creates, reason)
            XCTAssertEqual(plan.delete.count, deletes, reason)
            XCTAssertNil(plan.ended, reason)
        }
        let waiting = JobPlan(job(["completions": 1]), pods: [pod("a", phase: "Failed", finished: 99_995)], now: now)
        XCTAssertEqual(waiting.recheckAfter, 5)
    }

    func testJobEnds() {
        let done = settled(job(["completions": 1]), [pod("a", phase: "Succeeded")])
        XCTAssertEqual(done.ended?.reason, "Completed")
        XCTAssertEqual(done.status["conditions"].condition("Complete")["status"], "True")
        XCTAssertEqual(done.status["succeeded"], 1)
        XCTAssertTrue(done.status["completionTime"].exists)
        XCTAssertEqual(done.status["conditions"].condition("SuccessCriteriaMet")["reason"], "CompletionsReached")
        let failing = JobPlan(job(["backoffLimit": 0]), pods: [pod("a", phase: "Failed"), pod("b")], now: now)
        XCTAssertNil(failing.ended, "a Job ends when its last pod is gone")
        XCTAssertEqual(failing.status["conditions"].condition("FailureTarget")["reason"], "BackoffLimitExceeded")
        XCTAssertEqual(failing.delete.map(\.name), ["b"])
        XCTAssertEqual(
            failing.status["uncountedTerminatedPods"]["failed"], ["a", "b"], "what runs on counts as failed")
        let leaving = settled(
            job(["backoffLimit": 0], status: failing.status),
            [pod("a", phase: "Failed"), pod("b", deleted: true)])
        XCTAssertNil(leaving.ended)
        XCTAssertEqual(leaving.status["terminating"], 1)
        XCTAssertEqual(leaving.status["failed"], 2)
        let failed = settled(job(["backoffLimit": 0], status: failing.status), [pod("a", phase: "Failed")])
        XCTAssertEqual(failed.status["failed"], 2, "one that went meanwhile is counted")
        XCTAssertEqual(failed.ended?.reason, "BackoffLimitExceeded")
        XCTAssertEqual(failed.status["conditions"].condition("Failed")["status"], "True")
        let late = JobPlan(
            job(["activeDeadlineSeconds": 10], status: ["startTime": text(99_980)]), pods: [], now: now)
        XCTAssertEqual(late.ended?.reason, "DeadlineExceeded")
    }

    func testJobStartsAnewAfterItWasSuspended() {
        let status: JSON = ["startTime": text(99_000)]
        let suspended = JobPlan(
            job(["suspend": true, "activeDeadlineSeconds": 10], status: status), pods: [], now: now)
        XCTAssertTrue(suspended.status["startTime"].isNull)
        XCTAssertNil(suspended.ended, "its time does not run")
        let resumed = JobPlan(job([:], status: suspended.status), pods: [], now: now)
        XCTAssertEqual(resumed.status["startTime"], text(100_000))
        XCTAssertEqual(resumed.turned?.reason, "Resumed")
    }

    func testJobExpires() {
        let condition: JSON = ["type": "Complete", "status": "True", "lastTransitionTime": text(99_990)]
        let status: JSON = ["conditions": .array([condition])]
        XCTAssertEqual(
            JobPlan(job(["ttlSecondsAfterFinished": 60], status: status), pods: [], now: now).recheckAfter, 50)
        XCTAssertTrue(JobPlan(job(["ttlSecondsAfterFinished": 10], status: status), pods: [], now: now).isExpired)
        let kept = JobPlan(job([:], status: status), pods: [], now: now)
        XCTAssertFalse(kept.isExpired)
        XCTAssertNil(kept.ended, "an end is told once")
    }

    func testIndexedJob() {
        func indexed(_ name: String, _ index: Int, _ phase: String) -> JSON {
            pod(name, phase: phase, annotations: .object([JobPlan.indexAnnotation: .string("\(index)")]))
        }
        let pods = [indexed("a", 0, "Succeeded"), indexed("b", 2, "Running"), indexed("c", 0, "Succeeded")]
        let plan = JobPlan(
            job(["completions": 5, "parallelism": 3, "completionMode": "Indexed"]), pods: pods, now: now)
        XCTAssertEqual(plan.create, [1, 3])
        XCTAssertEqual(plan.status["completedIndexes"], "0")
        XCTAssertEqual(CompletionIndexes([1, 3, 4, 5, 7]).text, "1,3-5,7")
        XCTAssertEqual(CompletionIndexes().text, "")
        XCTAssertEqual(CompletionIndexes(parsing: "1,3-5,8-9,x,2-1", below: 9).values, [1, 3, 4, 5, 8])
        let later = JobPlan(
            job(
                ["completions": 2, "parallelism": 2, "completionMode": "Indexed"], status: ["completedIndexes": "0-1"]),
            pods: [], now: now)
        XCTAssertEqual(later.ended?.reason, "Completed", "what was completed stays so when its pods are gone")
        let doubled = JobPlan(
            job(["completions": 2, "parallelism": 2, "completionMode": "Indexed"]),
            pods: [indexed("a", 0, "Running"), indexed("b", 0, "Running"), indexed("c", 5, "Running")], now: now)
        XCTAssertEqual(doubled.delete.map(\.name), ["b", "c"])
        XCTAssertEqual(doubled.create, [1])
    }

    // MARK: StatefulSet

    private func set(_ replicas: Int64, extra: [String: JSON] = [:]) -> JSON {
        var spec: JSON = ["replicas": .integer(replicas), "serviceName": "db"]
        for (key, value) in extra { spec[key] = value }
        return ["metadata": ["name": "db", "namespace": "default", "uid": "s"], "spec": spec]
    }
    private func member(
        _ ordinal: Int, hash: String = "h", ready: Bool = true, deleted: Bool = false, phase: String = "Running"
    ) -> JSON {
        pod(
            "db-\(ordinal)", phase: phase, ready: ready, labels: .object([ControllerHistory.podLabel: .string(hash)]),
            deleted: deleted)
    }

    func testStatefulSetOrder() {
        let cases: [(String, JSON, [JSON], [Int64], [String])] = [
            ("first", set(3), [], [0], []),
            ("waits for readiness", set(3), [member(0, ready: false)], [], []),
            ("next", set(3), [member(0)], [1], []),
            ("waits for an end", set(2), [member(0, deleted: true), member(1)], [], []),
            ("replaces what ended", set(2), [member(0, phase: "Failed"), member(1)], [], ["db-0"]),
            ("highest goes first", set(1), [member(0), member(1), member(2)], [], ["db-2"]),
            ("one at a time", set(1), [member(0), member(1), member(2, deleted: true)], [], []),
            ("all at once", set(3, extra: ["podManagementPolicy": "Parallel"]), [member(1)], [0, 2], []),
            ("updates from above", set(2), [member(0, hash: "o"), member(1, hash: "o")], [], ["db-1"]),
            ("waits for the updated one", set(2), [member(0, hash: "o"), member(1, ready: false)], [], []),
            ("goes down", set(2), [member(0, hash: "o"), member(1)], [], ["db-0"]),
            (
                "repairs a broken update", set(1), [member(0, hash: "o", ready: false, phase: "Pending")], [],
                ["db-0"]
            ),
            ("waits for one that fell ill", set(2), [member(0, hash: "o", ready: false), member(1)], [], []),
            (
                "the ill keep the others", set(0),
                [member(0, ready: false), member(1, ready: false), member(2, ready: false)], [], []
            ),
            ("the last one ill goes", set(0), [member(0, ready: false)], [], ["db-0"]),
            ("the only one ill goes", set(0), [member(0), member(1, ready: false)], [], ["db-1"]),
            ("starts elsewhere", set(2, extra: ["ordinals": ["start": 5]]), [member(5)], [6], []),
            (
                "partition", set(2, extra: ["updateStrategy": ["rollingUpdate": ["partition": 1]]]),
                [member(0, hash: "o"), member(1)], [], []
            ),
            ("on delete", set(1, extra: ["updateStrategy": ["type": "OnDelete"]]), [member(0, hash: "o")], [], []),
        ]
        for (reason, set, pods, creates, deletes) in cases {
            let plan = StatefulSetPlan(set, pods: pods, labels: ["h"], now: now)
            XCTAssertEqual(plan.create, creates, reason)
            XCTAssertEqual(plan.delete.map(\.name), deletes, reason)
        }
    }

    func testStatefulSetReplacesSeveralAtOnce() {
        func strategy(_ limit: JSON, partition: Int64 = 0) -> [String: JSON] {
            [
                "updateStrategy": [
                    "type": "RollingUpdate",
                    "rollingUpdate": ["maxUnavailable": limit, "partition": .integer(partition)],
                ], "podManagementPolicy": "Parallel",
            ]
        }
        let old = (0..<5).map { member($0, hash: "old") }
        let cases: [(String, [String: JSON], [JSON], [String])] = [
            ("two", strategy(2), old, ["db-4", "db-3"]), ("half of five", strategy("50%"), old, ["db-4", "db-3"]),
            ("less than one", strategy("10%"), old, ["db-4"]),
            ("down to the partition", strategy(4, partition: 3), old, ["db-4", "db-3"]),
            ("one is on its way", strategy(2), Array(old[..<4]) + [member(4, ready: false)], ["db-3"]),
            (
                "two are on their way", strategy(2),
                Array(old[..<3]) + [member(3, ready: false), member(4, ready: false)], []
            ),
            (
                "what does not serve goes first", strategy(2), [member(0, hash: "old", ready: false)] + old[1...],
                ["db-0", "db-4"]
            ),
        ]
        for (reason, extra, pods, deletes) in cases {
            let plan = StatefulSetPlan(set(5, extra: extra), pods: pods, labels: ["h"], now: now)
            XCTAssertEqual(plan.delete.map(\.name), deletes, reason)
        }
    }

    func testStatefulSetStatus() {
        let revisions = ControllerHistory.Revisions(update: "db-h", label: "db-h", labels: ["h", "db-h"], all: [])
        func status(_ extra: [String: JSON], _ pods: [JSON]) -> JSON {
            var set = set(2, extra: extra)
            set["status"] = ["currentRevision": "db-o"]
            return StatefulSetPlan.status(set, pods: pods, revisions: revisions, now: now)
        }
        let done = status([:], [member(0), member(1)])
        XCTAssertEqual(done["currentRevision"], "db-h", "all are of the new revision")
        let byHand = status(["updateStrategy": ["type": "OnDelete"]], [member(0), member(1)])
        XCTAssertEqual(byHand["currentRevision"], "db-o", "whoever replaces them by hand is not told so")
        let going = status([:], [member(0), member(1, deleted: true)])
        XCTAssertEqual(going["updatedReplicas"], 1, "one that goes does not count")
        XCTAssertEqual(going["replicas"], 2)
        XCTAssertEqual(going["currentRevision"], "db-o")
        let half = status([:], [member(0, hash: "o"), member(1)])
        XCTAssertEqual([half["currentReplicas"], half["updatedReplicas"]], [1, 1])
    }

    func testStatefulSetClaimsThatAreGone() {
        let set = set(2, extra: ["volumeClaimTemplates": [["metadata": ["name": "data"]]]])
        let rows: [(claim: String, ordinal: Int64?)] = [
            ("data-db-1", 1), ("data-db-12", 12), ("data-db-x", nil), ("logs-db-1", nil), ("data-db", nil),
            ("data-other-1", nil),
        ]
        for row in rows {
            XCTAssertEqual(StatefulSetPlan.ordinal(ofClaim: row.claim, of: set), row.ordinal, row.claim)
        }
        let pods = [
            member(0, ready: false, phase: "Pending"), member(1), member(2, ready: false, phase: "Pending"),
        ]
        XCTAssertEqual(StatefulSetPlan.pending(set, pods: pods), [0], "neither what runs nor what is too many")
        XCTAssertEqual(
            StatefulSetPlan.pending(set, pods: [member(0, ready: false, deleted: true, phase: "Pending")]), [])
    }

    func testStatefulSetPodAndClaims() {
        let set = set(
            1,
            extra: [
                "volumeClaimTemplates": [["metadata": ["name": "data"], "spec": ["x": 1]]],
                "selector": ["matchLabels": ["app": "db"]],
            ])
        let template: JSON = [
            "metadata": ["labels": ["app": "db"]], "spec": ["volumes": [["name": "data", "emptyDir": [:]]]],
        ]
        let pod = StatefulSetPlan.pod(set, ordinal: 2, template: template, label: "db-h")
        XCTAssertEqual(pod.name, "db-2")
        XCTAssertEqual(pod["spec"]["hostname"], "db-2")
        XCTAssertEqual(pod["spec"]["subdomain"], "db")
        XCTAssertEqual(pod["spec"]["volumes"].arrayValue.count, 1)
        XCTAssertEqual(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "data-db-2")
        XCTAssertEqual(pod.labels[StatefulSetPlan.indexLabel], "2")
        let claim = StatefulSetPlan.claims(set, ordinal: 2)[0]
        XCTAssertEqual(claim.name, "data-db-2")
        XCTAssertEqual(claim.labels["app"], "db")
    }

    // MARK: DaemonSet

    private func node(_ name: String, taints: JSON = [], labels: JSON = [:]) -> JSON {
        ["metadata": ["name": .string(name), "labels": labels], "spec": ["taints": taints]]
    }
    private func daemon(_ spec: JSON = [:], extra: [String: JSON] = [:]) -> JSON {
        var object: JSON = [
            "metadata": ["name": "d", "namespace": "default", "uid": "d"], "spec": ["template": ["spec": spec]],
        ]
        for (key, value) in extra { object["spec"][key] = value }
        return object
    }
    private func copy(_ node: String, hash: String = "h", ready: Bool = true) -> JSON {
        pod("on-\(node)", ready: ready, labels: .object([ControllerHistory.podLabel: .string(hash)]), node: node)
    }

    func testDaemonNodes() {
        func taints(_ key: JSON, _ effects: JSON...) -> JSON { .array(effects.map { ["key": key, "effect": $0] }) }
        let unready = taints("node.kubernetes.io/not-ready", "NoSchedule", "NoExecute")
        let cases: [(String, JSON, JSON, DaemonPlan.Fit)] = [
            ("plain", daemon(), node("a"), .runs),
            ("cordoned", daemon(), node("a", taints: taints("node.kubernetes.io/unschedulable", "NoSchedule")), .runs),
            ("not ready: none is made until it is", daemon(), node("a", taints: unready), .keeps),
            ("not to get any more", daemon(), node("a", taints: taints("k", "NoSchedule")), .keeps),
            ("preferably", daemon(), node("a", taints: taints("k", "PreferNoSchedule")), .runs),
            ("to get rid of them", daemon(), node("a", taints: taints("k", "NoSchedule", "NoExecute")), .none),
            (
                "tolerated", daemon(["tolerations": [["operator": "Exists"]]]),
                node("a", taints: taints("k", "NoSchedule")), .runs
            ),
            ("selector", daemon(["nodeSelector": ["disk": "ssd"]]), node("a"), .none),
            ("selected", daemon(["nodeSelector": ["disk": "ssd"]]), node("a", labels: ["disk": "ssd"]), .runs),
        ]
        for (reason, set, node, expected) in cases {
            XCTAssertEqual(DaemonPlan.fit(set, node: node), expected, reason)
        }
    }

    func testDaemonChanges() {
        let nodes = [node("a"), node("b"), node("c")]
        let fresh = DaemonPlan.changes(
            daemon(), nodes: nodes, pods: [copy("a"), copy("gone")], labels: ["h"], now: now)
        XCTAssertEqual(fresh.create, ["b", "c"])
        XCTAssertEqual(fresh.delete.map(\.name), ["on-gone"])
        let old = nodes.map { copy($0.name, hash: "o") }
        XCTAssertEqual(DaemonPlan.changes(daemon(), nodes: nodes, pods: old, labels: ["h"], now: now).delete.count, 1)
        let wide = daemon(extra: ["updateStrategy": ["rollingUpdate": ["maxUnavailable": "67%"]]])
        XCTAssertEqual(DaemonPlan.changes(wide, nodes: nodes, pods: old, labels: ["h"], now: now).delete.count, 3)
        let underWay = [copy("a", ready: false), copy("b", hash: "o"), copy("c", hash: "o")]
        XCTAssertTrue(
            DaemonPlan.changes(daemon(), nodes: nodes, pods: underWay, labels: ["h"], now: now).delete.isEmpty)
    }

    func testDaemonsStayOnNodesThatTakeNoMore() {
        let taint: JSON = [["key": "k", "effect": "NoSchedule"]]
        let nodes = [node("a", taints: taint), node("b", taints: taint), node("c")]
        let pods = [copy("a"), copy("c", hash: "o")]
        let changes = DaemonPlan.changes(daemon(), nodes: nodes, pods: pods, labels: ["h"], now: now)
        XCTAssertEqual(changes.delete.map(\.name), ["on-c"], "of an old template")
        XCTAssertTrue(changes.create.isEmpty, "neither where one is going nor where none may come")
        let status = DaemonPlan.status(daemon(), nodes: nodes, pods: pods, labels: ["h"], now: now)
        XCTAssertEqual([status["desiredNumberScheduled"], status["numberMisscheduled"]], [1, 1])
        let failed = pod("f", phase: "Failed", labels: .object([ControllerHistory.podLabel: "h"]), node: "a")
        let cleaned = DaemonPlan.changes(daemon(), nodes: nodes, pods: [failed, copy("c")], labels: ["h"], now: now)
        XCTAssertEqual(cleaned.failed.map(\.name), ["f"])
        XCTAssertTrue(cleaned.create.isEmpty)
    }

    func testDaemonPodIsForItsNode() {
        let pod = DaemonPlan.pod(daemon(), node: "b", label: "h")
        XCTAssertEqual(DaemonPlan.node(of: pod), "b")
        XCTAssertEqual(pod["spec"]["tolerations"].arrayValue.count, DaemonPlan.tolerations.count)
    }

    // MARK: CronJob

    private func cron(_ extra: [String: JSON] = [:], last: Int64? = nil) -> JSON {
        var spec: JSON = ["schedule": "* * * * *"]
        for (key, value) in extra { spec[key] = value }
        var status: JSON = [:]
        if let last { status["lastScheduleTime"] = text(last) }
        return [
            "metadata": ["name": "c", "namespace": "default", "uid": "c", "creationTimestamp": text(99_900)],
            "spec": spec,
            "status": status,
        ]
    }
    private func run(_ name: String, ended: String? = nil) -> JSON {
        var status: JSON = [:]
        if let ended {
            status["conditions"] = [["type": .string(ended), "status": "True", "lastTransitionTime": text(99_950)]]
            status["completionTime"] = text(99_950)
        }
        return ["metadata": ["name": .string(name), "uid": .string(name)], "status": status]
    }

    func testCronJob() throws {
        let schedule = try CronSchedule(parsing: "* * * * *")
        func plan(_ cron: JSON, _ jobs: [JSON] = []) -> CronJobPlan {
            CronJobPlan(cron, schedule: schedule, jobs: jobs, now: now)
        }
        XCTAssertEqual(plan(cron()).run, Timestamp(seconds: 99_960))
        XCTAssertEqual(plan(cron()).recheckAfter, 20)
        XCTAssertNil(plan(cron(last: 99_960)).run)
        XCTAssertNil(plan(cron(["suspend": true])).run)
        XCTAssertNil(plan(cron(["concurrencyPolicy": "Forbid"]), [run("a")]).run)
        let replaced = plan(cron(["concurrencyPolicy": "Replace"]), [run("a")])
        XCTAssertEqual(replaced.delete.map(\.name), ["a"])
        XCTAssertNotNil(replaced.run)
        XCTAssertEqual(plan(cron(), [run("a")]).status["active"].arrayValue.count, 1)
        let ended = (1...5).map { run("s\($0)", ended: "Complete") } + (1...3).map { run("f\($0)", ended: "Failed") }
        XCTAssertEqual(plan(cron(last: 99_960), ended).delete.count, 4)
        XCTAssertNil(plan(cron(["startingDeadlineSeconds": 10])).run, "the last time is too long ago")
        let missed = plan(cron(last: 1))
        XCTAssertEqual(missed.run, Timestamp(seconds: 99_960))
        XCTAssertEqual(missed.warning?.reason, "TooManyMissedTimes")
        XCTAssertEqual(
            missed.warning?.message,
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew")
        let never = CronJobPlan(cron(), schedule: try CronSchedule(parsing: "0 0 31 2 *"), jobs: [], now: now)
        XCTAssertNil(never.run)
        XCTAssertNil(never.recheckAfter, "nothing to wait for")
        XCTAssertEqual(never.warning?.reason, "InvalidSchedule")
        XCTAssertEqual(
            never.warning?.message.hasSuffix(" : time difference between two schedules is less than 1 second"), true)
        XCTAssertNil(
            CronJobPlan(cron(["suspend": true]), schedule: try CronSchedule(parsing: "0 0 31 2 *"), jobs: [], now: now)
                .warning, "nobody asks for it")
    }

    func testCronJobInAZone() throws {
        let zone = try TimeZoneDatabase.rules(of: "America/New_York")
        let time = try Timestamp(parsing: "2026-07-01T13:00:00Z")
        let job = CronJobPlan.job(cron(["jobTemplate": ["spec": ["parallelism": 1]]]), time: time, zone: zone)
        XCTAssertEqual(
            job.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"], "2026-07-01T09:00:00-04:00")
        XCTAssertEqual(job.name, "c-\(time.seconds / 60)")
        let morning = try CronSchedule(parsing: "0 9 * * *")
        let object = cron(last: time.seconds - 86_400)
        let due = CronJobPlan(object, schedule: morning, zone: zone, jobs: [], now: time)
        XCTAssertEqual(due.run, time)
        XCTAssertNil(CronJobPlan(object, schedule: morning, jobs: [], now: time).run.flatMap { $0 == time ? $0 : nil })
    }

    func testCronJobTellsWhatHasEnded() throws {
        var object = cron(last: 99_960)
        let runs = [run("a", ended: "Complete"), run("b", ended: "Failed"), run("c")]
        object["status"]["active"] = .array(["a", "b", "c"].map { ["uid": .string($0), "name": .string($0)] })
        var plan = CronJobPlan(object, schedule: try CronSchedule(parsing: "* * * * *"), jobs: runs, now: now)
        XCTAssertEqual(plan.completed.map { "\($0.name) \($0.condition)" }, ["a Complete", "b Failed"])
        XCTAssertEqual(plan.status["active"].arrayValue.map { $0["name"] }, ["c"])
        XCTAssertTrue(plan.notices.isEmpty && plan.unexpected.isEmpty)
        plan.started(run("another"))
        XCTAssertEqual(plan.status["active"].arrayValue.map { $0["name"] }, ["another", "c"])
    }

    func testCronJobTellsWhatItDidNotExpect() throws {
        let schedule = try CronSchedule(parsing: "* * * * *")
        var object = cron(["concurrencyPolicy": "Forbid"], last: 99_960)
        object["status"]["active"] = [["uid": "gone", "name": "gone"], ["uid": "going", "name": "going"]]
        var (going, own, strange) = (run("going"), run("own"), run("strange"))
        going["metadata"]["deletionTimestamp"] = text(99_990)
        own["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] = "2026-01-01T00:00:00Z"
        strange["metadata"]["annotations"] = [:]
        let plan = CronJobPlan(object, schedule: schedule, jobs: [going, own, strange], now: now)
        XCTAssertEqual(plan.notices.map(\.reason), ["MissingJob"])
        XCTAssertEqual(plan.notices.first?.message, "Active job went missing: gone")
        XCTAssertEqual(plan.unexpected, ["strange"], "its own may not be in the status yet")
        XCTAssertEqual(
            plan.status["active"].arrayValue.map { $0["name"] }, ["going", "own", "strange"],
            "one that is being deleted runs until it is gone")
        object["status"]["lastScheduleTime"] = text(99_900)
        let held = CronJobPlan(object, schedule: schedule, jobs: [going], now: now)
        XCTAssertNil(held.run)
        XCTAssertEqual(held.notices.map(\.reason), ["MissingJob", "JobAlreadyActive"])
    }
}
