import Objects
import XCTest

@testable import Controllers

/// Pods that say nothing of spread, and belong to somebody.
final class DefaultSpreadTests: XCTestCase {
    private static let pod: JSON = [
        "metadata": ["name": "p", "namespace": "default", "labels": ["app": "web", "hash": "1"]], "spec": [:],
    ]

    func testSelectors() {
        func service(_ selector: JSON) -> JSON { ["spec": ["selector": selector]] }
        let set: JSON = [
            "kind": "ReplicaSet",
            "spec": [
                "selector": ["matchLabels": ["hash": "1"], "matchExpressions": [["key": "app", "operator": "Exists"]]]
            ],
        ]
        let plain: JSON = ["kind": "ReplicationController", "spec": ["selector": ["hash": "1"]]]
        let rows: [(services: [JSON], owner: JSON?, selector: JSON?, reason: String)] = [
            ([], nil, nil, "it belongs to nobody"),
            ([service(["app": "db"]), service([:]), service(nil)], nil, nil, "no service means it"),
            ([service(["app": "web"])], nil, ["matchLabels": ["app": "web"]], "a service"),
            ([], plain, ["matchLabels": ["hash": "1"]], "a controller with plain labels"),
            (
                [service(["app": "web"])], set,
                [
                    "matchLabels": ["app": "web", "hash": "1"],
                    "matchExpressions": [["key": "app", "operator": "Exists"]],
                ], "both"
            ),
        ]
        for row in rows {
            XCTAssertEqual(
                DefaultSpread.selector(of: Self.pod, services: row.services, owner: row.owner), row.selector,
                row.reason)
        }
    }

    func testConstraints() {
        let services: [JSON] = [["spec": ["selector": ["app": "web"]]]]
        let keys = [DefaultSpread.hostLabel, DefaultSpread.zoneLabel]
        let spread = DefaultSpread.applied(to: Self.pod, services: services, owner: nil, keys: keys)
        let constraints = spread["spec"]["topologySpreadConstraints"].arrayValue
        XCTAssertEqual(constraints.map { $0["topologyKey"].stringValue }, keys)
        XCTAssertEqual(constraints.map { $0["maxSkew"].integerValue }, [3, 5])
        XCTAssertEqual(Set(constraints.map { $0["whenUnsatisfiable"] }), ["ScheduleAnyway"])
        XCTAssertEqual(DefaultSpread.applied(to: Self.pod, services: services, owner: nil, keys: []), Self.pod)
        XCTAssertEqual(DefaultSpread.applied(to: Self.pod, services: [], owner: nil, keys: keys), Self.pod)
        var own = Self.pod
        own["spec"]["topologySpreadConstraints"] = [["topologyKey": "rack", "maxSkew": 1]]
        XCTAssertEqual(DefaultSpread.applied(to: own, services: services, owner: nil, keys: keys), own)
    }

    func testPlaces() {
        func node(_ name: String, zone: JSON = nil) -> JSON {
            var node: JSON = ["metadata": ["name": .string(name)]]
            if zone.exists { node["metadata"]["labels"] = .object([DefaultSpread.zoneLabel: zone]) }
            return node
        }
        var places = NodePlaces()
        places.insert(node("a", zone: "z"))
        XCTAssertEqual(places.keys, [], "there is only one")
        places.insert(node("b"))
        XCTAssertEqual(places.keys, [DefaultSpread.hostLabel], "one is in no zone")
        places.insert(node("b", zone: "z"))
        XCTAssertEqual(places.keys, [DefaultSpread.hostLabel, DefaultSpread.zoneLabel])
        places.insert(node("c"))
        places.remove("c")
        XCTAssertEqual(places.keys.count, 2)
        places.remove("a")
        XCTAssertEqual(places.keys, [])
    }
}
