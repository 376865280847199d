import Objects
import XCTest

@testable import Controllers

final class PreemptionPlanTests: XCTestCase {
    private func node(_ name: String, cpu: JSON = "4", taints: JSON = []) -> JSON {
        [
            "metadata": ["name": .string(name), "labels": ["name": .string(name)]], "spec": ["taints": taints],
            "status": ["allocatable": ["cpu": cpu, "memory": "1Gi", "pods": "10", "example.com/thing": "2"]],
        ]
    }
    private func pod(
        _ name: String, priority: Int64, cpu: JSON = "1", port: Int64? = nil, started: String = "2026-01-01T00:00:00Z",
        resource: JSON = .null
    ) -> JSON {
        var container: JSON = ["name": "main", "resources": ["requests": ["cpu": cpu]]]
        if let port { container["ports"] = [["hostPort": .integer(port), "containerPort": 80]] }
        if resource.exists { container["resources"]["requests"]["example.com/thing"] = resource }
        return [
            "metadata": [
                "name": .string(name), "uid": .string(name), "namespace": "default", "labels": ["app": .string(name)],
            ],
            "spec": ["priority": .integer(priority), "containers": .array([container])],
            "status": ["startTime": .string(started)],
        ]
    }

    private func victims(
        _ pod: JSON, _ nodes: [JSON], _ placed: [String: [JSON]], budgets: [JSON] = []
    ) throws -> [String] {
        var index = PlacedPods()
        for (node, pods) in placed {
            for pod in pods { index.insert(pod, on: node, priority: PreemptionPlan.priority(of: pod)) }
        }
        let plan = try PreemptionPlan(for: pod, nodes: nodes, placed: { try index.pods(on: $0) }, budgets: budgets)
        return plan.candidates.map { "\($0.node):\($0.victims.map(\.name).joined(separator: ","))" }
    }

    func testVictims() throws {
        let tainted: JSON = [["key": "k", "effect": "NoSchedule"]]
        var selective = pod("new", priority: 10, cpu: "4")
        selective["spec"]["nodeSelector"] = ["name": "b"]
        let cases: [(String, JSON, [JSON], [String: [JSON]], [String])] = [
            ("none is lower", pod("new", priority: 1, cpu: "4"), [node("a")], ["a": [pod("x", priority: 1)]], []),
            (
                "as few as needed", pod("new", priority: 10, cpu: "2"), [node("a")],
                ["a": [pod("x", priority: 1, cpu: "2"), pod("y", priority: 2, cpu: "2")]], ["a:x"]
            ),
            (
                "all that is needed", pod("new", priority: 10, cpu: "4"), [node("a")],
                ["a": [pod("x", priority: 1, cpu: "2"), pod("y", priority: 2, cpu: "2")]], ["a:y,x"]
            ),
            (
                "too large for the node", pod("new", priority: 10, cpu: "5"), [node("a")],
                ["a": [pod("x", priority: 1)]], []
            ),
            (
                "what matters more stays", pod("new", priority: 10, cpu: "3"), [node("a")],
                ["a": [pod("x", priority: 1, cpu: "2"), pod("y", priority: 20, cpu: "2")]], []
            ),
            (
                "the node whose victims matter less", pod("new", priority: 10, cpu: "4"), [node("a"), node("b")],
                ["a": [pod("x", priority: 5)], "b": [pod("y", priority: 2)]], ["b:y", "a:x"]
            ),
            (
                "the younger one goes", pod("new", priority: 10, cpu: "2"), [node("a")],
                [
                    "a": [
                        pod("young", priority: 1, cpu: "2", started: "2026-01-02T00:00:00Z"),
                        pod("old", priority: 1, cpu: "2"),
                    ]
                ], ["a:young"]
            ),
            (
                "not on a node that repels it", pod("new", priority: 10, cpu: "4"), [node("a", taints: tainted)],
                ["a": [pod("x", priority: 1)]], []
            ),
            (
                "only where it is selected", selective, [node("a"), node("b")],
                ["a": [pod("x", priority: 1)], "b": [pod("y", priority: 2)]], ["b:y"]
            ),
            (
                "a port", pod("new", priority: 10, port: 80), [node("a")],
                ["a": [pod("x", priority: 1, port: 80), pod("y", priority: 1, port: 81)]], ["a:x"]
            ),
            (
                "what devices there are", pod("new", priority: 10, resource: "1"), [node("a")],
                ["a": [pod("x", priority: 1, resource: "2"), pod("y", priority: 1)]], ["a:x"]
            ),
        ]
        for (reason, pod, nodes, placed, expected) in cases {
            XCTAssertEqual(try victims(pod, nodes, placed), expected, reason)
        }
    }

    func testBudgetsAreHeededWhereThatIsPossible() throws {
        let budget: JSON = [
            "metadata": ["namespace": "default"], "spec": ["selector": ["matchLabels": ["app": "x"]]],
            "status": ["disruptionsAllowed": 0],
        ]
        let placed = ["a": [pod("x", priority: 1, cpu: "4")], "b": [pod("y", priority: 2, cpu: "4")]]
        XCTAssertEqual(
            try victims(pod("new", priority: 10, cpu: "4"), [node("a"), node("b")], placed, budgets: [budget]),
            ["b:y", "a:x"])
        let both = ["a": [pod("x", priority: 1, cpu: "2"), pod("y", priority: 1, cpu: "2")]]
        XCTAssertEqual(
            try victims(pod("new", priority: 10, cpu: "2"), [node("a")], both, budgets: [budget]), ["a:y"])
    }

    /// Which pods are in the way by what they are, only the scheduler knows: it is tried out.
    func testTrials() throws {
        let placed = [
            "a": [pod("x", priority: 3), pod("y", priority: 2), pod("z", priority: 1), pod("high", priority: 20)],
            "b": [pod("w", priority: 1)], "full": [pod("large", priority: 20, cpu: "4")],
        ]
        let budget: JSON = [
            "metadata": ["namespace": "default"], "spec": ["selector": ["matchLabels": ["app": "z"]]],
            "status": ["disruptionsAllowed": 0],
        ]
        var index = PlacedPods()
        for (node, pods) in placed {
            for pod in pods { index.insert(pod, on: node, priority: PreemptionPlan.priority(of: pod)) }
        }
        let plan = try PreemptionPlan(
            for: pod("new", priority: 10), nodes: [node("a"), node("b"), node("full")],
            placed: { try index.pods(on: $0) }, budgets: [budget], isKeptAway: true)
        XCTAssertTrue(plan.candidates.isEmpty)
        XCTAssertEqual(plan.trials.map(\.node), ["b", "a"], "the least to lose first; not where there is no room")
        let trial = try XCTUnwrap(plan.trials.last)
        XCTAssertEqual(trial.pods.map(\.name), ["z", "x", "y"], "whom a budget keeps is the first to be given back")
        let rows: [(fits: (Set<String>) -> Bool, victims: [String]?, violations: Int, reason: String)] = [
            ({ !$0.contains("y") }, ["y"], 0, "one is in the way"),
            ({ !$0.contains("z") }, ["z"], 1, "and a budget would keep it"),
            ({ $0.count < 2 }, ["x", "y"], 0, "too many of them: those that matter most, or are kept, stay"),
            ({ $0.isEmpty }, ["z", "x", "y"], 1, "all"), ({ _ in false }, nil, 0, "others are in the way"),
            ({ _ in true }, nil, 0, "nobody is any more"),
        ]
        for row in rows {
            var there: Set = ["x", "y", "z"]
            let candidate = trial.candidate(
                remove: { there.remove($0.uid) }, putBack: { there.insert($0.uid) }, fits: { row.fits(there) })
            XCTAssertEqual(candidate?.victims.map(\.name), row.victims, row.reason)
            XCTAssertEqual(candidate?.violations ?? 0, row.violations, row.reason)
            XCTAssertEqual(there, ["x", "y", "z"], "all are back: \(row.reason)")
        }
    }

    func testWordsOfThoseWhoKeepAway() {
        let rows: [(String, Bool)] = [
            ("node(s) didn't match pod anti-affinity rules", true),
            ("node(s) didn't satisfy existing pods anti-affinity rules", true),
            ("node(s) didn't match pod topology spread constraints", true),
            ("node(s) didn't match pod topology spread constraints (missing required label)", false),
            ("node(s) didn't match pod affinity rules", false), ("Insufficient cpu", false),
        ]
        for (words, expected) in rows { XCTAssertEqual(PreemptionPlan.isKeptAway([words]), expected, words) }
    }

    func testPolicy() {
        XCTAssertTrue(PreemptionPlan.mayPreempt(pod("p", priority: 1)))
        XCTAssertFalse(PreemptionPlan.mayPreempt(["spec": ["preemptionPolicy": "Never"]]))
    }

    func testPlacedPodsKnowTheirPriorities() {
        var placed = PlacedPods()
        placed.insert(pod("a", priority: 5), on: "n", priority: 5)
        placed.insert(pod("b", priority: 7), on: "n", priority: 7)
        XCTAssertFalse(placed.hasAny(below: 5))
        XCTAssertTrue(placed.hasAny(below: 6))
        placed.insert(pod("a", priority: 8), on: "n", priority: 8)
        XCTAssertFalse(placed.hasAny(below: 7))
        XCTAssertTrue(placed.remove("b"))
        XCTAssertFalse(placed.remove("b"))
        XCTAssertFalse(placed.contains("b"))
    }

    func testPlacedPodsKnowTheirNodes() throws {
        var placed = PlacedPods()
        placed.insert(pod("a", priority: 1), on: "n", priority: 1)
        placed.insert(pod("b", priority: 1), on: "m", priority: 1)
        XCTAssertEqual(try placed.pods(on: "n").map(\.pod.name), ["a"])
        XCTAssertEqual(try placed.pods(on: "n").first?.use.amounts["cpu"], 1000)
        placed.insert(pod("a", priority: 1, cpu: "2"), on: "n", priority: 1)
        XCTAssertEqual(try placed.pods(on: "n").first?.use.amounts["cpu"], 2000, "a pod may be resized")
        placed.insert(pod("a", priority: 1), on: "m", priority: 1)
        XCTAssertEqual(try placed.pods(on: "n").count, 0)
        XCTAssertEqual(try placed.pods(on: "m").count, 2)
    }

    func testPortsOfDifferentAddresses() throws {
        func on(_ address: JSON, _ name: String, _ priority: Int64) -> JSON {
            var object = pod(name, priority: priority, cpu: "0", port: 80)
            object["spec"]["containers"][0]["ports"][0]["hostIP"] = address
            return object
        }
        XCTAssertEqual(try victims(on("10.0.0.1", "new", 10), [node("a")], ["a": [on("10.0.0.2", "x", 1)]]), [])
        XCTAssertEqual(try victims(on("10.0.0.1", "new", 10), [node("a")], ["a": [on("0.0.0.0", "x", 1)]]), ["a:x"])
    }

    /// Pods of one template are of one kind, whatever their names and the names of their volumes.
    func testKindsWithoutHope() {
        var hopeless = HopelessPreemptions()
        var first = pod("a", priority: 10, cpu: "8")
        first["metadata"]["labels"] = ["app": "x"]
        var second = first
        second["metadata"]["name"] = "b"
        second["spec"]["volumes"] = [["name": "kube-api-access-abcde"]]
        hopeless.insert(HopelessPreemptions.kind(of: first))
        XCTAssertTrue(hopeless.contains(HopelessPreemptions.kind(of: second)))
        let others: [(String, [String], JSON)] = [
            ("another priority", ["spec", "priority"], 11), ("another namespace", ["metadata", "namespace"], "other"),
            ("a selector", ["spec", "nodeSelector"], ["a": "b"]), ("labels", ["metadata", "labels"], ["app": "y"]),
        ]
        for (reason, path, value) in others {
            var other = first
            other[path[0]][path[1]] = value
            XCTAssertFalse(hopeless.contains(HopelessPreemptions.kind(of: other)), reason)
        }
        hopeless.forget()
        XCTAssertFalse(hopeless.contains(HopelessPreemptions.kind(of: first)))
    }
}
