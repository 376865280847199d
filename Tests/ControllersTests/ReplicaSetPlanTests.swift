import Objects
import XCTest

@testable import Controllers

final class ReplicaSetPlanTests: XCTestCase {
    private func pod(
        _ name: String, phase: String = "Running", ready: Bool = true, node: String = "a", readySince: Int64 = 100,
        created: Int64 = 0, cost: String? = nil, restarts: Int64 = 0, deleted: Bool = false
    ) -> JSON {
        var metadata: JSON = [
            "name": .string(name), "uid": .string(name), "namespace": "default", "labels": ["app": "web"],
            "creationTimestamp": .string(Timestamp(seconds: created).formatted(fraction: .none)),
        ]
        if let cost { metadata["annotations"]["controller.kubernetes.io/pod-deletion-cost"] = .string(cost) }
        if deleted { metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z" }
        return [
            "metadata": metadata, "spec": ["nodeName": .string(node)],
            "status": [
                "phase": .string(phase),
                "conditions": [
                    [
                        "type": "Ready", "status": ready ? "True" : "False",
                        "lastTransitionTime": .string(Timestamp(seconds: readySince).formatted(fraction: .none)),
                    ]
                ], "containerStatuses": [["restartCount": .integer(restarts)]],
            ],
        ]
    }
    private func set(_ replicas: Int64, minReady: Int64 = 0) -> JSON {
        [
            "metadata": ["name": "web", "namespace": "default", "uid": "s", "generation": 2],
            "spec": [
                "replicas": .integer(replicas), "minReadySeconds": .integer(minReady),
                "template": ["metadata": ["labels": ["app": "web"]]],
            ],
        ]
    }
    private let now = Timestamp(seconds: 1000)

    func testCountsOnlyActivePods() {
        let pods = [
            pod("a"), pod("b", deleted: true), pod("c", phase: "Failed"), pod("d", phase: "Pending", ready: false),
        ]
        let plan = ReplicaSetPlan(set(3), pods: pods, related: pods, now: now)
        XCTAssertEqual(plan.create, 1)
        XCTAssertTrue(plan.delete.isEmpty)
    }

    func testDeletionOrder() {
        let cases: [(String, JSON, JSON)] = [
            ("unassigned first", pod("go", node: ""), pod("stay")),
            ("pending first", pod("go", phase: "Pending"), pod("stay")),
            ("unready first", pod("go", ready: false), pod("stay")),
            ("cheap first", pod("go", cost: "-5"), pod("stay")),
            ("wrong cost counts as zero", pod("go", cost: "-1"), pod("stay", cost: "many")),
            ("newly ready first", pod("go", readySince: 990), pod("stay", readySince: 100)),
            ("restarted first", pod("go", restarts: 3), pod("stay")),
            ("newer first", pod("go", created: 995), pod("stay", created: 1)),
        ]
        for (reason, go, stay) in cases {
            let chosen = PodDeletionOrder.choose(1, of: [stay, go], related: [stay, go], now: now)
            XCTAssertEqual(chosen.map(\.name), ["go"], reason)
        }
        let crowded = [pod("1", node: "a"), pod("2", node: "b"), pod("3", node: "b")]
        XCTAssertNotEqual(PodDeletionOrder.choose(1, of: crowded, related: crowded, now: now)[0].name, "1")
    }

    func testStatus() {
        let pods = [pod("a", readySince: 995), pod("b", readySince: 100), pod("c", ready: false)]
        let status = ReplicaSetPlan.status(set(3, minReady: 60), pods: pods, failure: nil, now: now)
        XCTAssertEqual(status["replicas"], 3)
        XCTAssertEqual(status["readyReplicas"], 2)
        XCTAssertEqual(status["availableReplicas"], 1)
        XCTAssertEqual(status["fullyLabeledReplicas"], 3)
        XCTAssertEqual(status["observedGeneration"], 2)
        XCTAssertEqual(status["terminatingReplicas"], 0)
        var leaving = pods
        leaving[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        let less = ReplicaSetPlan.status(set(3), pods: leaving, failure: nil, now: now)
        XCTAssertEqual(less["replicas"], 2)
        XCTAssertEqual(less["terminatingReplicas"], 1)
        XCTAssertFalse(
            ReplicaSetPlan.status(set(3), pods: leaving, failure: nil, countsTerminating: false, now: now)[
                "terminatingReplicas"
            ].exists)
        XCTAssertEqual(ReplicaSetPlan(set(3, minReady: 60), pods: pods, related: pods, now: now).recheckAfter, 55)
        let failing = ReplicaSetPlan.status(set(3), pods: [], failure: ("FailedCreate", "no"), now: now)
        XCTAssertEqual(failing["conditions"].condition("ReplicaFailure")["status"], "True")
    }

    func testBatchesGrow() {
        XCTAssertEqual(ReplicaSetPlan.batches(of: 0), [])
        XCTAssertEqual(ReplicaSetPlan.batches(of: 1), [1])
        XCTAssertEqual(ReplicaSetPlan.batches(of: 10), [1, 2, 4, 3])
    }

    func testADeletedSetDoesNothing() {
        var set = set(3)
        set["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        let plan = ReplicaSetPlan(set, pods: [], related: [], now: now)
        XCTAssertEqual(plan.create, 0)
    }

    func testClaimAdoptsAndReleases() throws {
        func candidate(_ name: String, _ app: String, owner: String?) -> JSON {
            var object: JSON = [
                "metadata": ["name": .string(name), "uid": .string(name), "labels": ["app": .string(app)]]
            ]
            if let owner { object["metadata"]["ownerReferences"] = [["uid": .string(owner), "controller": true]] }
            return object
        }
        let candidates = [
            candidate("mine", "web", owner: "s"), candidate("other", "web", owner: "x"),
            candidate("orphan", "web", owner: nil),
            candidate("stray", "db", owner: "s"), candidate("alien", "db", owner: nil),
        ]
        let claim = Claim(candidates, owner: set(1), selector: try LabelSelector(parsing: "app=web"))
        XCTAssertEqual(claim.owned.map(\.name), ["mine"])
        XCTAssertEqual(claim.adopt.map(\.name), ["orphan"])
        XCTAssertEqual(claim.release.map(\.name), ["stray"])
        let release = Claim.releasing(candidates[3], from: "s")
        XCTAssertEqual(release["metadata"]["ownerReferences"].arrayValue.count, 0)
    }

    func testBarrierHoldsUntilTheCacheShowsTheWrites() {
        let barrier = WriteBarrier()
        let created: JSON = ["metadata": ["name": "p", "namespace": "n", "uid": "1", "resourceVersion": "10"]]
        barrier.wrote(created, for: "k")
        XCTAssertFalse(barrier.isSatisfied("k", revision: 9) { _ in nil })
        XCTAssertTrue(barrier.isSatisfied("other", revision: 0) { _ in nil })
        XCTAssertTrue(barrier.isSatisfied("k", revision: 10) { _ in nil })
        barrier.deleted(created, for: "k")
        XCTAssertFalse(barrier.isSatisfied("k", revision: 10) { _ in created })
        var going = created
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        XCTAssertTrue(barrier.isSatisfied("k", revision: 10) { _ in going })
        barrier.deleted(created, for: "k")
        XCTAssertTrue(barrier.isSatisfied("k", revision: 10) { _ in nil })
    }
}
