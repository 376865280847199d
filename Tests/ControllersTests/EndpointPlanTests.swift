import Objects
import XCTest

@testable import Controllers

final class EndpointPlanTests: XCTestCase {
    private func pod(
        _ index: Int, ready: Bool = true, deleted: Bool = false, phase: String = "Running", port: Int64? = nil,
        extra: [String: JSON] = [:]
    ) -> JSON {
        var spec: JSON = ["nodeName": "alpha", "containers": [[:]]]
        if let port { spec["containers"] = [["ports": [["name": "http", "containerPort": .integer(port)]]]] }
        for (key, value) in extra { spec[key] = value }
        var metadata: JSON = ["name": .string("pod-\(index)"), "namespace": "default", "uid": .string("u\(index)")]
        if deleted { metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z" }
        return [
            "metadata": metadata, "spec": spec,
            "status": [
                "phase": .string(phase), "podIP": .string("10.0.\(index / 250).\(index % 250 + 1)"),
                "conditions": [["type": "Ready", "status": ready ? "True" : "False"]],
            ],
        ]
    }
    private func service(_ extra: [String: JSON] = [:], targetPort: JSON = 8080) -> JSON {
        var spec: JSON = [
            "clusterIP": "10.96.0.5", "ipFamilies": ["IPv4"], "selector": ["app": "web"],
            "ports": [["name": "web", "port": 80, "protocol": "TCP", "targetPort": targetPort]],
        ]
        for (key, value) in extra { spec[key] = value }
        return ["metadata": ["name": "web", "namespace": "default", "uid": "s", "labels": ["a": "b"]], "spec": spec]
    }
    /// Slices as the API would hold them.
    private func apply(_ changes: EndpointPlan.SliceChanges, to existing: [JSON]) -> [JSON] {
        var slices = existing.filter { slice in !changes.delete.contains { $0.name == slice.name } }
        for update in changes.update {
            if let index = slices.firstIndex(where: { $0.name == update.name }) { slices[index] = update }
        }
        for (index, created) in changes.create.enumerated() {
            var slice = created
            slice["metadata"]["name"] = .string("web-\(existing.count + index)")
            slices.append(slice)
        }
        return slices
    }

    func testConditions() {
        let cases: [(String, JSON, Bool, JSON)] = [
            ("ready", pod(1), false, ["ready": true, "serving": true, "terminating": false]),
            ("unready", pod(1, ready: false), false, ["ready": false, "serving": false, "terminating": false]),
            ("terminating", pod(1, deleted: true), false, ["ready": false, "serving": true, "terminating": true]),
            ("published unready", pod(1, ready: false), true, ["ready": true, "serving": false, "terminating": false]),
        ]
        for (reason, pod, publishes, expected) in cases {
            let plan = EndpointPlan(service(["publishNotReadyAddresses": .bool(publishes)]), pods: [pod])
            XCTAssertEqual(plan.groups.values.first?.first?["conditions"], expected, reason)
        }
        XCTAssertTrue(EndpointPlan(service(), pods: [pod(1, phase: "Succeeded")]).groups.isEmpty)
    }

    func testPlacesAndHints() {
        let zone: JSON = ["forZones": [["name": "east"]]]
        let rows: [(distribution: JSON, zone: String?, ready: Bool, hints: JSON, reason: String)] = [
            (.null, "east", true, .null, "no wish"), ("PreferClose", "east", true, zone, "the zone"),
            ("PreferSameZone", "east", true, zone, "the zone, by its newer name"),
            (
                "PreferSameNode", "east", true, zone.with("forNodes", [["name": "alpha"]]), "the node, or else the zone"
            ),
            ("PreferSameNode", nil, true, ["forNodes": [["name": "alpha"]]], "a node without a zone"),
            ("PreferClose", nil, true, .null, "no zone"), ("PreferClose", "east", false, .null, "not ready"),
        ]
        for row in rows {
            let plan = EndpointPlan(
                service(["trafficDistribution": row.distribution]), pods: [pod(1, ready: row.ready)]
            ) { $0 == "alpha" ? row.zone : "west" }
            let endpoint = plan.groups.values.first?.first
            XCTAssertEqual(endpoint?["hints"], row.hints, row.reason)
            XCTAssertEqual(endpoint?["zone"].stringValue, row.zone, row.reason)
            XCTAssertTrue(plan.subsets[0]["addresses"][0]["zone"].isNull, "the older objects have no zones")
        }
    }

    func testNamedPortsMayDiffer() {
        let plan = EndpointPlan(service(targetPort: "http"), pods: [pod(1, port: 8080), pod(2, port: 9090), pod(3)])
        let ports = plan.groups.keys.map { $0.ports.first?["port"].integerValue ?? 0 }.sorted()
        XCTAssertEqual(ports, [0, 8080, 9090])
    }

    func testHostnameOfASubdomain() {
        let named = pod(1, extra: ["hostname": "db-0", "subdomain": "web"])
        XCTAssertEqual(EndpointPlan(service(), pods: [named]).groups.values.first?.first?["hostname"], "db-0")
        let other = pod(1, extra: ["hostname": "db-0", "subdomain": "else"])
        XCTAssertEqual(EndpointPlan(service(), pods: [other]).groups.values.first?.first?["hostname"].isNull, true)
    }

    func testSlicesHoldAHundredAndStayPut() {
        let pods = (0..<250).map { pod($0) }
        var slices = apply(EndpointPlan(service(), pods: pods).sliceChanges(existing: []), to: [])
        XCTAssertEqual(slices.map { $0["endpoints"].arrayValue.count }.sorted(), [50, 100, 100])
        XCTAssertTrue(EndpointPlan(service(), pods: pods).sliceChanges(existing: slices).isEmpty)
        let fewer = Array(pods.dropFirst())
        let changes = EndpointPlan(service(), pods: fewer).sliceChanges(existing: slices)
        XCTAssertEqual(changes.update.count, 1, "one pod less touches one slice")
        XCTAssertTrue(changes.create.isEmpty && changes.delete.isEmpty)
        slices = apply(changes, to: slices)
        let more = apply(EndpointPlan(service(), pods: pods).sliceChanges(existing: slices), to: slices)
        XCTAssertEqual(more.count, 3)
        XCTAssertEqual(more.reduce(0) { $0 + $1["endpoints"].arrayValue.count }, 250)
    }

    func testAServiceWithoutPodsHasOneEmptySlice() {
        let plan = EndpointPlan(service(), pods: [])
        let changes = plan.sliceChanges(existing: [])
        XCTAssertEqual(changes.create.count, 1)
        XCTAssertEqual(changes.create[0]["endpoints"], [])
        let slices = apply(changes, to: [])
        XCTAssertTrue(plan.sliceChanges(existing: slices).isEmpty)
        let filled = EndpointPlan(service(), pods: [pod(1)]).sliceChanges(existing: slices)
        XCTAssertEqual(filled.update.count, 1, "the empty slice is used")
        XCTAssertTrue(filled.create.isEmpty && filled.delete.isEmpty)
        let full = apply(filled, to: slices)
        let emptied = plan.sliceChanges(existing: full)
        XCTAssertEqual(apply(emptied, to: full).count, 1)
    }

    func testLabels() {
        let labels = EndpointPlan(service(["clusterIP": "None"]), pods: [pod(1)]).sliceChanges(existing: []).create[0]
            .labels
        XCTAssertEqual(labels[EndpointPlan.serviceLabel], "web")
        XCTAssertEqual(labels[EndpointPlan.managedByLabel], "endpointslice-controller.k8s.io")
        XCTAssertEqual(labels[EndpointPlan.headlessLabel], "")
        XCTAssertEqual(labels["a"], "b")
    }

    func testEndpointsObject() {
        let plan = EndpointPlan(service(), pods: [pod(1), pod(2, ready: false), pod(3, deleted: true)])
        let subset = plan.subsets[0]
        XCTAssertEqual(subset["addresses"].arrayValue.map { $0["ip"] }, ["10.0.0.2"])
        XCTAssertEqual(subset["notReadyAddresses"].arrayValue.map { $0["ip"] }, ["10.0.0.3"])
        XCTAssertEqual(subset["ports"][0]["port"], 8080)
        XCTAssertTrue(EndpointPlan(service(), pods: []).subsets.isEmpty)
    }

    func testAddressOfAURL() {
        for (url, host, port) in [
            ("https://127.0.0.1:6443", "127.0.0.1", 6443), ("https://[::1]:8443/", "::1", 8443),
        ] as [(String, String, Int64)] {
            let address = ClusterServices.address(ofURL: url)
            XCTAssertEqual(address?.host, host)
            XCTAssertEqual(address?.port, port)
        }
        for wrong in ["", "https://", "nonsense", "https://host"] {
            XCTAssertNil(ClusterServices.address(ofURL: wrong), wrong)
        }
    }
}
