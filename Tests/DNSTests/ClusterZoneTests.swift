import Objects
import XCTest

@testable import DNS

final class ClusterZoneTests: XCTestCase {
    private func zone() throws -> ClusterZone {
        let domain = try XCTUnwrap(DomainName("cluster.local"))
        var zone = ClusterZone(domain: domain, timeToLive: 5, reverseRanges: ["10.96.0.0/16", "10.244.0.0/24"])
        zone.setService([
            "metadata": ["name": "web", "namespace": "default"],
            "spec": [
                "clusterIP": "10.96.0.20", "clusterIPs": ["10.96.0.20", "fd00::20"],
                "ports": [
                    ["name": "http", "port": 80, "protocol": "TCP"], ["name": "dns", "port": 53, "protocol": "UDP"],
                ],
            ],
        ])
        zone.setService([
            "metadata": ["name": "db", "namespace": "data"],
            "spec": ["clusterIP": "None", "ports": [["name": "sql", "port": 5432]]],
        ])
        zone.setService([
            "metadata": ["name": "all", "namespace": "data"],
            "spec": ["clusterIP": "None", "publishNotReadyAddresses": true],
        ])
        zone.setService([
            "metadata": ["name": "idle", "namespace": "data"], "spec": ["clusterIP": "None"],
        ])
        zone.setService([
            "metadata": ["name": "far", "namespace": "default"],
            "spec": ["type": "ExternalName", "externalName": "example.org"],
        ])
        zone.setService([
            "metadata": ["name": "near", "namespace": "default"],
            "spec": ["type": "ExternalName", "externalName": "web.default.svc.cluster.local"],
        ])
        for service in ["db", "all"] {
            zone.setSlice([
                "metadata": [
                    "name": .string("\(service)-1"), "namespace": "data",
                    "labels": ["kubernetes.io/service-name": .string(service)],
                ],
                "addressType": "IPv4", "ports": [["name": "sql", "port": 15432, "protocol": "TCP"]],
                "endpoints": [
                    ["addresses": ["10.244.0.5"], "hostname": "DB-0", "conditions": ["ready": true]],
                    ["addresses": ["10.244.0.6"], "conditions": [:]],
                    ["addresses": ["10.244.0.7"], "hostname": "db-2", "conditions": ["ready": false]],
                ],
            ])
        }
        for (name, address, phase, hostNetwork) in [
            ("db-0", "10.244.0.5", "Running", false), ("lone", "10.244.0.9", "Running", false),
            ("done", "10.244.0.10", "Succeeded", false), ("host", "192.0.2.1", "Running", true),
        ] {
            zone.setPod([
                "metadata": ["name": .string(name), "namespace": "data"], "spec": ["hostNetwork": .bool(hostNetwork)],
                "status": ["podIP": .string(address), "phase": .string(phase)],
            ])
        }
        return zone
    }

    /// What an answer says, in short: data of the answers, or why there is none.
    private func text(_ zone: ClusterZone, _ name: String, _ type: UInt16) throws -> String {
        let question = Question(name: try XCTUnwrap(DomainName(name), name), type: type)
        switch zone.resolve(question) {
        case .foreign: return "foreign"
        case .alias(_, let target): return "alias \(target)"
        case .answer(let answer):
            switch (answer.code, answer.answers.isEmpty) {
            case (.nameError, true):
                XCTAssertEqual(answer.authority.first?.data.type, RecordType.soa)
                return "NXDOMAIN"
            case (.noError, true):
                XCTAssertEqual(answer.authority.first?.data.type, RecordType.soa)
                return "NODATA"
            case (.noError, false): return answer.answers.map { describe($0.data) }.joined(separator: " ")
            default: return "\(answer.code)"
            }
        }
    }

    private func describe(_ data: RecordData) -> String {
        switch data {
        case .address(let address): formatAddress(address)
        case .canonicalName(let name), .pointer(let name), .nameServer(let name): name.description
        case .service(let priority, let weight, let port, let target): "\(priority)/\(weight)/\(port)/\(target)"
        case .text(let text): String(decoding: text, as: UTF8.self)
        case .authority(let primary, _, _, _): "SOA \(primary)"
        case .opaque(let type, _): "TYPE\(type)"
        }
    }

    func testNames() throws {
        let zone = try zone()
        let a = RecordType.a
        let rows: [(String, UInt16, String, String)] = [
            ("web.default.svc.cluster.local", a, "10.96.0.20", "service"),
            ("WEB.Default.SVC.cluster.LOCAL", a, "10.96.0.20", "case does not count"),
            ("web.default.svc.cluster.local", RecordType.aaaa, "NODATA", "no IPv6"),
            ("web.other.svc.cluster.local", a, "NXDOMAIN", "other namespace"),
            ("nothing.default.svc.cluster.local", a, "NXDOMAIN", "unknown service"),
            ("default.svc.cluster.local", a, "NODATA", "namespace"),
            ("other.svc.cluster.local", a, "NXDOMAIN", "unknown namespace"),
            ("svc.cluster.local", a, "NODATA", "between names"),
            ("cluster.local", a, "NODATA", "apex"),
            ("cluster.local", RecordType.soa, "SOA ns.dns.cluster.local.", "apex"),
            ("cluster.local", RecordType.ns, "ns.dns.cluster.local.", "apex"),
            ("dns-version.cluster.local", RecordType.txt, "1.1.0", "specification"),
            ("else.cluster.local", a, "NXDOMAIN", "nothing of ours"),
            ("example.org", a, "foreign", "elsewhere"),
            ("xcluster.local", a, "foreign", "suffix of a label only"),
            (
                "_http._tcp.web.default.svc.cluster.local", RecordType.srv, "0/100/80/web.default.svc.cluster.local.",
                "port"
            ),
            (
                "_dns._udp.web.default.svc.cluster.local", RecordType.srv, "0/100/53/web.default.svc.cluster.local.",
                "port"
            ),
            ("_http._udp.web.default.svc.cluster.local", RecordType.srv, "NXDOMAIN", "wrong transport"),
            ("_http._tcp.web.default.svc.cluster.local", a, "NODATA", "wrong type"),
            ("_tcp.web.default.svc.cluster.local", RecordType.srv, "NODATA", "between names"),
            ("x.web.default.svc.cluster.local", a, "NXDOMAIN", "below a cluster address"),
            ("db.data.svc.cluster.local", a, "10.244.0.5 10.244.0.6", "headless: the ready ones"),
            ("all.data.svc.cluster.local", a, "10.244.0.5 10.244.0.6 10.244.0.7", "published when not ready"),
            ("idle.data.svc.cluster.local", a, "NXDOMAIN", "headless without endpoints"),
            ("db-0.db.data.svc.cluster.local", a, "10.244.0.5", "hostname"),
            ("10-244-0-6.db.data.svc.cluster.local", a, "10.244.0.6", "without hostname"),
            ("db-2.db.data.svc.cluster.local", a, "NXDOMAIN", "not ready"),
            ("x.db-0.db.data.svc.cluster.local", a, "NXDOMAIN", "too deep"),
            (
                "_sql._tcp.db.data.svc.cluster.local", RecordType.srv,
                "0/50/15432/db-0.db.data.svc.cluster.local. 0/50/15432/10-244-0-6.db.data.svc.cluster.local.",
                "the endpoints' port"
            ),
            ("far.default.svc.cluster.local", a, "alias example.org.", "external"),
            ("far.default.svc.cluster.local", RecordType.cname, "example.org.", "external"),
            ("x.far.default.svc.cluster.local", a, "NXDOMAIN", "below an external name"),
            ("10-244-0-9.data.pod.cluster.local", a, "10.244.0.9", "pod"),
            ("10-244-0-9.default.pod.cluster.local", a, "NXDOMAIN", "pod of another namespace"),
            ("10-244-0-10.data.pod.cluster.local", a, "NXDOMAIN", "finished pod"),
            ("010-244-0-9.data.pod.cluster.local", a, "NXDOMAIN", "leading zero"),
            ("data.pod.cluster.local", a, "NODATA", "namespace of pods"),
            ("default.pod.cluster.local", a, "NXDOMAIN", "namespace without pods"),
            ("20.0.96.10.in-addr.arpa", RecordType.ptr, "web.default.svc.cluster.local.", "reverse of a service"),
            ("20.0.96.10.in-addr.arpa", a, "NODATA", "reverse, wrong type"),
            ("9.0.244.10.in-addr.arpa", RecordType.ptr, "10-244-0-9.data.pod.cluster.local.", "reverse of a pod"),
            ("99.0.244.10.in-addr.arpa", RecordType.ptr, "NXDOMAIN", "nobody in our range"),
            ("1.2.0.192.in-addr.arpa", RecordType.ptr, "foreign", "another range"),
            ("0.96.10.in-addr.arpa", RecordType.ptr, "foreign", "no whole address"),
            ("web.default.svc.cluster.local", RecordType.axfr, "refused", "transfer"),
        ]
        for (name, type, expected, reason) in rows {
            XCTAssertEqual(try text(zone, name, type), expected, "\(name): \(reason)")
        }
        let pointer = try text(zone, "5.0.244.10.in-addr.arpa", RecordType.ptr)
        XCTAssertTrue(
            ["db-0.db.data.svc.cluster.local.", "db-0.all.data.svc.cluster.local."].contains(pointer), pointer)
    }

    func testServiceRecordsCarryAddresses() throws {
        let name = try XCTUnwrap(DomainName("_sql._tcp.db.data.svc.cluster.local"))
        guard case .answer(let answer) = try zone().resolve(Question(name: name, type: RecordType.srv)) else {
            return XCTFail("no answer")
        }
        XCTAssertEqual(answer.additional.map { describe($0.data) }, ["10.244.0.5", "10.244.0.6"])
        XCTAssertTrue(answer.isAuthoritative)
        XCTAssertEqual(answer.answers.first?.timeToLive, 5)
    }

    func testChangesAndRemovals() throws {
        var zone = try zone()
        let a = RecordType.a
        zone.setService([
            "metadata": ["name": "web", "namespace": "default"], "spec": ["clusterIP": "10.96.0.21"],
        ])
        XCTAssertEqual(try text(zone, "web.default.svc.cluster.local", a), "10.96.0.21")
        XCTAssertEqual(try text(zone, "20.0.96.10.in-addr.arpa", RecordType.ptr), "NXDOMAIN")
        for name in ["web", "far", "near"] { zone.removeService(namespace: "default", name: name) }
        zone.removeService(namespace: "default", name: "web")
        XCTAssertEqual(try text(zone, "default.svc.cluster.local", a), "NXDOMAIN")
        zone.removeSlice(namespace: "data", name: "db-1")
        XCTAssertEqual(try text(zone, "db.data.svc.cluster.local", a), "NXDOMAIN")
        XCTAssertEqual(try text(zone, "all.data.svc.cluster.local", a), "10.244.0.5 10.244.0.6 10.244.0.7")
        for name in ["lone", "db-0"] { zone.removePod(namespace: "data", name: name) }
        XCTAssertEqual(try text(zone, "data.pod.cluster.local", a), "NXDOMAIN")
        XCTAssertEqual(zone.podNamespaces, [:])
    }

    func testAnAddressThatMovesToAnotherPod() throws {
        var zone = try zone()
        func pod(_ name: String, _ address: String) -> JSON {
            [
                "metadata": ["name": .string(name), "namespace": "data"],
                "status": ["podIP": .string(address), "phase": "Running"],
            ]
        }
        zone.setPod(pod("next", "10.244.0.9"))
        zone.removePod(namespace: "data", name: "lone")
        XCTAssertEqual(try text(zone, "10-244-0-9.data.pod.cluster.local", RecordType.a), "10.244.0.9")
    }
}
