import Objects
import XCTest

@testable import Network
@testable import PodNetworking

final class ServiceTableTests: XCTestCase {
    private func service(
        _ name: String, address: String = "10.96.0.20", endpoints: [String] = ["10.244.0.2"], nodePort: Int? = nil,
        local: Set<String> = ["10.244.0.2"], extra: [String: JSON] = [:]
    ) throws -> Service {
        var port: JSON = [
            "name": "http", "protocol": "TCP", "port": 80,
            "endpoints": .array(
                endpoints.map { ["address": .string($0), "port": 8080, "local": .bool(local.contains($0))] }),
        ]
        if let nodePort { port["nodePort"] = JSON(nodePort) }
        var json: JSON = [
            "namespace": "default", "name": .string(name), "clusterIPs": [.string(address)], "sessionAffinity": "None",
            "ports": [port],
        ]
        for (key, value) in extra { json[key] = value }
        return try Service(json)
    }

    func testOnlyChangesAreChanges() throws {
        var table = ServiceTable()
        let first = table.update([try service("a"), try service("b", address: "10.96.0.21")], removed: [], full: true)
        XCTAssertEqual(first.changed.map(\.new.name), ["default/a:http/TCP", "default/b:http/TCP"])
        XCTAssertTrue(first.changed.allSatisfy { $0.old == nil })
        XCTAssertTrue(table.update([try service("a")], removed: [], full: false).isEmpty)
        let grown = table.update([try service("a", endpoints: ["10.244.0.2", "10.244.0.3"])], removed: [], full: false)
        XCTAssertEqual(grown.changed.count, 1)
        XCTAssertEqual(grown.changed.first?.old?.id, grown.changed.first?.new.id)
        XCTAssertEqual(grown.changed.first?.new.endpoints.count, 2)
        let full = table.update([try service("b", address: "10.96.0.21")], removed: [], full: true)
        XCTAssertEqual(full.removed.map(\.name), ["default/a:http/TCP"])
        XCTAssertTrue(full.changed.isEmpty)
        XCTAssertTrue(table.update([], removed: ["default/unknown"], full: false).isEmpty)
        XCTAssertEqual(table.update([], removed: ["default/b"], full: false).removed.count, 1)
        XCTAssertEqual(table.serviceCount, 0)
        XCTAssertTrue(table.routes.isEmpty)
    }

    func testAddressesBelongToOneService() throws {
        var table = ServiceTable()
        let changes = table.update([try service("a"), try service("b")], removed: [], full: false)
        XCTAssertEqual(changes.conflicts.count, 1)
        XCTAssertEqual(changes.changed.last?.new.frontends, [])
        // Within one update a removed service makes room for the next.
        let next = table.update([try service("c")], removed: ["default/a", "default/b"], full: false)
        XCTAssertEqual(next.conflicts, [])
        XCTAssertEqual(next.changed.last?.new.frontends.count, 1)
    }

    func testPolicies() throws {
        let both = ["10.244.0.2", "10.244.9.9"]
        let rows: [([String: JSON], Int?, [String], String)] = [
            ([:], nil, ["20:80 > 2"], "cluster address only"),
            ([:], 30080, ["20:80,node:30080 > 2"], "node port"),
            (["externalIPs": ["192.0.2.7"]], nil, ["20:80,7:80 > 2"], "external address"),
            (["internalTrafficPolicy": "Local"], nil, ["20:80 > 1"], "local inside"),
            (["internalTrafficPolicy": "Local"], 30080, ["20:80 > 1", "node:30080 > 2"], "local inside, node port"),
            (["externalTrafficPolicy": "Local"], 30080, ["20:80 > 2", "node:30080 > 2/1"], "local outside"),
            (["externalTrafficPolicy": "Local"], nil, ["20:80 > 2"], "local outside, nothing outside"),
            (
                ["restrictedIPs": ["192.0.2.7"], "sourceRanges": ["192.0.2.9/24", "fd00::/8"]], 30080,
                ["20:80,node:30080 > 2", "7:80 > 2 from 192.0.2.0/24"], "for some clients only"
            ),
            (
                ["restrictedIPs": ["192.0.2.7"], "sourceRanges": ["10.0.0.0/8"], "externalTrafficPolicy": "Local"], nil,
                ["20:80 > 2", "7:80 > 2/1 from 10.0.0.0/8"], "for some clients only, local outside"
            ),
            (["clusterIPs": ["None"]], nil, [], "headless"),
            (["clusterIPs": ["fd00::1"]], nil, [], "IPv6"),
        ]
        for (extra, nodePort, expected, reason) in rows {
            var table = ServiceTable()
            _ = table.update(
                [try service("a", endpoints: both, nodePort: nodePort, extra: extra)], removed: [], full: true)
            let routes = table.routes.map { route in
                let frontends = route.frontends.map { frontend in
                    "\(frontend.address.map { String($0.value & 255) } ?? "node"):\(frontend.port)"
                }
                let outside = route.outsideEndpoints.map { "/\($0.count)" } ?? ""
                let sources = route.sources.map { " from " + $0.map(\.description).joined(separator: ",") } ?? ""
                return "\(frontends.joined(separator: ",")) > \(route.endpoints.count)\(outside)\(sources)"
            }
            XCTAssertEqual(routes, expected, reason)
        }
    }

    func testAffinityAndDuplicates() throws {
        let sticky = try service("a", extra: ["sessionAffinity": "ClientIP"])
        XCTAssertEqual(sticky.affinitySeconds, 10800)
        let timed = try service("a", extra: ["sessionAffinity": "ClientIP", "affinityTimeoutSeconds": 7])
        XCTAssertEqual(timed.affinitySeconds, 7)
        XCTAssertNil(try service("a").affinitySeconds)
        XCTAssertEqual(
            try service("a", endpoints: ["10.244.0.2", "10.244.0.2", "fd00::2"]).ports.first?.endpoints.count, 1)
    }

    func testBadServices() {
        let rows: [(JSON, String)] = [
            ([:], "nothing"), (["namespace": "a", "name": ""], "no name"),
            (["namespace": "a", "name": "b", "ports": [["port": 0]]], "port 0"),
            (["namespace": "a", "name": "b", "ports": [["port": 80, "protocol": "ICMP"]]], "protocol"),
            (
                ["namespace": "a", "name": "b", "ports": [["port": 80, "endpoints": [["address": "x", "port": 1]]]]],
                "address"
            ),
            (
                ["namespace": "a", "name": "b", "ports": [["port": 80, "endpoints": [["address": "1.2.3.4"]]]]],
                "no port"
            ),
        ]
        for (json, reason) in rows { XCTAssertThrowsError(try Service(json), reason) }
    }
}
