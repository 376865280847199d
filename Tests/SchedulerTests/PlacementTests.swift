import Objects
import PluginAPI
import XCTest

@testable import Scheduler

final class PlacementTests: XCTestCase {
    private func node(
        _ name: String, cpu: Int64 = 4000, memory: Int64 = 8 << 30, pods: Int64 = 110, labels: [String: String] = [:],
        taints: [Taint] = [], extended: [String: Int64] = [:], ready: Bool = true, unschedulable: Bool = false
    ) -> NodeDescription {
        NodeDescription(
            name: name, labels: labels.merging(["kubernetes.io/hostname": name]) { first, _ in first }, taints: taints,
            allocatable: Amounts(milliCPU: cpu, memory: memory, ephemeralStorage: 100 << 30, pods: pods),
            extended: extended, isReady: ready, isUnschedulable: unschedulable)
    }

    private func pod(_ spec: JSON = [:], labels: JSON = [:], requests: JSON = [:]) throws -> PodDescription {
        var spec = spec
        if !spec["containers"].exists {
            spec["containers"] = [["name": "main", "resources": ["requests": requests]]]
        }
        return try PodDescription(["metadata": ["namespace": "default", "labels": labels], "spec": spec])
    }

    private func refusal(_ decision: Decision) -> [String: Int] {
        guard case .refused(_, let reasons) = decision else { return [:] }
        return Dictionary(uniqueKeysWithValues: reasons.map { ($0.reason, $0.nodes) })
    }

    func testEachReasonInItsWords() throws {
        let cases: [(String, NodeDescription, PodDescription)] = [
            ("Insufficient cpu", node("a", cpu: 100), try pod(requests: ["cpu": "200m"])),
            ("Insufficient memory", node("a", memory: 1 << 20), try pod(requests: ["memory": "2Mi"])),
            ("Insufficient ephemeral-storage", node("a"), try pod(requests: ["ephemeral-storage": "200Gi"])),
            (
                "Insufficient nvidia.com/gpu", node("a", extended: ["nvidia.com/gpu": 1]),
                try pod(requests: ["nvidia.com/gpu": "2"])
            ),
            ("Insufficient example.com/none", node("a"), try pod(requests: ["example.com/none": "1"])),
            ("Too many pods", node("a", pods: 0), try pod()),
            ("node(s) were unschedulable", node("a", unschedulable: true), try pod()),
            (
                "node(s) had untolerated taint {node.kubernetes.io/not-ready: }", node("a", ready: false), try pod()
            ),
            (
                "node(s) had untolerated taint {role: db}",
                node("a", taints: [Taint(key: "role", value: "db", effect: .noSchedule)]),
                try pod()
            ),
            (
                "node(s) didn't match Pod's node affinity/selector", node("a"),
                try pod(["nodeSelector": ["disk": "ssd"]])
            ),
            ("node(s) didn't match the requested node name", node("a"), try pod(["nodeName": "b"])),
        ]
        for (reason, node, pod) in cases {
            var placement = Placement()
            placement.setNode(node)
            XCTAssertEqual(refusal(placement.schedule(uid: "u", pod)), [reason: 1], reason)
            XCTAssertEqual(placement.podCount, 0)
        }
    }

    func testAssumedPodsUseResourcesAndFreeThem() throws {
        var placement = Placement()
        placement.setNode(node("a", cpu: 1000))
        let half = try pod(requests: ["cpu": "500m"])
        XCTAssertEqual(placement.schedule(uid: "1", half), .placed(node: "a"))
        XCTAssertEqual(placement.schedule(uid: "2", half), .placed(node: "a"))
        XCTAssertEqual(refusal(placement.schedule(uid: "3", half)), ["Insufficient cpu": 1])
        // The confirmation of an assumed pod must not count it twice.
        placement.setPod(uid: "1", half, node: "a")
        placement.removePod(uid: "2")
        placement.removePod(uid: "unknown")
        XCTAssertEqual(placement.schedule(uid: "3", half), .placed(node: "a"))
        XCTAssertEqual(placement.loads[0].requested.milliCPU, 1000)
    }

    func testAccountingIsExactOverManyChanges() throws {
        var placement = Placement()
        for index in 0..<7 { placement.setNode(node("n\(index)", extended: ["x.io/y": 10])) }
        let request = try pod(
            [
                "containers": [
                    [
                        "ports": [["hostPort": 80, "containerPort": 80]],
                        "resources": ["requests": ["cpu": "1", "memory": "1Gi", "x.io/y": "3"]],
                    ]
                ]
            ])
        for index in 0..<7 { _ = placement.schedule(uid: "u\(index)", request) }
        XCTAssertEqual(
            refusal(placement.schedule(uid: "u7", request)),
            ["node(s) didn't have free ports for the requested pod ports": 7])
        placement.removeNode("n3")
        placement.setNode(node("n3", extended: ["x.io/y": 10]))
        XCTAssertEqual(placement.loads.map(\.requested.milliCPU), Array(repeating: 1000, count: 7))
        for index in 0..<7 { placement.removePod(uid: "u\(index)") }
        for position in placement.loads.indices {
            XCTAssertEqual(placement.loads[position].requested, Amounts())
            XCTAssertEqual(placement.loads[position].scoredMemory, 0)
            XCTAssertEqual(placement.nodes[position].extendedRequested.reduce(0, +), 0)
            XCTAssertTrue(placement.nodes[position].hostPorts.isEmpty)
        }
    }

    func testAmountsWithoutMeasureHurtNobodyElse() throws {
        var placement = Placement()
        placement.setNode(node("a", cpu: .max, memory: .max, extended: ["x.io/y": .max]))
        let most = JSON.string("9223372036854775807")
        let boundless = try pod(requests: ["cpu": most, "memory": most, "x.io/y": most])
        for index in 0..<100 { placement.setPod(uid: "\(index)", boundless, node: "a") }
        XCTAssertEqual(
            refusal(placement.schedule(uid: "b", try pod(requests: ["memory": "1"]))), ["Insufficient memory": 1])
        for index in 0..<100 { placement.removePod(uid: "\(index)") }
        XCTAssertEqual(placement.schedule(uid: "b", try pod(requests: ["memory": "1"])), .placed(node: "a"))
        let two: JSON = ["resources": ["requests": ["cpu": most, "memory": most, "x.io/y": most]]]
        XCTAssertEqual(try pod(["containers": .array([two, two])]).extended.map(\.amount), [.max])
    }

    func testTolerations() throws {
        let taint = Taint(key: "k", value: "v", effect: .noExecute)
        let cases: [(Toleration, Bool, String)] = [
            (Toleration(key: "k", anyValue: false, value: "v"), true, "equal, every effect"),
            (Toleration(key: "k", anyValue: false, value: "w"), false, "other value"),
            (Toleration(key: "k", anyValue: true), true, "exists"),
            (Toleration(key: "", anyValue: true), true, "exists for all keys"),
            (Toleration(key: "", anyValue: false), false, "equal without a key"),
            (Toleration(key: "k", anyValue: true, effect: .noSchedule), false, "other effect"),
            (Toleration(key: "k", anyValue: true, effect: .noExecute), true, "same effect"),
        ]
        for (toleration, expected, reason) in cases { XCTAssertEqual(toleration.tolerates(taint), expected, reason) }
    }

    func testNodeAffinityOperators() throws {
        let node = node("a", labels: ["zone": "z1", "cores": "8"])
        let cases: [(JSON, Bool)] = [
            (["key": "zone", "operator": "In", "values": ["z1", "z2"]], true),
            (["key": "zone", "operator": "NotIn", "values": ["z1"]], false),
            (["key": "rack", "operator": "NotIn", "values": ["r"]], true),
            (["key": "zone", "operator": "Exists"], true),
            (["key": "rack", "operator": "DoesNotExist"], true),
            (["key": "cores", "operator": "Gt", "values": ["7"]], true),
            (["key": "cores", "operator": "Lt", "values": ["8"]], false),
            (["key": "cores", "operator": "Wrong"], false),
        ]
        for (expression, expected) in cases {
            let affinity: JSON = [
                "nodeAffinity": [
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        "nodeSelectorTerms": [["matchExpressions": .array([expression])]]
                    ]
                ]
            ]
            XCTAssertEqual(try pod(["affinity": affinity]).selects(node), expected, expression.serializedString())
        }
        XCTAssertFalse(NodeSelectorTerm([:]).matches(node), "an empty term matches nothing")
        let byName = NodeSelectorTerm(["matchFields": [["key": "metadata.name", "operator": "In", "values": ["a"]]]])
        XCTAssertTrue(byName.matches(node))
    }

    func testSpreadsByLeastAllocated() throws {
        var placement = Placement()
        for name in ["a", "b", "c"] { placement.setNode(node(name)) }
        var counts: [String: Int] = [:]
        for index in 0..<9 {
            if case .placed(let node) = placement.schedule(
                uid: "\(index)", try pod(requests: ["cpu": "100m", "memory": "100Mi"]))
            {
                counts[node, default: 0] += 1
            }
        }
        XCTAssertEqual(counts, ["a": 3, "b": 3, "c": 3])
    }

    func testPreferences() throws {
        var placement = Placement()
        placement.setNode(node("plain"))
        placement.setNode(node("soft", taints: [Taint(key: "k", effect: .preferNoSchedule)]))
        placement.setNode(node("liked", labels: ["disk": "ssd"]))
        XCTAssertNotEqual(placement.schedule(uid: "1", try pod()), .placed(node: "soft"))
        let wanting: JSON = [
            "affinity": [
                "nodeAffinity": [
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        ["weight": 50, "preference": ["matchExpressions": [["key": "disk", "operator": "Exists"]]]]
                    ]
                ]
            ]
        ]
        XCTAssertEqual(placement.schedule(uid: "2", try pod(wanting)), .placed(node: "liked"))
    }

    /// What the pods that are there already would rather have counts for whoever comes, through a handed over state too.
    func testPreferencesOfPlacedPods() throws {
        let term: JSON = [
            "topologyKey": "kubernetes.io/hostname", "labelSelector": ["matchLabels": ["app": "new"]],
        ]
        let preferred: JSON = [
            "preferredDuringSchedulingIgnoredDuringExecution": [["weight": 10, "podAffinityTerm": term]]
        ]
        let rows: [(affinity: JSON, place: String, reason: String)] = [
            (["podAffinity": preferred], "a", "it would rather have it near"),
            (["podAntiAffinity": preferred], "b", "it would rather have it far"),
            (
                ["podAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": [term]]], "a",
                "it needs such pods near: one more of them is welcome"
            ),
        ]
        for row in rows {
            var placement = Placement()
            placement.setNode(node("a"))
            placement.setNode(node("b"))
            placement.setPod(uid: "there", try pod(["affinity": row.affinity]), node: "a")
            placement.setPod(uid: "balance", try pod(), node: "b")
            let state = placement.exported(revision: 1)
            let line = HOSTD_SCHEDULER_STATE_1.utf8.count + 1
            var copy = try state.withUnsafeBytes {
                try Placement.imported(UnsafeRawBufferPointer(rebasing: $0[line...])).placement
            }
            let new = try pod(labels: ["app": "new"])
            XCTAssertEqual(placement.schedule(uid: "new", new), .placed(node: row.place), row.reason)
            XCTAssertEqual(copy.schedule(uid: "new", new), .placed(node: row.place), "handed over: \(row.reason)")
            for uid in ["there", "new"] { copy.removePod(uid: uid) }
            XCTAssertTrue(copy.attractors.isEmpty, "who is gone has no wishes")
        }
    }

    private func term(_ key: String, app: String) -> JSON {
        ["topologyKey": .string(key), "labelSelector": ["matchLabels": ["app": .string(app)]]]
    }

    func testAntiAffinityWorksBothWays() throws {
        var placement = Placement()
        placement.setNode(node("a"))
        placement.setNode(node("b"))
        let alone: JSON = [
            "affinity": [
                "podAntiAffinity": [
                    "requiredDuringSchedulingIgnoredDuringExecution": .array([
                        term("kubernetes.io/hostname", app: "web")
                    ])
                ]
            ]
        ]
        let first = try pod(alone, labels: ["app": "web"])
        guard case .placed(let node) = placement.schedule(uid: "1", first) else { return XCTFail("the first one fits") }
        guard case .placed(let other) = placement.schedule(uid: "2", first) else {
            return XCTFail("the second one fits")
        }
        XCTAssertNotEqual(node, other)
        XCTAssertEqual(
            refusal(placement.schedule(uid: "3", first)), ["node(s) didn't match pod anti-affinity rules": 2])
        let plain = try pod(labels: ["app": "web"])
        XCTAssertEqual(
            refusal(placement.schedule(uid: "4", plain)),
            ["node(s) didn't satisfy existing pods anti-affinity rules": 2])
        XCTAssertNotEqual(placement.schedule(uid: "5", try pod(labels: ["app": "db"])), .refused(nodes: 2, reasons: []))
    }

    func testAffinityStartsWithItselfAndThenStays() throws {
        var placement = Placement()
        placement.setNode(node("a", labels: ["zone": "z1"]))
        placement.setNode(node("b", labels: ["zone": "z2"]))
        let together: JSON = [
            "affinity": [
                "podAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": .array([term("zone", app: "web")])]
            ]
        ]
        XCTAssertEqual(
            refusal(placement.schedule(uid: "0", try pod(together, labels: ["app": "other"]))),
            ["node(s) didn't match pod affinity rules": 2])
        guard case .placed(let node) = placement.schedule(uid: "1", try pod(together, labels: ["app": "web"])) else {
            return XCTFail("a pod that matches its own term may be the first")
        }
        for uid in ["2", "3", "4"] {
            XCTAssertEqual(placement.schedule(uid: uid, try pod(together, labels: ["app": "web"])), .placed(node: node))
        }
    }

    func testTopologySpread() throws {
        var placement = Placement()
        placement.setNode(node("a", labels: ["zone": "z1"]))
        placement.setNode(node("b", labels: ["zone": "z2"]))
        placement.setNode(node("nowhere"))
        let spread: JSON = [
            "topologySpreadConstraints": [
                [
                    "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": ["matchLabels": ["app": "web"]],
                ]
            ]
        ]
        let web = try pod(spread, labels: ["app": "web"])
        var zones: [Decision] = []
        for index in 0..<4 { zones.append(placement.schedule(uid: "\(index)", web)) }
        XCTAssertEqual(zones.count { $0 == .placed(node: "a") }, 2)
        XCTAssertEqual(zones.count { $0 == .placed(node: "b") }, 2)
        placement.setNode(node("b", labels: ["zone": "z2"], unschedulable: true))
        XCTAssertEqual(placement.schedule(uid: "4", web), .placed(node: "a"))
        XCTAssertEqual(
            refusal(placement.schedule(uid: "5", web)),
            [
                "node(s) didn't match pod topology spread constraints": 1, "node(s) were unschedulable": 1,
                "node(s) didn't match pod topology spread constraints (missing required label)": 1,
            ])
    }

    /// What is counted along is what counting anew finds, whatever comes, goes, moves and is about to end.
    func testSpreadCountsFollowThePods() throws {
        func spread(_ app: String) throws -> PodDescription {
            try pod(
                [
                    "topologySpreadConstraints": [
                        [
                            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": ["matchLabels": ["app": .string(app)]],
                        ]
                    ]
                ], labels: ["app": .string(app)])
        }
        var placement = Placement()
        for name in ["a", "b", "c"] { placement.setNode(node(name)) }
        var random: UInt64 = 7
        func next(_ bound: UInt64) -> UInt64 {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return random >> 33 % bound
        }
        for step in 0..<600 {
            let uid = "\(next(40))"
            switch next(4) {
            case 0: placement.removePod(uid: uid)
            case 1:
                var ending = try spread("app\(next(3))")
                ending.isTerminating = true
                placement.setPod(uid: uid, ending, node: ["a", "b", "c"][Int(next(3))])
            case 2:
                placement.setPod(uid: uid, try spread("app\(next(3))"), node: ["a", "b", "not-there"][Int(next(3))])
            // More apps than are followed at once: what is forgotten is found anew.
            default: _ = placement.schedule(uid: uid, try spread("app\(next(UInt64(SpreadCounts.limit) * 2))"))
            }
            let wish = try spread("app\(next(3))")
            let counted = placement.nodes(countedBy: wish.spread[0], of: wish)
            var found: [String: Int64] = [:]
            for placed in placement.pods.values where placed.pod.labels == wish.labels && !placed.pod.isTerminating {
                found[placed.node, default: 0] += 1
            }
            XCTAssertEqual(counted, found, "step \(step)")
        }
    }

    /// Sums over nodes that are kept along are what summing anew finds, also when nodes come, go and get other labels.
    func testSpreadSumsFollowPodsAndNodes() throws {
        let constraints: JSON = .array(
            ["zone", "kubernetes.io/hostname"].map { key in
                [
                    "maxSkew": 1, "topologyKey": .string(key), "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": ["matchLabels": ["app": "web"]],
                ]
            })
        let web = try pod(["topologySpreadConstraints": constraints], labels: ["app": "web"])
        let choosy = try pod(
            ["topologySpreadConstraints": constraints, "nodeSelector": ["zone": "z0"]], labels: ["app": "web"])
        let other = try pod(labels: ["app": "other"])
        var placement = Placement()
        var random: UInt64 = 11
        func next(_ bound: UInt64) -> UInt64 {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return random >> 33 % bound
        }
        func host(_ number: UInt64, zone: UInt64) -> NodeDescription {
            let name = "n\(number)"
            let labels = ["kubernetes.io/hostname": name, "zone": "z\(zone)"]
            return node(name, labels: zone == 3 ? ["kubernetes.io/hostname": name] : labels)
        }
        var kept = 0
        for step in 0..<800 {
            let uid = "\(next(30))"
            switch next(8) {
            case 0: placement.removePod(uid: uid)
            case 1: placement.setNode(host(next(6), zone: next(30) == 0 ? 3 : next(3)))
            case 2: placement.removeNode("n\(next(6))")
            case 3: placement.setPod(uid: uid, next(2) == 0 ? web : other, node: "n\(next(7))")
            default: _ = placement.schedule(uid: uid, web)
            }
            XCTAssertNil(placement.sums(countedBy: choosy.spread[0], of: choosy), "not all nodes take part")
            guard let sums = placement.sums(countedBy: web.spread[0], of: web) else { continue }
            kept += 1
            var found: [String: Int64] = [:]
            for placed in placement.pods.values where placed.pod.labels == web.labels {
                guard let position = placement.positions[placed.node] else { continue }
                found[placement.nodes[position].description.labels["zone"] ?? "", default: 0] += 1
            }
            XCTAssertEqual(sums.filter { $0.value != 0 }, found, "step \(step)")
        }
        XCTAssertGreaterThan(kept, 100, "most of the time they are kept")
    }

    func testNamespaceSelectorWithRequirementsIsRefusedLoudly() {
        let affinity: JSON = [
            "podAffinity": [
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    ["topologyKey": "zone", "labelSelector": [:], "namespaceSelector": ["matchLabels": ["team": "a"]]]
                ]
            ]
        ]
        XCTAssertThrowsError(try pod(["affinity": affinity]))
    }

    func testSearchGoal() {
        for (nodes, goal) in [(0, 0), (1, 1), (99, 99), (100, 100), (1000, 420), (5000, 500), (10_000, 500)] {
            XCTAssertEqual(Placement.searchGoal(nodes: nodes), goal, "\(nodes) nodes")
        }
    }

    func testSearchRotatesOverNodes() throws {
        var placement = Placement()
        for index in 0..<300 { placement.setNode(node("n\(index)")) }
        var used: Set<String> = []
        for index in 0..<300 {
            if case .placed(let name) = placement.schedule(uid: "\(index)", try pod(requests: ["cpu": "1"])) {
                used.insert(name)
            }
        }
        XCTAssertEqual(used.count, 300, "equal pods spread over equal nodes")
    }

    func testPodOfUnknownNodeCountsWhenTheNodeComes() throws {
        var placement = Placement()
        placement.setPod(uid: "1", try pod(requests: ["cpu": "3"]), node: "late")
        placement.setNode(node("late"))
        XCTAssertEqual(refusal(placement.schedule(uid: "2", try pod(requests: ["cpu": "2"]))), ["Insufficient cpu": 1])
    }

    func testNoNodes() throws {
        var placement = Placement()
        XCTAssertEqual(placement.schedule(uid: "1", try pod()), .refused(nodes: 0, reasons: []))
    }
}
