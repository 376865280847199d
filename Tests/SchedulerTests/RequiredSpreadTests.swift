import Objects
import XCTest

@testable import Scheduler

/// Required topology spread by what is kept along.
final class RequiredSpreadTests: XCTestCase {
    private static func constraint(_ key: String, skew: Int64, domains: Int64? = nil) -> JSON {
        var constraint: JSON = [
            "maxSkew": .integer(skew), "topologyKey": .string(key), "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": ["matchLabels": ["app": "web"]],
        ]
        if let domains { constraint["minDomains"] = .integer(domains) }
        return constraint
    }

    private static func host(_ number: Int, zone: Int) -> NodeDescription {
        let name = "n\(number)"
        var labels = ["kubernetes.io/hostname": name, "all": "yes"]
        if zone < 3 { labels["zone"] = "z\(zone)" }
        return NodeDescription(
            name: name, labels: labels,
            allocatable: Amounts(milliCPU: 4000, memory: 8 << 30, ephemeralStorage: 1 << 40, pods: 110))
    }

    private func pod(_ app: String, _ constraints: [JSON] = []) throws -> PodDescription {
        try PodDescription(
            TestObjects.pod(["topologySpreadConstraints": .array(constraints)], labels: ["app": .string(app)]))
    }

    /// Each node is refused or taken as when all nodes are walked, whatever comes, goes and is labelled anew.
    func testIsAsWalkingAllNodesFindsIt() throws {
        let rows: [(name: String, constraints: [JSON])] = [
            ("zones", [Self.constraint("zone", skew: 1)]),
            ("nodes", [Self.constraint("kubernetes.io/hostname", skew: 1)]),
            ("both", [Self.constraint("zone", skew: 2), Self.constraint("kubernetes.io/hostname", skew: 1)]),
            ("more domains than there are", [Self.constraint("zone", skew: 2, domains: 4)]),
        ]
        for (name, constraints) in rows {
            let web = try pod("web", constraints)
            // Every node suits it, which only a look at each of them tells.
            var walking = web
            let affinity: JSON = ["matchExpressions": [["key": "all", "operator": "Exists"]]]
            walking.requiredNodeTerms = [NodeSelectorTerm(affinity)]
            let other = try pod("other")
            var placement = Placement()
            var random = SplitMix(state: 5)
            func next(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }
            var kept = 0
            for step in 0..<800 {
                let uid = "\(next(30))"
                switch next(8) {
                case 0, 1: placement.removePod(uid: uid)
                case 2: placement.setNode(Self.host(next(6), zone: next(30) == 0 ? 3 : next(3)))
                case 3: placement.removeNode("n\(next(6))")
                case 4: placement.setPod(uid: uid, next(2) == 0 ? web : other, node: "n\(next(7))")
                default: _ = placement.schedule(uid: uid, web)
                }
                XCTAssertNil(placement.sums(countedBy: walking.spread[0], of: walking), "not all nodes take part")
                if placement.sums(countedBy: web.spread[0], of: web) != nil { kept += 1 }
                let relations = try XCTUnwrap(PodRelations(web, in: placement))
                let wanted = try XCTUnwrap(PodRelations(walking, in: placement))
                for node in placement.nodes {
                    XCTAssertEqual(
                        relations.refusal(of: node.description), wanted.refusal(of: node.description),
                        "\(name), step \(step), \(node.description.name)")
                }
            }
            XCTAssertGreaterThan(kept, 200, "\(name): most of the time they are kept")
        }
    }
}
