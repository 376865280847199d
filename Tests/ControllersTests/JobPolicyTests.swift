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
        let ended = JobPlan(job(indexed([:])), pods: twice + others, now: now)
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
        for (policy, creates) in [("Failed", 0), ("TerminatingOrFailed", 1)] {
            let plan = JobPlan(
                job(["completions": 1, "podReplacementPolicy": .string(policy)]),
                pods: [pod("a", "Running", deleted: true)], now: now)
            XCTAssertEqual(plan.create.count, creates, policy)
            XCTAssertEqual(plan.status["terminating"], 1, policy)
        }
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
}
