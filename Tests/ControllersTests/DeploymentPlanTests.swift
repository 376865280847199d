import Objects
import XCTest

@testable import Controllers

/// Small clusters for plans.
enum Make {
    static func deployment(
        replicas: Int64 = 3, image: String = "v1", strategy: JSON = nil, status: JSON = [:], annotations: JSON = [:],
        extra: [String: JSON] = [:]
    ) -> JSON {
        var spec: JSON = [
            "replicas": .integer(replicas), "selector": ["matchLabels": ["app": "web"]],
            "template": [
                "metadata": ["labels": ["app": "web"]],
                "spec": ["containers": [["name": "web", "image": .string(image)]]],
            ],
        ]
        if strategy.exists { spec["strategy"] = strategy }
        for (key, value) in extra { spec[key] = value }
        return [
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": [
                "name": "web", "namespace": "default", "uid": "d", "generation": 1, "annotations": annotations,
            ],
            "spec": spec, "status": status,
        ]
    }

    static func replicaSet(
        _ name: String, image: String, replicas: Int64, available: Int64? = nil, revision: Int64, desired: Int64? = nil,
        maximum: Int64? = nil, created: String = "2026-01-01T00:00:00Z"
    ) -> JSON {
        var annotations: JSON = [:]
        annotations[DeploymentNames.revision] = .string("\(revision)")
        annotations[DeploymentNames.desiredReplicas] = .string("\(desired ?? 3)")
        annotations[DeploymentNames.maximumReplicas] = .string("\(maximum ?? (desired ?? 3) + 1)")
        return [
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": [
                "name": .string(name), "namespace": "default", "uid": .string(name), "annotations": annotations,
                "creationTimestamp": .string(created), "generation": 1,
            ],
            "spec": [
                "replicas": .integer(replicas),
                "template": [
                    "metadata": ["labels": ["app": "web", "pod-template-hash": .string(name)]],
                    "spec": ["containers": [["name": "web", "image": .string(image)]]],
                ],
            ],
            "status": [
                "replicas": .integer(replicas), "readyReplicas": .integer(available ?? replicas),
                "availableReplicas": .integer(available ?? replicas), "observedGeneration": 1,
            ],
        ]
    }

    static let now = Timestamp(seconds: 1_800_000_000)
}

final class DeploymentPlanTests: XCTestCase {
    private func plan(_ deployment: JSON, _ sets: [JSON], oldPods: Bool = false, now: Timestamp = Make.now)
        -> DeploymentPlan
    {
        DeploymentPlan(deployment, replicaSets: sets, oldPodsRemain: oldPods, now: now)
    }
    private func sizes(_ plan: DeploymentPlan) -> [String: Int64] {
        var sizes: [String: Int64] = [:]
        for change in plan.changes where change.scaling != nil { sizes[change.replicaSet.name] = change.replicas }
        return sizes
    }
    private func condition(_ plan: DeploymentPlan, _ type: String) -> [String?] {
        let condition = plan.status["conditions"].condition(type)
        return [condition["status"].stringValue, condition["reason"].stringValue, condition["message"].stringValue]
    }

    func testFirstReplicaSet() throws {
        let plan = plan(Make.deployment(), [])
        let created = try XCTUnwrap(plan.create)
        XCTAssertTrue(created.name.hasPrefix("web-"))
        let hash = String(created.name.dropFirst(4))
        XCTAssertTrue(hash.allSatisfy { "bcdfghjklmnpqrstvwxz2456789".contains($0) }, hash)
        XCTAssertEqual(created["spec"]["selector"]["matchLabels"][PodTemplate.hashLabel].stringValue, hash)
        XCTAssertEqual(created["spec"]["template"]["metadata"]["labels"][PodTemplate.hashLabel].stringValue, hash)
        XCTAssertEqual(created["spec"]["replicas"], 3)
        XCTAssertEqual(created.annotations[DeploymentNames.revision], "1")
        XCTAssertEqual(created.annotations[DeploymentNames.maximumReplicas], "4")
        XCTAssertEqual(plan.revision, "1")
        XCTAssertEqual(condition(plan, "Progressing")[1], "NewReplicaSetCreated")
        XCTAssertEqual(condition(plan, "Available")[1], "MinimumReplicasUnavailable")
    }

    func testHashIgnoresOrderAndNulls() {
        let one: JSON = [
            "metadata": ["labels": ["a": "1", "b": "2"], "creationTimestamp": nil], "spec": ["x": 1, "y": []],
        ]
        let other: JSON = ["spec": ["x": 1], "metadata": ["labels": ["b": "2", "a": "1", "pod-template-hash": "z"]]]
        XCTAssertEqual(PodTemplate.hash(one, collisions: nil), PodTemplate.hash(other, collisions: nil))
        XCTAssertNotEqual(PodTemplate.hash(one, collisions: nil), PodTemplate.hash(one, collisions: 1))
        XCTAssertTrue(PodTemplate.areEqual(one, other))
    }

    func testSurgeAndUnavailableRounding() {
        let cases: [(Int64, JSON, JSON, Int64, Int64)] = [
            (3, nil, nil, 1, 0), (10, "25%", "25%", 3, 2), (4, 0, "25%", 0, 1), (1, 0, 0, 0, 1),
            (5, "100%", "200%", 5, 5),
            (0, nil, nil, 0, 0),
        ]
        for (replicas, surge, unavailable, expectedSurge, expectedUnavailable) in cases {
            let rolling: JSON = ["maxSurge": surge, "maxUnavailable": unavailable]
            let spec = DeploymentSpec(
                Make.deployment(replicas: replicas, strategy: ["type": "RollingUpdate", "rollingUpdate": rolling]))
            XCTAssertEqual(spec.maximumSurge, expectedSurge, "\(replicas) \(surge)")
            XCTAssertEqual(spec.maximumUnavailable, expectedUnavailable, "\(replicas) \(unavailable)")
        }
    }

    /// Plays a rollout step by step, all pods becoming available between steps; sizes must never break the bounds.
    func testWholeRolloutKeepsItsBounds() throws {
        var deployment = Make.deployment(replicas: 10, image: "v2")
        var sets = [Make.replicaSet("old", image: "v1", replicas: 10, revision: 1, desired: 10, maximum: 13)]
        var steps = 0
        while steps < 30 {
            steps += 1
            let plan = plan(deployment, sets)
            deployment["status"] = plan.status
            if plan.create == nil && plan.changes.allSatisfy({ $0.scaling == nil }) { break }
            for change in plan.changes {
                let index = try XCTUnwrap(sets.firstIndex { $0.uid == change.replicaSet.uid })
                if let replicas = change.replicas { sets[index]["spec"]["replicas"] = .integer(replicas) }
                for (key, value) in change.annotations ?? [:] {
                    sets[index]["metadata"]["annotations"][key] = .string(value)
                }
            }
            if var created = plan.create {
                created["metadata"]["uid"] = "new"
                created["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
                sets.append(created)
            }
            let total = sets.reduce(0) { $0 + ReplicaSetState($1).replicas }
            XCTAssertLessThanOrEqual(total, 13)
            let available = sets.reduce(0) { $0 + min(ReplicaSetState($1).available, ReplicaSetState($1).replicas) }
            XCTAssertGreaterThanOrEqual(available, 8)
            for index in sets.indices {
                let replicas = sets[index]["spec"]["replicas"]
                sets[index]["status"] = [
                    "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
                ]
            }
        }
        XCTAssertEqual(sets.map { ReplicaSetState($0).replicas }, [0, 10])
        XCTAssertEqual(deployment["status"]["conditions"].condition("Progressing")["reason"], "NewReplicaSetAvailable")
        XCTAssertLessThan(steps, 12)
    }

    func testUnavailableOldPodsGoFirst() {
        let deployment = Make.deployment(replicas: 3, image: "v3")
        let sets = [
            Make.replicaSet("broken", image: "v2", replicas: 1, available: 0, revision: 2),
            Make.replicaSet("good", image: "v1", replicas: 3, revision: 1),
            Make.replicaSet("new", image: "v3", replicas: 0, revision: 3, created: "2026-01-03T00:00:00Z"),
        ]
        XCTAssertEqual(sizes(plan(deployment, sets)), ["broken": 0])
    }

    func testRollbackTakesTheOldSetBack() throws {
        let deployment = Make.deployment(image: "v1")
        let sets = [
            Make.replicaSet("one", image: "v1", replicas: 0, revision: 1),
            Make.replicaSet("two", image: "v2", replicas: 3, revision: 2),
        ]
        let plan = plan(deployment, sets)
        XCTAssertNil(plan.create)
        let change = try XCTUnwrap(plan.changes.first { $0.replicaSet.name == "one" })
        XCTAssertEqual(change.annotations?[DeploymentNames.revision], "3")
        XCTAssertEqual(change.annotations?[DeploymentNames.revisionHistory], "1")
        XCTAssertEqual(change.replicas, 1)
        XCTAssertEqual(plan.revision, "3")
    }

    func testAnnotationsAreInheritedButNotAll() throws {
        let deployment = Make.deployment(annotations: [
            "kubernetes.io/change-cause": "why", "kubectl.kubernetes.io/last-applied-configuration": "{}",
        ])
        let plan = plan(deployment, [Make.replicaSet("one", image: "v1", replicas: 3, revision: 1)])
        let annotations = try XCTUnwrap(plan.changes.first?.annotations)
        XCTAssertEqual(annotations["kubernetes.io/change-cause"], "why")
        XCTAssertNil(annotations["kubectl.kubernetes.io/last-applied-configuration"])
    }

    func testScalingIsProportional() {
        let sets = [
            Make.replicaSet("old", image: "v1", replicas: 8, revision: 1, desired: 10, maximum: 13),
            Make.replicaSet("new", image: "v2", replicas: 5, available: 2, revision: 2, desired: 10, maximum: 13),
        ]
        let up = sizes(plan(Make.deployment(replicas: 20, image: "v2"), sets))
        XCTAssertEqual(up, ["old": 15, "new": 10], "25 in all, shares kept")
        let down = sizes(plan(Make.deployment(replicas: 5, image: "v2"), sets))
        XCTAssertEqual(down.values.reduce(0, +), 7)
        XCTAssertEqual(sizes(plan(Make.deployment(replicas: 0, image: "v2"), sets)), ["old": 0, "new": 0])
    }

    func testScalingOneSet() {
        let sets = [Make.replicaSet("one", image: "v1", replicas: 3, revision: 1)]
        XCTAssertEqual(sizes(plan(Make.deployment(replicas: 5), sets)), ["one": 5])
        XCTAssertEqual(sizes(plan(Make.deployment(replicas: 1), sets)), ["one": 1])
    }

    func testPauseStopsTheRolloutButNotScaling() {
        let sets = [Make.replicaSet("one", image: "v1", replicas: 3, revision: 1)]
        let paused = plan(Make.deployment(image: "v2", extra: ["paused": true]), sets)
        XCTAssertNil(paused.create)
        XCTAssertEqual(sizes(paused), [:])
        XCTAssertEqual(condition(paused, "Progressing"), ["Unknown", "DeploymentPaused", "Deployment is paused"])
        let scaled = plan(Make.deployment(replicas: 4, image: "v2", extra: ["paused": true]), sets)
        XCTAssertEqual(sizes(scaled), ["one": 4])
        var resumed = Make.deployment(image: "v2", status: paused.status)
        resumed["metadata"]["generation"] = 2
        let plan = plan(resumed, sets)
        XCTAssertNotNil(plan.create)
    }

    func testRecreateWaitsForTheOldPods() {
        let deployment = Make.deployment(image: "v2", strategy: ["type": "Recreate"])
        let full = [Make.replicaSet("one", image: "v1", replicas: 3, revision: 1)]
        let first = plan(deployment, full)
        XCTAssertEqual(sizes(first), ["one": 0])
        XCTAssertNil(first.create)
        let empty = [Make.replicaSet("one", image: "v1", replicas: 0, revision: 1)]
        XCTAssertNil(plan(deployment, empty, oldPods: true).create)
        XCTAssertEqual(plan(deployment, empty).create?["spec"]["replicas"], 3)
    }

    func testHistoryIsCut() {
        var deployment = Make.deployment(image: "v4", extra: ["revisionHistoryLimit": 1])
        deployment["status"] = [
            "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3, "readyReplicas": 3, "observedGeneration": 1,
        ]
        let sets = [
            Make.replicaSet("r3", image: "v3", replicas: 0, revision: 3),
            Make.replicaSet("r1", image: "v1", replicas: 0, revision: 1),
            Make.replicaSet("r2", image: "v2", replicas: 0, revision: 2),
            Make.replicaSet("r4", image: "v4", replicas: 3, revision: 4),
        ]
        XCTAssertEqual(plan(deployment, sets).delete.map(\.name).sorted(), ["r1", "r2"])
    }

    func testProgressDeadline() {
        let sets = [
            Make.replicaSet("one", image: "v1", replicas: 3, revision: 1),
            Make.replicaSet("two", image: "v2", replicas: 1, available: 0, revision: 2),
        ]
        var deployment = Make.deployment(image: "v2", extra: ["progressDeadlineSeconds": 60])
        let first = plan(deployment, sets)
        deployment["status"] = first.status
        XCTAssertEqual(first.recheckAfter, 61)
        let late = plan(deployment, sets, now: Make.now.adding(seconds: 61))
        XCTAssertEqual(
            condition(late, "Progressing"),
            ["False", "ProgressDeadlineExceeded", "ReplicaSet \"two\" has timed out progressing."])
        XCTAssertNil(late.recheckAfter)
    }

    func testCompletionIsSettledAndQuiet() {
        let sets = [Make.replicaSet("one", image: "v1", replicas: 3, revision: 1)]
        var deployment = Make.deployment(annotations: .object([DeploymentNames.revision: "1"]))
        deployment["status"] = plan(deployment, sets).status
        XCTAssertEqual(
            deployment["status"]["conditions"].condition("Progressing")["message"].stringValue,
            "ReplicaSet \"one\" has successfully progressed.")
        let again = plan(deployment, sets, now: Make.now.adding(seconds: 5000))
        XCTAssertEqual(again.status, deployment["status"], "nothing changes, nothing is written")
        XCTAssertTrue(again.changes.isEmpty)
        XCTAssertNil(again.revision)
    }

    /// The condition that an earlier rollout left behind says nothing of the next one, even if the status that its beginning
    /// would have written was lost.
    func testAnEarlierSuccessIsNotThePresentOne() {
        var finished = Make.deployment(extra: ["progressDeadlineSeconds": 60])
        finished["status"] = plan(finished, [Make.replicaSet("one", image: "v1", replicas: 3, revision: 1)]).status
        let old = Make.replicaSet("one", image: "v1", replicas: 3, revision: 1)
        let gone = Make.replicaSet("one", image: "v1", replicas: 0, revision: 1)
        let new = Make.replicaSet("two", image: "v2", replicas: 0, revision: 2)
        let rows: [(strategy: JSON, sets: [JSON], oldPods: Bool, reason: String, about: String)] = [
            (nil, [old, new], false, "FoundNewReplicaSet", "the new set is there, its pods are not"),
            (nil, [old], false, "NewReplicaSetCreated", "the new set is being made"),
            (["type": "Recreate"], [old], true, "ReplicaSetUpdated", "the old pods have to go first"),
            (["type": "Recreate"], [gone], true, "ReplicaSetUpdated", "no pod is counted, old or new"),
        ]
        for row in rows {
            var deployment = Make.deployment(
                image: "v2", strategy: row.strategy, status: finished["status"],
                extra: ["progressDeadlineSeconds": 60])
            deployment["metadata"]["generation"] = 2
            let plan = plan(deployment, row.sets, oldPods: row.oldPods)
            XCTAssertEqual(condition(plan, "Progressing")[1], row.reason, row.about)
            XCTAssertEqual(condition(plan, "Progressing")[0], "True", row.about)
        }
    }

    func testReplicaFailureIsShown() {
        var set = Make.replicaSet("one", image: "v1", replicas: 3, available: 0, revision: 1)
        set["status"]["conditions"] = [
            ["type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"]
        ]
        XCTAssertEqual(condition(plan(Make.deployment(), [set]), "ReplicaFailure"), ["True", "FailedCreate", "quota"])
    }
}
