import Objects
import Synchronization
import XCTest

@testable import Node

final class ServiceFeedTests: XCTestCase {
    private func service(_ name: String, _ specification: JSONObject = [:]) -> JSON {
        var spec: JSONObject = [
            "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
            "ports": [["name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080]],
        ]
        for entry in specification { spec[entry.key] = entry.value }
        return ["metadata": ["name": .string(name), "namespace": "default"], "spec": .object(spec)]
    }

    private func slice(_ service: String, _ endpoints: [JSON]) -> JSON {
        [
            "metadata": [
                "name": .string("\(service)-x"), "namespace": "default",
                "labels": ["kubernetes.io/service-name": .string(service)],
            ],
            "addressType": "IPv4", "ports": [["name": "http", "port": 8080, "protocol": "TCP"]],
            "endpoints": .array(endpoints),
        ]
    }

    func testTranslation() {
        let endpoints: [JSON] = [
            ["addresses": ["10.244.0.5"], "conditions": ["ready": true], "nodeName": "alpha"],
            ["addresses": ["10.244.0.6"], "conditions": ["ready": false], "nodeName": "alpha"],
            ["addresses": ["10.244.1.7"], "conditions": [:], "nodeName": "beta"],
        ]
        let built = ServiceTranslation.build(
            service("web", ["sessionAffinity": "ClientIP", "externalIPs": ["1.1.1.1"]]),
            slices: [slice("web", endpoints)], nodeName: "alpha")
        XCTAssertEqual(
            built,
            [
                "namespace": "default", "name": "web", "clusterIPs": ["10.96.0.9"], "externalIPs": ["1.1.1.1"],
                "sessionAffinity": "ClientIP",
                "ports": [
                    [
                        "name": "http", "protocol": "TCP", "port": 80, "nodePort": 30080,
                        "endpoints": [
                            ["address": "10.244.0.5", "port": 8080, "node": "alpha", "local": true],
                            ["address": "10.244.1.7", "port": 8080, "node": "beta", "local": false],
                        ],
                    ]
                ],
            ])
        XCTAssertNil(ServiceTranslation.build(service("h", ["clusterIP": "None"]), slices: [], nodeName: "a"))
        for label in ["service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"] {
            var others = service("web")
            others["metadata"]["labels"] = .object([label: "other"])
            XCTAssertNil(ServiceTranslation.build(others, slices: [], nodeName: "a"), label)
        }
        XCTAssertNil(ServiceTranslation.build(service("e", ["type": "ExternalName"]), slices: [], nodeName: "a"))
    }

    func testDrainingEndpointsServeWhenNothingElseIsLeft() {
        let endpoints: [JSON] = [
            [
                "addresses": ["10.244.0.5"],
                "conditions": ["ready": false, "serving": true, "terminating": true],
            ]
        ]
        let built = ServiceTranslation.build(service("web"), slices: [slice("web", endpoints)], nodeName: "alpha")
        XCTAssertEqual(built?["ports"][0]["endpoints"][0]["address"], "10.244.0.5")
    }

    /// One local endpoint that is ending, and one of another node that is ready.
    private let mixed: [JSON] = [
        [
            "addresses": ["10.244.0.5"], "nodeName": "alpha",
            "conditions": ["ready": false, "serving": true, "terminating": true],
        ],
        ["addresses": ["10.244.1.7"], "conditions": ["ready": true], "nodeName": "beta"],
    ]

    func testDrainingEndpointsOfThisNodeServeWhereOnlyLocalOnesCount() {
        for (policy, expected) in [
            ("externalTrafficPolicy", [["address": "10.244.0.5", "port": 8080]] as JSON),
            ("internalTrafficPolicy", [["address": "10.244.0.5", "port": 8080]]),
            ("", .null),
        ] {
            let specification: JSONObject = policy.isEmpty ? [:] : [policy: "Local"]
            let built = ServiceTranslation.build(
                service("web", specification), slices: [slice("web", mixed)], nodeName: "alpha")
            XCTAssertEqual(built?["ports"][0]["endpoints"].arrayValue.map { $0["address"] }, ["10.244.1.7"], policy)
            XCTAssertEqual(built?["ports"][0]["draining"], expected, policy)
        }
    }

    func testHintsKeepClientsNear() {
        func endpoint(_ address: String, nodes: [String] = [], zones: [String] = []) -> JSON {
            func names(_ list: [String]) -> JSON { .array(list.map { ["name": .string($0)] }) }
            return [
                "addresses": [.string(address)], "conditions": ["ready": true],
                "hints": ["forNodes": names(nodes), "forZones": names(zones)],
            ]
        }
        let rows: [([JSON], zone: String, [String], String)] = [
            (
                [endpoint("1.1.1.1", zones: ["east"]), endpoint("2.2.2.2", zones: ["west"])], "east", ["1.1.1.1"],
                "the own zone's"
            ),
            (
                [endpoint("1.1.1.1", zones: ["east"]), endpoint("2.2.2.2", zones: ["west"])], "north",
                ["1.1.1.1", "2.2.2.2"], "none is in this zone"
            ),
            (
                [endpoint("1.1.1.1", zones: ["east"]), endpoint("2.2.2.2", zones: ["west"])], "",
                ["1.1.1.1", "2.2.2.2"], "this node has no zone"
            ),
            (
                [endpoint("1.1.1.1", zones: ["east"]), endpoint("2.2.2.2")], "east", ["1.1.1.1", "2.2.2.2"],
                "hints are not complete"
            ),
            (
                [
                    endpoint("1.1.1.1", nodes: ["alpha"], zones: ["east"]),
                    endpoint("2.2.2.2", nodes: ["beta"], zones: ["east"]),
                ], "east", ["1.1.1.1"], "the own node's"
            ),
            (
                [
                    endpoint("1.1.1.1", nodes: ["gamma"], zones: ["west"]),
                    endpoint("2.2.2.2", nodes: ["beta"], zones: ["east"]),
                ], "east", ["2.2.2.2"], "no node's, but the zone's"
            ),
        ]
        for (endpoints, zone, expected, reason) in rows {
            let built = ServiceTranslation.build(
                service("web"), slices: [slice("web", endpoints)], nodeName: "alpha", zone: zone)
            let found = built?["ports"][0]["endpoints"].arrayValue.compactMap { $0["address"].stringValue }
            XCTAssertEqual(found, expected, reason)
        }
    }

    func testAnotherZoneIsTold() throws {
        let network = FakeNetwork()
        let feed = ServiceFeed(network: network, nodeName: "alpha") {}
        feed.serviceChanged(service("web"))
        feed.sliceChanged(
            slice(
                "web",
                [("1.1.1.1", "east"), ("2.2.2.2", "west")].map { address, zone in
                    ["addresses": [.string(address)], "hints": ["forZones": [["name": .string(zone)]]]]
                }))
        feed.ready()
        for zone in ["", "east", "west", "west"] {
            feed.zoneChanged(zone)
            try feed.send()
        }
        let told = network.services.withLock { $0 }.map { request in
            request["services"][0]["ports"][0]["endpoints"].arrayValue.compactMap { $0["address"].stringValue }
        }
        XCTAssertEqual(told, [["1.1.1.1", "2.2.2.2"], ["1.1.1.1"], ["2.2.2.2"]])
    }

    func testAddressesOfBalancers() {
        let rows: [(ranges: JSON, ingress: JSON, external: JSON, restricted: JSON, sources: JSON, reason: String)] = [
            (.null, [["ip": "192.0.2.7"]], ["1.1.1.1", "192.0.2.7"], .null, .null, "anybody"),
            (.null, [["ip": "192.0.2.7", "ipMode": "Proxy"]], ["1.1.1.1"], .null, .null, "the balancer must see it"),
            (.null, [["ip": "192.0.2.7", "ipMode": "VIP"]], ["1.1.1.1", "192.0.2.7"], .null, .null, "it need not"),
            (.null, [["hostname": "lb.example"]], ["1.1.1.1"], .null, .null, "a name"),
            (["10.0.0.0/8"], [["ip": "192.0.2.7"]], ["1.1.1.1"], ["192.0.2.7"], ["10.0.0.0/8"], "some clients"),
            (["10.0.0.0/8"], [["ip": "1.1.1.1"]], .null, ["1.1.1.1"], ["10.0.0.0/8"], "the stricter rule counts"),
            ([" 10.0.0.0/8 "], [["ip": "192.0.2.7"]], ["1.1.1.1"], ["192.0.2.7"], ["10.0.0.0/8"], "spaces"),
            (["0.0.0.0/0"], [["ip": "192.0.2.7"]], ["1.1.1.1", "192.0.2.7"], .null, .null, "everybody"),
            (["fd00::/8"], [["ip": "192.0.2.7"]], ["1.1.1.1", "192.0.2.7"], .null, .null, "the other family"),
            (["10.0.0.0/8"], [], ["1.1.1.1"], .null, .null, "no balancer yet"),
        ]
        for row in rows {
            var balanced = service(
                "web", ["type": "LoadBalancer", "externalIPs": ["1.1.1.1"], "loadBalancerSourceRanges": row.ranges])
            balanced["status"] = ["loadBalancer": ["ingress": row.ingress]]
            let built = ServiceTranslation.build(balanced, slices: [], nodeName: "alpha")
            XCTAssertEqual(built?["externalIPs"], row.external, row.reason)
            XCTAssertEqual(built?["restrictedIPs"], row.restricted, row.reason)
            XCTAssertEqual(built?["sourceRanges"], row.sources, row.reason)
        }
    }

    func testBalancersAreToldWhenTheNetworkKnows() throws {
        let told = Mutex<[[HealthCheck]]>([])
        let feed = ServiceFeed(
            network: FakeNetwork(), nodeName: "alpha", balancers: { checks in told.withLock { $0.append(checks) } },
            flush: {})
        let balanced = service(
            "web", ["type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32001])
        func check(_ count: Int) -> [HealthCheck] {
            [HealthCheck(namespace: "default", name: "web", port: 32001, localEndpoints: count)]
        }
        feed.serviceChanged(balanced)
        feed.serviceChanged(service("other"))
        feed.ready()
        XCTAssertNotNil(feed.health.pendingSince)
        try feed.send()
        XCTAssertNil(feed.health.pendingSince)
        let ready: JSON = ["addresses": ["10.244.0.6"], "conditions": ["ready": true], "nodeName": "alpha"]
        feed.sliceChanged(slice("web", mixed + [ready]))
        try feed.send()
        feed.sliceChanged(slice("other", mixed + [ready]))
        try feed.send()
        // The endpoint ends: it still serves, but does not count.
        feed.sliceChanged(slice("web", mixed))
        try feed.send()
        feed.resend()
        try feed.send()
        feed.serviceRemoved(balanced)
        try feed.send()
        XCTAssertEqual(told.withLock { $0 }, [check(0), check(1), check(0), []])
        XCTAssertEqual(feed.service("default/other")?.name, "other")
    }

    func testANetworkThatFailsIsBehind() throws {
        let network = FakeNetwork()
        let feed = ServiceFeed(network: network, nodeName: "alpha") {}
        feed.serviceChanged(service("web"))
        feed.ready()
        network.failsServices.withLock { $0 = true }
        XCTAssertThrowsError(try feed.send())
        let since = try XCTUnwrap(feed.health.pendingSince)
        XCTAssertTrue(feed.health.isHealthy(monotonic: since + RoutingHealth.patience - 1))
        XCTAssertFalse(feed.health.isHealthy(monotonic: since + RoutingHealth.patience))
        feed.serviceChanged(service("late"))
        XCTAssertEqual(feed.health.pendingSince, since, "it has waited since then")
        network.failsServices.withLock { $0 = false }
        try feed.send()
        XCTAssertNil(feed.health.pendingSince)
        XCTAssertEqual(network.services.withLock { $0.last?["services"].count }, 2, "all of it")
    }

    func testFullThenOnlyWhatChanged() throws {
        let network = FakeNetwork()
        let feed = ServiceFeed(network: network, nodeName: "alpha") {}
        feed.serviceChanged(service("a"))
        feed.serviceChanged(service("b"))
        try feed.send()
        XCTAssertEqual(network.services.withLock { $0.count }, 0, "not before both lists are complete")
        feed.ready()
        try feed.send()
        feed.sliceChanged(slice("a", [["addresses": ["10.244.0.5"], "conditions": ["ready": true]]]))
        try feed.send()
        feed.serviceChanged(service("b"))
        try feed.send()
        feed.serviceRemoved(service("b"))
        try feed.send()
        let sent = network.services.withLock { $0 }
        XCTAssertEqual(sent.count, 3, "an unchanged service is not sent again")
        XCTAssertEqual(sent[0]["full"], true)
        XCTAssertEqual(sent[0]["services"].count, 2)
        XCTAssertEqual(sent[1]["full"], .null)
        XCTAssertEqual(sent[1]["services"].arrayValue.map(\.self["name"]), ["a"])
        XCTAssertEqual(sent[2]["removed"], [["namespace": "default", "name": "b"]])
        feed.resend()
        try feed.send()
        XCTAssertEqual(network.services.withLock { $0.last?["full"] }, true)
    }

    func testEnvironmentServices() {
        let feed = ServiceFeed(network: FakeNetwork(), nodeName: "alpha") {}
        for name in ["b", "a", "kubernetes"] { feed.serviceChanged(service(name)) }
        XCTAssertEqual(feed.services(for: TestPods.pod()).map(\.name), ["kubernetes", "a", "b"])
        XCTAssertEqual(
            feed.services(for: TestPods.pod(specification: ["enableServiceLinks": false])).map(\.name), ["kubernetes"])
    }
}
