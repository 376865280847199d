import Objects
import PluginKit
import XCTest

@testable import Controllers

final class DisruptionPlanTests: XCTestCase {
    private let now = Timestamp(seconds: 1_790_000_000)

    private func time(_ secondsAgo: Int64) -> JSON { .string(now.adding(seconds: -secondsAgo).formatted()) }

    private func pod(
        _ name: String, ready: Bool = true, deleted: Bool = false, owner: JSON = ["ReplicaSet", "web"]
    ) -> JSON {
        var pod: JSON = [
            "metadata": ["name": .string(name), "namespace": "n", "labels": ["app": "web"]],
            "status": ["phase": "Running", "conditions": [["type": "Ready", "status": ready ? "True" : "False"]]],
        ]
        if deleted { pod["metadata"]["deletionTimestamp"] = time(1) }
        if owner.exists {
            pod["metadata"]["ownerReferences"] = [
                [
                    "apiVersion": "apps/v1", "kind": owner[0], "name": owner[1], "controller": true,
                    "uid": .string("uid-" + (owner[1].stringValue ?? "")),
                ]
            ]
        }
        return pod
    }

    private func budget(_ spec: JSON, status: JSON = .null) -> JSON {
        var budget: JSON = ["metadata": ["name": "b", "namespace": "n", "generation": 3], "spec": spec]
        if status.exists { budget["status"] = status }
        return budget
    }

    func testExpectations() throws {
        let table: [(JSON, Int, Int64, Int64, Int64, String)] = [
            (["minAvailable": 2], 3, 9, 3, 2, "a number counts the pods that there are"),
            (["minAvailable": "50%"], 3, 5, 5, 3, "a percentage counts those that should be, and is rounded up"),
            (["minAvailable": "100%"], 3, 5, 5, 5, "all"),
            (["maxUnavailable": 1], 3, 5, 5, 4, "all but one of those that should be"),
            (["maxUnavailable": "30%"], 3, 5, 5, 3, "1.5 may be missing: 2"),
            (["maxUnavailable": 9], 3, 5, 5, 0, "more may be missing than there are"),
            (["maxUnavailable": 0], 3, 5, 5, 5, "none"),
            ([:], 3, 5, 0, 0, "says nothing"),
        ]
        for (spec, count, scale, pods, healthy, reason) in table {
            let list = (0..<count).map { pod("p\($0)") }
            XCTAssertEqual(
                try DisruptionPlan.expectation(of: budget(spec), pods: list) { scale },
                DisruptionPlan.Expectation(pods: pods, healthy: healthy), reason)
        }
        XCTAssertNoThrow(
            try DisruptionPlan.expectation(of: budget(["minAvailable": 1]), pods: []) {
                throw ScaleError.noController(pod: "p")
            }, "a number needs no controller")
        XCTAssertThrowsError(try DisruptionPlan.expectation(of: budget(["maxUnavailable": "x"]), pods: []) { 1 })
    }

    func testCounts() {
        let table: [([JSON], Int64, Int64, Int64, Int64, String)] = [
            ([pod("a"), pod("b"), pod("c")], 3, 2, 3, 1, "one more than needed"),
            ([pod("a"), pod("b")], 2, 2, 2, 0, "none to spare"),
            ([pod("a"), pod("b", ready: false), pod("c")], 3, 2, 2, 0, "an unready pod does not count"),
            ([pod("a"), pod("b", deleted: true), pod("c")], 3, 2, 2, 0, "nor one that goes"),
            ([pod("a")], 0, 0, 1, 0, "nothing is expected, nothing may go"),
            ([pod("a"), pod("b")], 2, 5, 2, 0, "fewer than needed is not less than none"),
        ]
        for (pods, expected, desired, healthy, allowed, reason) in table {
            let expectation = DisruptionPlan.Expectation(pods: expected, healthy: desired)
            let plan = DisruptionPlan(budget([:]), pods: pods, expectation: expectation, now: now)
            XCTAssertEqual(plan.status["currentHealthy"].integerValue, healthy, reason)
            XCTAssertEqual(plan.status["disruptionsAllowed"].integerValue, allowed, reason)
            XCTAssertEqual(plan.status["desiredHealthy"].integerValue, desired, reason)
            XCTAssertEqual(plan.status["expectedPods"].integerValue, expected, reason)
            XCTAssertEqual(plan.status["observedGeneration"], 3, reason)
            let condition = plan.status["conditions"].condition("DisruptionAllowed")
            XCTAssertEqual(condition["status"].stringValue, allowed > 0 ? "True" : "False", reason)
            XCTAssertEqual(
                condition["reason"].stringValue, allowed > 0 ? "SufficientPods" : "InsufficientPods", reason)
            XCTAssertEqual(condition["observedGeneration"], 3, reason)
            XCTAssertNil(plan.recheckAfter, reason)
        }
    }

    func testGrantedEvictions() {
        let granted: JSON = ["a": time(30), "b": time(130), "c": time(10), "gone": time(5), "odd": "soon"]
        let pods = [pod("a"), pod("b"), pod("c", deleted: true), pod("d"), pod("odd")]
        let present = budget([:], status: ["disruptedPods": granted])
        let plan = DisruptionPlan(present, pods: pods, expectation: .init(pods: 5, healthy: 1), now: now)
        XCTAssertEqual(plan.status["disruptedPods"], ["a": time(30)], "only what is still to come is kept")
        XCTAssertEqual(plan.status["currentHealthy"], 3, "b counts again, a and c do not")
        XCTAssertEqual(plan.recheckAfter, 90, "when a counts again")
        XCTAssertEqual(plan.overdue.map(\.name), ["b"])
    }

    func testAStatusThatIsTrueDoesNotChange() {
        let pods = [pod("a"), pod("b")]
        let first = DisruptionPlan(budget([:]), pods: pods, expectation: .init(pods: 2, healthy: 1), now: now)
        let later = now.adding(seconds: 60)
        let again = DisruptionPlan(
            budget([:], status: first.status), pods: pods, expectation: .init(pods: 2, healthy: 1), now: later)
        XCTAssertEqual(again.status, first.status)
    }

    func testAFailureAllowsNothing() {
        let sound = DisruptionPlan(
            budget([:]), pods: [pod("a"), pod("b")], expectation: .init(pods: 2, healthy: 1), now: now)
        let status = DisruptionPlan.failed(budget([:], status: sound.status), "because", now: now)
        XCTAssertEqual(status["disruptionsAllowed"], 0)
        XCTAssertEqual(status["currentHealthy"], 2, "what was counted stays")
        let condition = status["conditions"].condition("DisruptionAllowed")
        XCTAssertEqual(condition["reason"], "SyncFailed")
        XCTAssertEqual(condition["message"], "because")
        XCTAssertEqual(condition["status"], "False")
        XCTAssertEqual(DisruptionPlan.failed(budget([:]), "because", now: now)["expectedPods"], 0)
    }

    func testScalesOfOwners() throws {
        let pods = [
            pod("a"), pod("b"), pod("c", owner: ["ReplicaSet", "old"]), pod("d", owner: .null),
            pod("e", owner: ["StatefulSet", "db"]),
        ]
        let total = try OwnerScales.total(of: pods) { _, owner in
            owner.kind == "ReplicaSet"
                ? .init(uid: "deployment", replicas: 4) : .init(uid: owner.uid, replicas: 3)
        }
        XCTAssertEqual(total, .init(replicas: 7, unmanaged: ["d"]), "two ReplicaSets of one Deployment count once")
        XCTAssertThrowsError(try OwnerScales.total(of: pods) { _, _ in nil }) {
            XCTAssertEqual("\($0)", "found no controller for pod \"a\"")
        }
    }

    func testWhereScalesAreFound() throws {
        let controlled: JSON = [
            ["apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-dep", "controller": true]
        ]
        let sets: [String: JSON] = [
            "web": ["metadata": ["name": "web", "uid": "uid-web", "ownerReferences": controlled]],
            "bare": ["metadata": ["name": "bare", "uid": "uid-bare"], "spec": ["replicas": 2]],
        ]
        let scales = OwnerScales(
            replicaSets: { sets[$1] },
            deployments: { ["metadata": ["name": .string($1), "uid": "uid-dep"], "spec": ["replicas": 5]] },
            statefulSets: { _, _ in nil },
            get: { path in
                switch path {
                case "/apis/apps/v1": return ["resources": [["name": "daemonsets", "kind": "DaemonSet"]]]
                case "/apis/x.io/v1":
                    return ["resources": [["name": "sets", "kind": "Set"], ["name": "sets/scale", "kind": "Scale"]]]
                case "/apis/x.io/v1/namespaces/n/sets/s/scale":
                    return ["metadata": ["uid": "uid-s"], "spec": ["replicas": 8]]
                default: throw APIError(code: 404, status: ["reason": "NotFound"])
                }
            })
        func reference(_ apiVersion: String, _ kind: String, _ name: String, _ uid: String) -> ControllerReference {
            ControllerReference(apiVersion: apiVersion, kind: kind, name: name, uid: uid)
        }
        let found: [(ControllerReference, OwnerScales.Scale?, String)] = [
            (
                reference("apps/v1", "ReplicaSet", "web", "uid-web"), .init(uid: "uid-dep", replicas: 5),
                "its Deployment's"
            ),
            (reference("apps/v1", "ReplicaSet", "bare", "uid-bare"), .init(uid: "uid-bare", replicas: 2), "its own"),
            (reference("apps/v1", "ReplicaSet", "bare", "uid-old"), nil, "another one of that name"),
            (reference("apps/v1", "StatefulSet", "db", "uid-db"), nil, "gone"),
            (reference("x.io/v1", "Set", "s", "uid-s"), .init(uid: "uid-s", replicas: 8), "the scale subresource"),
            (reference("x.io/v1", "Set", "s", "uid-old"), nil, "another custom object of that name"),
            (reference("x.io/v1", "Set", "none", "uid-s"), nil, "no such custom object"),
        ]
        for (owner, scale, reason) in found { XCTAssertEqual(try scales.scale(in: "n", of: owner), scale, reason) }
        let refused: [(ControllerReference, String)] = [
            (
                reference("apps/v1", "DaemonSet", "d", "uid-d"),
                "daemonsets.apps does not implement the scale subresource"
            ),
            (reference("x.io/v1", "Odd", "o", "uid-o"), "no resource of kind Odd is served in x.io/v1"),
            (reference("y.io/v1", "Odd", "o", "uid-o"), "no resource of kind Odd is served in y.io/v1"),
        ]
        for (owner, words) in refused {
            XCTAssertThrowsError(try scales.scale(in: "n", of: owner)) { XCTAssertEqual("\($0)", words) }
        }
    }

    func testStaleTargets() {
        func target(_ status: JSON, _ since: JSON, deleted: Bool = false, phase: JSON = "Running") -> JSON {
            var pod = pod("a", deleted: deleted)
            pod["status"]["phase"] = phase
            pod["status"]["conditions"].setCondition([
                "type": "DisruptionTarget", "status": status, "reason": "EvictionByEvictionAPI",
                "lastTransitionTime": since,
            ])
            return pod
        }
        let table: [(JSON, StaleDisruption.Verdict, String)] = [
            (pod("a"), .none, "is no target"), (target("True", time(20)), .pending(secondsLeft: 100), "may still go"),
            (target("True", time(120)), .stale, "did not go"), (target("False", time(500)), .none, "taken back"),
            (target("True", time(500), deleted: true), .none, "goes"),
            (target("True", time(500), phase: "Failed"), .none, "has ended"),
            (target("True", "soon"), .stale, "says nothing of when"),
        ]
        for (pod, verdict, reason) in table { XCTAssertEqual(StaleDisruption.judge(pod, now: now), verdict, reason) }
        let cleared = StaleDisruption.cleared(target("True", time(500)), now: now)["conditions"]
        XCTAssertEqual(cleared.condition("DisruptionTarget")["status"], "False")
        XCTAssertTrue(cleared.condition("DisruptionTarget")["reason"].isNull)
        XCTAssertEqual(cleared.condition("Ready")["status"], "True", "others stay")
    }
}
