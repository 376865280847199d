import Objects
import XCTest

@testable import API

final class EvictionTests: XCTestCase {
    private func pod(_ phase: String = "Running", ready: Bool = true, deleting: Bool = false) -> JSON {
        var pod: JSON = [
            "metadata": ["name": "a", "namespace": "n", "labels": ["app": "web"]],
            "status": [
                "phase": .string(phase), "conditions": [["type": "Ready", "status": ready ? "True" : "False"]],
            ],
        ]
        if deleting { pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z" }
        return pod
    }

    private func budget(
        _ name: String = "b", selector: JSON = ["matchLabels": ["app": "web"]], policy: String = "",
        status: JSON = ["observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1]
    ) -> JSON {
        var budget: JSON = [
            "metadata": ["name": .string(name), "generation": 1], "spec": ["selector": selector], "status": status,
        ]
        if selector.isNull { budget["spec"] = [:] }
        if !policy.isEmpty { budget["spec"]["unhealthyPodEvictionPolicy"] = .string(policy) }
        return budget
    }

    func testDecisions() throws {
        let weak: JSON = ["observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 1]
        let table: [(JSON, [JSON], Eviction.Decision, String)] = [
            (pod(), [], .delete(isPinned: false), "no budget"),
            (pod(), [budget()], .take(budget: "b"), "a budget covers it"),
            (pod(), [budget(selector: ["matchLabels": ["app": "db"]])], .delete(isPinned: false), "of other pods"),
            (pod(), [budget(selector: [:])], .take(budget: "b"), "an empty selector covers every pod"),
            (pod(), [budget(selector: .null)], .delete(isPinned: false), "none covers no pod"),
            (
                pod(), [budget(selector: ["matchExpressions": [["key": "app", "operator": "Like"]]])],
                .delete(isPinned: false), "one that says nothing valid covers no pod"
            ),
            (pod("Pending"), [budget(status: weak)], .delete(isPinned: true), "does not run yet"),
            (pod("Succeeded"), [budget(status: weak)], .delete(isPinned: false), "has ended"),
            (pod("Failed"), [budget(status: weak)], .delete(isPinned: false), "has failed"),
            (pod(deleting: true), [budget(status: weak)], .delete(isPinned: false), "goes already"),
            (pod(ready: false), [budget()], .deleteUnready(budget: "b"), "unready, and enough others are healthy"),
            (pod(ready: false), [budget(status: weak)], .take(budget: "b"), "unready, and others are missing too"),
            (
                pod(ready: false), [budget(policy: "IfHealthyBudget", status: weak)], .take(budget: "b"),
                "the same by name"
            ),
            (
                pod(ready: false), [budget(policy: "AlwaysAllow", status: weak)], .deleteUnready(budget: "b"),
                "unready pods may always go"
            ),
            (pod(), [budget(policy: "AlwaysAllow", status: weak)], .take(budget: "b"), "ready ones not"),
        ]
        for (pod, budgets, decision, reason) in table {
            XCTAssertEqual(try Eviction.decide(pod, budgets: budgets), decision, reason)
        }
        XCTAssertThrowsError(try Eviction.decide(pod(), budgets: [budget("a"), budget("b")])) {
            XCTAssertEqual(($0 as? APIStatus)?.code, 500, "two budgets cover it")
        }
    }

    func testWhatIsTaken() throws {
        let now = Timestamp(seconds: 1_790_000_000)
        let one = try Eviction.take(from: budget(), for: "a", now: now)
        XCTAssertEqual(one["status"]["disruptionsAllowed"], 0)
        XCTAssertEqual(one["status"]["disruptedPods"]["a"].stringValue, now.formatted())
        XCTAssertEqual(one["status"]["conditions"][0]["reason"].stringValue, "InsufficientPods", "it was the last")
        var several = budget()
        several["status"]["disruptionsAllowed"] = 3
        let two = try Eviction.take(from: several, for: "a", now: now)
        XCTAssertEqual(two["status"]["disruptionsAllowed"], 2)
        XCTAssertTrue(two["status"]["conditions"].isNull, "others are left")
    }

    func testThePodSaysThatItIsEvicted() throws {
        let now = Timestamp(seconds: 1_790_000_000)
        let resource = try XCTUnwrap(ResourceTable.ofSchema().stored("pods"))
        var present = pod()
        present.uid = "u"
        present.resourceVersion = "7"
        let marked = try Eviction.mark(present, DeleteOptions(), resource, now: now)
        XCTAssertEqual(marked["status"]["conditions"][0], present["status"]["conditions"][0], "others stay")
        let condition = marked["status"]["conditions"][1]
        XCTAssertEqual(condition["type"], "DisruptionTarget")
        XCTAssertEqual(condition["status"], "True")
        XCTAssertEqual(condition["reason"], "EvictionByEvictionAPI")
        let again = try Eviction.mark(marked, DeleteOptions(), resource, now: now.adding(seconds: 9))
        XCTAssertEqual(again, marked, "twice is once")
        for (uid, version, isMeant) in [("u", "7", true), ("other", "7", false), ("u", "8", false)] {
            var options = DeleteOptions()
            options.uid = uid
            options.resourceVersion = version
            let outcome = Result { () throws in try Eviction.mark(present, options, resource, now: now) }
            switch outcome {
            case .success: XCTAssertTrue(isMeant, "\(uid) \(version)")
            case .failure(let error): XCTAssertEqual((error as? APIStatus)?.code, isMeant ? 0 : 409)
            }
        }
    }

    func testWhatIsRefused() {
        var many = budget()
        for number in 0...Eviction.disruptedPodLimit { many["status"]["disruptedPods"]["p\(number)"] = "now" }
        let table: [(JSON, Int, String, String)] = [
            (
                budget(status: ["observedGeneration": 1, "currentHealthy": 2, "desiredHealthy": 2]), 429,
                "The disruption budget b needs 2 healthy pods and has 2 currently", "none is allowed"
            ),
            (
                budget(status: ["disruptionsAllowed": 5]), 429,
                "The disruption budget b is still being processed by the server.", "its controller has not seen it"
            ),
            (
                budget(status: ["observedGeneration": 1, "disruptionsAllowed": -1]), 403,
                #"poddisruptionbudget.policy "b" is forbidden: pdb disruptions allowed is negative"#, "cannot be"
            ),
            (
                many, 403,
                #"poddisruptionbudget.policy "b" is forbidden: DisruptedPods map too big - too many evictions not confirmed by PDB controller"#,
                "nobody confirms evictions"
            ),
        ]
        for (budget, code, words, reason) in table {
            XCTAssertThrowsError(try Eviction.take(from: budget, for: "a", now: .now()), reason) {
                let status = $0 as? APIStatus
                XCTAssertEqual(status?.code, code, reason)
                XCTAssertEqual(status?.causes.first?.message ?? status?.message, words, reason)
            }
        }
    }
}
