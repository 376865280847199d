import Objects
import XCTest

@testable import Controllers

/// Endpoints that are shared out to zones by their nodes' processors.
final class TopologyHintsTests: XCTestCase {
    private func node(_ zone: String?, cpu: String = "1", ready: Bool = true, labels: JSON = [:]) -> JSON {
        var labels = labels
        if let zone { labels["topology.kubernetes.io/zone"] = .string(zone) }
        return [
            "metadata": ["name": "n", "labels": labels],
            "status": [
                "allocatable": ["cpu": .string(cpu)],
                "conditions": [["type": "Ready", "status": ready ? "True" : "False"]],
            ],
        ]
    }

    private func candidates(_ zones: String, former: String = "") -> [TopologyHints.Candidate] {
        let former = Array(former)
        return zones.enumerated().map { index, zone in
            .init(
                identity: "\(index)", zone: zone == "-" ? nil : String(zone),
                former: index < former.count && former[index] != "-" ? String(former[index]) : nil)
        }
    }

    /// Each row: nodes, where endpoints are, which zones they serve now, and which they are to serve.
    func testOutcomes() {
        let even = [node("a"), node("b")]
        let rows: [(name: String, nodes: [JSON], zones: String, former: String, expected: String)] = [
            ("one each", even, "ab", "", "ab"),
            ("all in one zone", even, "aaaa", "", "bbaa"),
            ("two to one", [node("a", cpu: "2"), node("b")], "aaabbb", "", "aaaabb"),
            ("more where more nodes are", [node("a"), node("a"), node("b")], "aabbbb", "", "aaaabb"),
            ("what is fair stays", even, "aaaa", "aabb", "aabb"),
            ("what is not does not", even, "aaaa", "aaab", "bbaa"),
            ("a new endpoint without a hint", even, "aabb", "abb-", "aabb"),
            ("a zone without nodes keeps its own", even, "cacb", "", "cacb"),
            (
                "nodes of the control plane do not count",
                even + [node("c", labels: ["node-role.kubernetes.io/control-plane": ""])], "ab", "", "ab"
            ),
            ("nor those that are not ready", even + [node(nil, ready: false)], "ab", "", "ab"),
            (
                "one zone", [node("a"), node("a")], "aa", "",
                "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
            ),
            (
                "a node without a zone", even + [node(nil)], "ab", "",
                "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
            ),
            ("too few", even, "a", "", "Insufficient number of endpoints (1 endpoints, 2 zones)"),
            (
                "too unequal", [node("a", cpu: "10"), node("b"), node("c")], "abc", "",
                "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold "
                    + "(3 endpoints, 3 zones)"
            ),
            ("an endpoint nobody knows where", even, "a-", "", "One or more endpoints do not have a zone specified"),
        ]
        for row in rows {
            let outcome = TopologyHints(nodes: row.nodes).outcome(for: candidates(row.zones, former: row.former))
            switch outcome {
            case .zones(let zones):
                let got = row.zones.indices.map {
                    zones["\(row.zones.distance(from: row.zones.startIndex, to: $0))"] ?? "-"
                }
                XCTAssertEqual(got.joined(), row.expected, row.name)
            case .none(let message): XCTAssertEqual(message, row.expected, row.name)
            }
        }
    }

    func testWhoWantsThem() {
        let rows: [(annotations: JSON, wanted: Bool)] = [
            ([:], false), (["service.kubernetes.io/topology-mode": "Auto"], true),
            (["service.kubernetes.io/topology-mode": "auto"], true),
            (["service.kubernetes.io/topology-mode": "Disabled"], false),
            (["service.kubernetes.io/topology-aware-hints": "Auto"], true),
            (
                [
                    "service.kubernetes.io/topology-aware-hints": "Disabled",
                    "service.kubernetes.io/topology-mode": "Auto",
                ], false
            ),
        ]
        for row in rows {
            XCTAssertEqual(
                TopologyHints.areWanted(by: ["metadata": ["annotations": row.annotations]]), row.wanted,
                row.annotations.serializedString())
        }
    }

    /// Hints go into the endpoints that are ready, in place of others.
    func testPlan() {
        func pod(_ index: Int, ready: Bool = true) -> JSON {
            [
                "metadata": ["name": .string("p\(index)"), "namespace": "default", "uid": .string("u\(index)")],
                "spec": ["nodeName": .string(index % 2 == 0 ? "even" : "odd"), "containers": [[:]]],
                "status": [
                    "phase": "Running", "podIP": .string("10.0.0.\(index + 1)"),
                    "conditions": [["type": "Ready", "status": ready ? "True" : "False"]],
                ],
            ]
        }
        let service: JSON = [
            "metadata": ["name": "web", "namespace": "default", "uid": "s"],
            "spec": [
                "ipFamilies": ["IPv4"], "trafficDistribution": "PreferSameNode",
                "ports": [["port": 80, "protocol": "TCP"]],
            ],
        ]
        var plan = EndpointPlan(service, pods: [pod(0), pod(1), pod(2, ready: false)]) { $0 == "even" ? "a" : "b" }
        XCTAssertEqual(plan.groups.values.first?.first?["hints"]["forNodes"].exists, true)
        let outcomes = plan.share(by: TopologyHints(nodes: [node("a"), node("b")]), existing: [])
        XCTAssertEqual(Array(outcomes.keys), ["IPv4"])
        let hints = plan.groups.values.first?.map { $0["hints"] }
        XCTAssertEqual(hints, [["forZones": [["name": "a"]]], ["forZones": [["name": "b"]]], .null])
        XCTAssertEqual(
            plan.share(by: TopologyHints(nodes: [node("a")]), existing: [])["IPv4"],
            TopologyHints.Outcome.none(
                "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"))
        XCTAssertEqual(plan.groups.values.first?.map { $0["hints"] }, [.null, .null, .null])
    }
}
