import Objects
import XCTest

@testable import Controllers

/// Rules of Jobs about failures, indexes and success.
final class JobPolicyTests: XCTestCase {
    private let now = Timestamp(seconds: 100_000)
    private func text(_ seconds: Int64) -> JSON { .string(Timestamp(seconds: seconds).formatted(fraction: .none)) }

    private func pod(
        _ name: String, _ phase: String, index: Int? = nil, exitCode: Int64? = nil, condition: String? = nil,
        deleted: Bool = false
    ) -> JSON {
        var metadata: JSON = ["name": .string(name), "uid": .string(name), "namespace": "default"]
        metadata["finalizers"] = .array([.string(JobTracking.finalizer)])
        if let index { metadata["annotations"] = .object([JobPlan.indexAnnotation: .string("\(index)")]) }
        if deleted { metadata["deletionTimestamp"] = text(1) }
        var status: JSON = ["phase": .string(phase)]
        if let exitCode {
            let ended: JSON = ["exitCode": .integer(exitCode), "finishedAt": text(1)]
            status["containerStatuses"] = [["name": "main", "state": ["terminated": ended]]]
        }
        if let condition { status["conditions"] = [["type": .string(condition), "status": "True"]] }
        return ["metadata": metadata, "spec": [:], "status": status]
    }

    private func job(_ spec: JSON, status: JSON = [:]) -> JSON {
        var spec = spec
        spec["template"] = ["spec": ["restartPolicy": "Never"]]
        return ["metadata": ["name": "j", "namespace": "default", "uid": "j"], "spec": spec, "status": status]
    }

    func testFailurePolicy() {
        func policy(_ rules: JSON, perIndex: Bool = false) -> PodFailurePolicy {
            PodFailurePolicy(
                job(["podFailurePolicy": ["rules": rules], "backoffLimitPerIndex": perIndex ? 1 : .null]))
        }
        func exits(_ action: JSON, _ operation: JSON, _ values: JSON, container: JSON = .null) -> JSON {
            [
                "action": action,
                "onExitCodes": ["operator": operation, "values": values, "containerName": container],
            ]
        }
        let disruption: JSON = [
            "action": "Ignore", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]],
        ]
        let failed = pod("a", "Failed", exitCode: 42)
        let message = "Container main for pod default/a failed with exit code 42 matching FailJob rule at index 1"
        let cases: [(String, PodFailurePolicy, JSON, PodFailurePolicy.Verdict)] = [
            ("no policy", policy([]), failed, .count),
            ("listed code", policy([exits("Ignore", "In", [42])]), failed, .ignore),
            ("another code", policy([exits("Ignore", "In", [43])]), failed, .count),
            ("code that is not listed", policy([exits("Ignore", "NotIn", [43])]), failed, .ignore),
            ("another container", policy([exits("Ignore", "In", [42], container: "side")]), failed, .count),
            (
                "success is no failure", policy([exits("Ignore", "NotIn", [43])]), pod("a", "Failed", exitCode: 0),
                .count
            ),
            (
                "the first rule that matches", policy([disruption, exits("FailJob", "In", [42])]), failed,
                .failJob(message: message)
            ),
            ("a condition", policy([disruption]), pod("a", "Failed", condition: "DisruptionTarget"), .ignore),
            ("an index", policy([exits("FailIndex", "In", [42])], perIndex: true), failed, .failIndex),
            ("counts when it says so", policy([exits("Count", "In", [42]), disruption]), failed, .count),
        ]
        for (reason, policy, pod, expected) in cases {
            XCTAssertEqual(policy.verdict(on: pod), expected, reason)
        }
    }

    func testFailJobEndsTheJob() {
        let rule: JSON = ["action": "FailJob", "onExitCodes": ["operator": "In", "values": [42]]]
        let plan = JobPlan(
            job(["podFailurePolicy": ["rules": [rule]]]),
            pods: [pod("a", "Failed", exitCode: 42), pod("b", "Running")], now: now)
        XCTAssertEqual(plan.delete.map(\.name), ["b"])
        XCTAssertEqual(plan.status["conditions"].condition("FailureTarget")["reason"], "PodFailurePolicy")
        XCTAssertFalse(plan.status["conditions"].condition("Failed").exists)
    }

    func testIgnoredFailuresDoNotCount() {
        let rule: JSON = ["action": "Ignore", "onExitCodes": ["operator": "In", "values": [42]]]
        let plan = JobPlan(
            job(["backoffLimit": 0, "podFailurePolicy": ["rules": [rule]]]),
            pods: [pod("a", "Failed", exitCode: 42)], now: now)
        XCTAssertEqual(plan.create.count, 1)
        XCTAssertFalse(plan.status["failed"].exists)
    }

    private func indexed(_ extra: [String: JSON]) -> JSON {
        var spec: JSON = ["completions": 4, "parallelism": 4, "completionMode": "Indexed", "backoffLimitPerIndex": 1]
        for (key, value) in extra { spec[key] = value }
        return spec
    }

    func testIndexesFailAlone() {
        let twice = [pod("a", "Failed", index: 0, exitCode: 1), pod("b", "Failed", index: 0, exitCode: 1)]
        let going = JobPlan(job(indexed([:])), pods: twice + [pod("c", "Failed", index: 1, exitCode: 1)], now: now)
        XCTAssertEqual(going.create, [1, 2, 3], "index 1 may be tried once more")
        XCTAssertEqual(going.failureCount(1), 1)
        XCTAssertEqual(going.status["failedIndexes"], "0")
        let others = (1...3).map { (index: Int) -> JSON in pod("s\(index)", "Succeeded", index: index) }
        let ended = settled(job(indexed([:])), twice + others)
        XCTAssertEqual(ended.ended?.reason, "FailedIndexes")
        XCTAssertEqual(ended.status["completedIndexes"], "1-3")
        let most = JobPlan(
            job(indexed(["maxFailedIndexes": 0])), pods: twice + [pod("c", "Running", index: 1)], now: now)
        XCTAssertEqual(most.status["conditions"].condition("FailureTarget")["reason"], "MaxFailedIndexesExceeded")
        XCTAssertEqual(most.delete.map(\.name), ["c"])
        let rule: JSON = ["action": "FailIndex", "onExitCodes": ["operator": "In", "values": [42]]]
        let givenUp = JobPlan(
            job(indexed(["podFailurePolicy": ["rules": [rule]]])), pods: [pod("a", "Failed", index: 2, exitCode: 42)],
            now: now)
        XCTAssertEqual(givenUp.status["failedIndexes"], "2")
        XCTAssertEqual(givenUp.create, [0, 1, 3])
    }

    func testSuccessPolicy() {
        let pods = [pod("a", "Succeeded", index: 0), pod("b", "Succeeded", index: 2), pod("c", "Running", index: 1)]
        let cases: [(String, JSON, Int?)] = [
            ("indexes", ["succeededIndexes": "0,2"], 0), ("not all of them", ["succeededIndexes": "0-1"], nil),
            ("some of them", ["succeededIndexes": "0-1", "succeededCount": 1], 0),
            ("a count", ["succeededCount": 2], 0), ("a higher count", ["succeededCount": 3], nil),
        ]
        for (reason, rule, expected) in cases {
            let spec: JSON = [
                "completions": 4, "parallelism": 4, "completionMode": "Indexed", "successPolicy": ["rules": [rule]],
            ]
            let plan = JobPlan(job(spec), pods: pods, now: now)
            let condition = plan.status["conditions"].condition("SuccessCriteriaMet")
            XCTAssertEqual(condition["message"].stringValue, expected.map { "Matched rules at index \($0)" }, reason)
            XCTAssertEqual(plan.delete.map(\.name), expected == nil ? [] : ["c"], reason)
        }
    }

    func testReplacementWaitsForTheEnd() {
        for (policy, creates, failures) in [("Failed", 0, 0), ("TerminatingOrFailed", 1, 1)] {
            let plan = JobPlan(
                job(["completions": 1, "podReplacementPolicy": .string(policy)]),
                pods: [pod("a", "Running", deleted: true)], now: now)
            XCTAssertEqual(plan.create.count, creates, policy)
            XCTAssertEqual(plan.status["terminating"], 1, policy)
            XCTAssertEqual(plan.status["uncountedTerminatedPods"]["failed"].arrayValue.count, failures, policy)
        }
    }

    /// The plan once the finalizers of all that is counted are gone.
    private func settled(_ job: JSON, _ pods: [JSON]) -> JobPlan {
        let first = JobPlan(job, pods: pods, now: now)
        let released = Set(first.tracking.release.map(\.uid))
        if released.isEmpty { return first }
        var job = job
        job["status"] = first.status
        return settled(job, pods.map { released.contains($0.uid) ? untracked($0) : $0 })
    }

    private func untracked(_ pod: JSON) -> JSON {
        var pod = pod
        pod["metadata"].removeValue(forKey: "finalizers")
        return pod
    }

    // MARK: Tracking

    /// What is deleted behind the Job's back between any two steps counts once.
    func testEachPodCountsOnce() {
        let pods = [pod("a", "Succeeded"), pod("b", "Failed"), pod("c", "Running")]
        let spec: JSON = ["completions": 3, "parallelism": 1]
        let first = JobPlan(job(spec), pods: pods, now: now)
        XCTAssertEqual(
            first.status["uncountedTerminatedPods"], ["succeeded": ["a"], "failed": ["b"]])
        XCTAssertFalse(first.status["succeeded"].exists, "nothing is counted before the finalizer is gone")
        XCTAssertEqual(first.tracking.release.map(\.name), ["a", "b"])
        let rows: [(String, [JSON], JSON, Int64?, Int64?)] = [
            ("the finalizers are still there", pods, ["succeeded": ["a"], "failed": ["b"]], nil, nil),
            ("one is gone", [untracked(pods[0])] + pods[1...], ["failed": ["b"]], 1, nil),
            ("the pods are gone", [pods[2]], [:], 1, 1),
        ]
        for (reason, pods, uncounted, succeeded, failed) in rows {
            let next = JobPlan(job(spec, status: first.status), pods: pods, now: now)
            XCTAssertEqual(next.status["uncountedTerminatedPods"], uncounted, reason)
            XCTAssertEqual(next.status["succeeded"].integerValue, succeeded, reason)
            XCTAssertEqual(next.status["failed"].integerValue, failed, reason)
            let last = settled(job(spec, status: next.status), pods)
            XCTAssertEqual(last.status["succeeded"], 1, reason)
            XCTAssertEqual(last.status["failed"], 1, reason)
            XCTAssertEqual(last.status["uncountedTerminatedPods"], [:], reason)
        }
        let stray = JobPlan(job(spec), pods: pods.map(untracked), now: now)
        XCTAssertEqual(stray.status["uncountedTerminatedPods"], [:], "what was counted before does not count again")
        XCTAssertEqual(stray.untracked.map(\.name), ["c"], "what runs is to be counted when it ends")
    }

    func testWhatIsTakenAwayDoesNotCount() {
        let rows: [(String, JSON, [JSON], [String])] = [
            (
                "fewer at once", ["completions": 3, "parallelism": 1], [pod("a", "Running"), pod("b", "Running")], ["a"]
            ),
            ("suspended", ["suspend": true], [pod("a", "Running")], ["a"]),
            (
                "a second one of an index", ["completions": 2, "parallelism": 2, "completionMode": "Indexed"],
                [pod("a", "Running", index: 0), pod("b", "Running", index: 0)], ["b"]
            ),
        ]
        for (reason, spec, pods, expected) in rows {
            let plan = JobPlan(job(spec), pods: pods, now: now)
            XCTAssertEqual(plan.discarded.map(\.name), expected, reason)
            XCTAssertEqual(plan.delete.map(\.name), expected, reason)
            XCTAssertEqual(plan.status["uncountedTerminatedPods"], [:], reason)
        }
    }

    /// The status lists a bounded number at a time.
    func testTheListIsBounded() {
        let many = (0..<(JobTracking.limit + 10)).map { pod("p\($0)", "Succeeded") }
        let spec: JSON = ["completions": 600, "parallelism": 1]
        let plan = JobPlan(job(spec), pods: many, now: now)
        XCTAssertEqual(plan.tracking.release.count, JobTracking.limit)
        XCTAssertEqual(settled(job(spec), many).status["succeeded"], .integer(Int64(many.count)))
    }

    /// The newest failure of an index stays until the next pod of the index knows of it.
    func testFailuresAreHandedOn() {
        let failed = pod("a", "Failed", index: 0, exitCode: 1)
        let first = JobPlan(job(indexed(["parallelism": 1])), pods: [failed], now: now)
        XCTAssertEqual(first.create, [0])
        XCTAssertEqual(first.failureCount(0), 1)
        XCTAssertTrue(first.tracking.release.isEmpty)
        var next = pod("b", "Running", index: 0)
        next["metadata"]["annotations"][JobPlan.failureCountAnnotation] = "1"
        let second = JobPlan(job(indexed(["parallelism": 1])), pods: [failed, next], now: now)
        XCTAssertEqual(second.tracking.release.map(\.name), ["a"])
        next["status"]["phase"] = "Failed"
        let third = settled(job(indexed(["parallelism": 1]), status: second.status), [next])
        XCTAssertEqual(third.status["failedIndexes"], "0", "the second failure is one too many, the first being gone")
        XCTAssertEqual(third.status["failed"], 2)
    }

    func testEndedJobsLetGoOfTheirPods() {
        let condition: JSON = ["type": "Complete", "status": "True", "lastTransitionTime": text(1)]
        let plan = JobPlan(
            job(["completions": 1], status: ["conditions": [condition]]),
            pods: [pod("a", "Succeeded"), pod("b", "Running")], now: now)
        XCTAssertEqual(plan.tracking.release.map(\.name), ["a", "b"])
        XCTAssertEqual(plan.delete.map(\.name), ["b"])
    }

    func testOthersJobsAreLeftAlone() {
        XCTAssertTrue(JobPlan.isManaged(job([:])))
        XCTAssertTrue(JobPlan.isManaged(job(["managedBy": .string(JobPlan.manager)])))
        XCTAssertFalse(JobPlan.isManaged(job(["managedBy": "example.com/queue"])))
    }

    func testTurns() {
        let suspended = JobPlan(job(["suspend": true]), pods: [pod("a", "Running")], now: now)
        XCTAssertEqual(suspended.turned?.reason, "Suspended")
        let resumed = JobPlan(job([:], status: suspended.status), pods: [], now: now)
        XCTAssertEqual(resumed.turned?.reason, "Resumed")
        XCTAssertEqual(resumed.status["startTime"].timestamp, now)
        XCTAssertEqual(resumed.status["conditions"].condition("Suspended")["status"], "False")
    }

    func testIndexesAreWrittenAsRangesFromThreeOn() {
        let rows: [(Set<Int64>, String)] = [
            ([], ""), ([3], "3"), ([0, 1], "0,1"), ([0, 1, 2], "0-2"), ([0, 2, 3, 5, 6, 7], "0,2,3,5-7"),
        ]
        for (values, text) in rows {
            XCTAssertEqual(CompletionIndexes(values).text, text)
            XCTAssertEqual(CompletionIndexes(parsing: text, below: 8).values, values, "and read again")
        }
    }
}
