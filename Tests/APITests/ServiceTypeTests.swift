import Objects
import XCTest

@testable import API

/// Services whose type changes, and statuses with which annotations come along.
final class ServiceTypeTests: XCTestCase {
    private var server: TestServer!
    private let services = "/api/v1/namespaces/default/services"

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    func testTypesComeAndGo() throws {
        let made = try server.inProcess(
            "POST", services,
            [
                "apiVersion": "v1", "kind": "Service", "metadata": ["name": "s"],
                "spec": ["type": "ExternalName", "externalName": "a.example"],
            ])
        XCTAssertEqual(made.code, 201)
        let steps: [(String, JSON, (JSON) -> Bool)] = [
            (
                "an address", ["type": "ClusterIP", "externalName": .null, "ports": [["port": 80]]],
                { $0["clusterIP"].exists && $0["clusterIPs"].arrayValue.count == 1 }
            ),
            (
                "a port of the node", ["type": "NodePort"],
                { $0["ports"][0]["nodePort"].exists && $0["externalTrafficPolicy"] == "Cluster" }
            ),
            (
                "a name again", ["type": "ExternalName", "externalName": "b.example"],
                { spec in
                    ["clusterIP", "clusterIPs", "ipFamilies", "externalTrafficPolicy"].allSatisfy { !spec[$0].exists }
                        && !spec["ports"][0]["nodePort"].exists
                }
            ),
        ]
        for (reason, spec, holds) in steps {
            let answer = try server.inProcess("PATCH application/merge-patch+json", services + "/s", ["spec": spec])
            XCTAssertEqual(answer.code, 200, "\(reason): \(answer.json)")
            XCTAssertTrue(holds(answer.json["spec"]), "\(reason): \(answer.json["spec"])")
        }
        let wrong = try server.inProcess(
            "PATCH application/merge-patch+json", services + "/s", ["spec": ["clusterIP": "10.96.0.77"]])
        XCTAssertEqual(wrong.code, 422, "an address that was asked for is not dropped in silence")
    }

    private func make(_ name: String, _ spec: JSON) throws -> (code: Int32, json: JSON) {
        try server.inProcess(
            "POST", services,
            ["apiVersion": "v1", "kind": "Service", "metadata": ["name": .string(name)], "spec": spec])
    }

    func testTheHealthCheckPortComesAndGoes() throws {
        let port: JSON = [["port": 80]]
        let local: JSON = ["type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": port]
        let made = try make("h", local)
        XCTAssertEqual(made.code, 201, "\(made.json)")
        let chosen = made.json["spec"]["healthCheckNodePort"]
        XCTAssertTrue((30000...32767).contains(chosen.integerValue ?? 0), "\(chosen)")
        XCTAssertNotEqual(chosen, made.json["spec"]["ports"][0]["nodePort"])
        var taken = local
        taken["healthCheckNodePort"] = chosen
        XCTAssertEqual(try make("other", taken).code, 422, "a port is given once")
        let steps: [(reason: String, spec: JSON, code: Int32, port: JSON)] = [
            ("it stays, whatever else changes", ["sessionAffinity": "ClientIP"], 200, chosen),
            ("left out, it is kept", ["healthCheckNodePort": .null], 200, chosen),
            ("it does not change", ["healthCheckNodePort": 32001], 422, chosen),
            ("it goes with the policy", ["externalTrafficPolicy": "Cluster"], 200, .null),
            ("and comes with it", ["externalTrafficPolicy": "Local", "healthCheckNodePort": 32002], 200, 32002),
            ("it goes with the type", ["type": "NodePort"], 200, .null),
        ]
        for step in steps {
            let answer = try server.inProcess(
                "PATCH application/merge-patch+json", services + "/h", ["spec": step.spec])
            XCTAssertEqual(answer.code, step.code, "\(step.reason): \(answer.json)")
            let present = try server.inProcess("GET", services + "/h").json["spec"]["healthCheckNodePort"]
            XCTAssertEqual(present, step.port, step.reason)
        }
        XCTAssertEqual(try make("other", taken).code, 201, "what was given back is free")
    }

    func testPortsOfTheNodeGoWithTheType() throws {
        let made = try make("n", ["type": "NodePort", "ports": [["port": 80]]])
        let number = made.json["spec"]["ports"][0]["nodePort"]
        var changed = made.json
        changed["spec"]["type"] = "ClusterIP"
        changed["spec"]["ports"][0]["nodePort"] = number == 30001 ? 30002 : 30001
        let path = services + "/n"
        XCTAssertEqual(try server.inProcess("PUT", path, changed).code, 422, "another port is a wish, and refused")
        changed["spec"]["ports"][0]["nodePort"] = number
        let answer = try server.inProcess("PUT", path, changed)
        XCTAssertEqual(answer.code, 200, "\(answer.json)")
        XCTAssertFalse(answer.json["spec"]["ports"][0]["nodePort"].exists)
        XCTAssertFalse(answer.json["spec"]["externalTrafficPolicy"].exists)
        XCTAssertEqual(
            try make("m", ["type": "NodePort", "ports": [["port": 80, "nodePort": number]]]).code, 201,
            "what was given back is free")
        let without: JSON = [
            "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [["port": 80]],
        ]
        let balanced = try make("l", without)
        XCTAssertEqual(balanced.code, 201, "\(balanced.json)")
        XCTAssertFalse(balanced.json["spec"]["ports"][0]["nodePort"].exists, "none is wanted")
    }

    func testBalancersAreSaidToBeVirtualAddressesUnlessTheyProxy() throws {
        let made = try make("b", ["type": "LoadBalancer", "ports": [["port": 80]]])
        XCTAssertEqual(made.code, 201, "\(made.json)")
        let answer = try server.inProcess(
            "PATCH application/merge-patch+json", services + "/b/status",
            [
                "status": [
                    "loadBalancer": [
                        "ingress": [
                            ["ip": "192.0.2.7"], ["ip": "192.0.2.8", "ipMode": "Proxy"], ["hostname": "lb.example"],
                        ]
                    ]
                ]
            ])
        XCTAssertEqual(
            answer.json["status"]["loadBalancer"]["ingress"].arrayValue.map { $0["ipMode"] }, ["VIP", "Proxy", .null],
            "\(answer.json)")
    }

    func testProtocolsOfOnePortShareTheNodePort() throws {
        let both: JSON = [["name": "u", "port": 53, "protocol": "UDP"], ["name": "t", "port": 53, "protocol": "TCP"]]
        let made = try make("dns", ["type": "NodePort", "ports": both])
        let number = made.json["spec"]["ports"][0]["nodePort"]
        XCTAssertTrue(number.exists, "\(made.json)")
        XCTAssertEqual(made.json["spec"]["ports"][1]["nodePort"], number)
        let other = try make("late", ["type": "NodePort", "ports": [["name": "u", "port": 53, "protocol": "UDP"]]])
        let kept = other.json["spec"]["ports"][0]["nodePort"]
        XCTAssertNotEqual(kept, number)
        let grown = try server.inProcess(
            "PATCH application/merge-patch+json", services + "/late", ["spec": ["ports": both]])
        XCTAssertEqual(grown.json["spec"]["ports"].arrayValue.map { $0["nodePort"] }, [kept, kept], "\(grown.json)")
        // Where it is taken for the other protocol, that one gets a port of its own.
        let free = try make("udp", ["type": "NodePort", "ports": [["name": "u", "port": 53, "protocol": "UDP"]]])
        let wanted = free.json["spec"]["ports"][0]["nodePort"]
        let taken = try make("tcp", ["type": "NodePort", "ports": [["port": 80, "nodePort": wanted]]])
        XCTAssertEqual(taken.code, 201, "\(taken.json)")
        let split = try server.inProcess(
            "PATCH application/merge-patch+json", services + "/udp", ["spec": ["ports": both]])
        XCTAssertEqual(split.json["spec"]["ports"][0]["nodePort"], wanted)
        XCTAssertNotEqual(split.json["spec"]["ports"][1]["nodePort"], wanted, "\(split.json)")
    }

    /// Addresses come from all ranges that are ready, and from none that is about to go.
    func testFurtherRangesAreServed() throws {
        let ranges = "/apis/networking.k8s.io/v1/servicecidrs"
        func address(_ name: String, _ address: JSON) throws -> Int32 {
            try make(name, ["clusterIP": address, "ports": [["port": 80]]]).code
        }
        XCTAssertEqual(try address("early", "203.0.113.10"), 422, "nobody's range")
        let made = try server.inProcess(
            "POST", ranges,
            [
                "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
                "metadata": ["name": "more", "finalizers": ["example.com/hold"]],
                "spec": ["cidrs": ["203.0.113.0/24"]],
            ])
        XCTAssertEqual(made.code, 201, "\(made.json)")
        XCTAssertEqual(try address("early", "203.0.113.10"), 422, "not ready yet")
        let status: JSON = [
            "conditions": [
                [
                    "type": "Ready", "status": "True", "reason": "", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                ]
            ]
        ]
        let ready = try server.inProcess(
            "PATCH application/merge-patch+json", ranges + "/more/status", ["status": status])
        XCTAssertEqual(ready.code, 200, "\(ready.json)")
        try server.settled { $0.services.ranges.open.count == 2 }
        XCTAssertEqual(try address("first", "203.0.113.10"), 201)
        XCTAssertEqual(try address("second", "203.0.113.10"), 422, "an address is given once")
        let reserved = try server.inProcess(
            "POST", "/apis/networking.k8s.io/v1/ipaddresses",
            [
                "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress", "metadata": ["name": "203.0.113.11"],
                "spec": ["parentRef": ["group": "a.example", "resource": "gateways", "name": "g"]],
            ])
        XCTAssertEqual(reserved.code, 201, "\(reserved.json)")
        XCTAssertEqual(try address("third", "203.0.113.11"), 422, "somebody keeps it for another purpose")
        XCTAssertEqual(try server.inProcess("DELETE", ranges + "/more").code, 200)
        try server.settled { $0.services.ranges.open.count == 1 }
        XCTAssertEqual(try address("late", "203.0.113.12"), 422, "a range that is about to go")
        XCTAssertEqual(try server.inProcess("DELETE", services + "/first").code, 200)
        XCTAssertEqual(try address("any", .null), 201, "the configured range is there as ever")
    }

    func testLabelsAndAnnotationsComeWithAStatus() throws {
        let jobs = "/apis/batch/v1/namespaces/default/jobs"
        let template: JSON = ["spec": ["restartPolicy": "Never", "containers": [["name": "c", "image": "i"]]]]
        let made = try server.inProcess(
            "POST", jobs,
            [
                "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "j"],
                "spec": ["suspend": true, "template": template],
            ])
        XCTAssertEqual(made.code, 201)
        let patched = try server.inProcess(
            "PATCH application/merge-patch+json", jobs + "/j/status",
            [
                "metadata": ["annotations": ["patchedstatus": "true"]], "spec": ["suspend": false],
                "status": ["startTime": "2026-01-01T00:00:00Z"],
            ])
        XCTAssertEqual(patched.json.annotations["patchedstatus"], "true")
        XCTAssertEqual(patched.json["status"]["startTime"], "2026-01-01T00:00:00Z")
        XCTAssertEqual(patched.json["spec"]["suspend"], true)
    }
}
