import Objects
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
