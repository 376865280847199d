import Objects
import PluginAPI
import PluginKit
import XCTest

@testable import PodNetworking

/// hostd.network.state/1: what is written can be read, and what cannot be trusted is refused.
final class NetworkStateTests: XCTestCase {
    private func attachment(_ sandbox: String, _ address: String) throws -> Attachment {
        let json: JSON = [
            "sandboxID": .string(sandbox), "networkNamespace": "/ns/a", "podName": "web",
            "portMappings": [["hostPort": 80, "containerPort": 8080, "protocol": "UDP", "hostIP": "127.0.0.1"]],
        ]
        return Attachment(try AttachmentRequest(json), address: try XCTUnwrap(IPv4Address(parsing: address)))
    }

    func testRoundTrip() throws {
        var made = try attachment("a", "10.22.0.5")
        made.prefixLength = 16
        made.gateway = IPv4Address(parsing: "10.22.0.1")
        made.hostName = "veth1234"
        made.namespaceCookie = .max
        made.macAddress = try XCTUnwrap(MACAddress(parsing: "0a:58:0a:16:00:05"))
        made.answersDirectly = true
        made.mapsPortsItself = true
        let service = try Service([
            "namespace": "default", "name": "web", "clusterIPs": ["10.96.0.20", "fd00::1"],
            "externalIPs": ["192.0.2.1"], "sessionAffinity": "ClientIP", "affinityTimeoutSeconds": 7,
            "externalTrafficPolicy": "Local",
            "ports": [
                [
                    "name": "http", "protocol": "SCTP", "port": 80, "nodePort": 30080,
                    "endpoints": [
                        ["address": "10.244.0.5", "port": 8080, "local": true],
                        ["address": "10.244.1.5", "port": 8080],
                    ],
                ]
            ],
        ])
        let state = NetworkState(
            attachments: [try attachment("b", "10.244.0.6"), made], lastAddress: IPv4Address(parsing: "10.244.0.9"),
            services: [service], routing: [RoutingPath(table: "hostd", pins: ["/sys/fs/bpf/hostd-1/x"])])
        XCTAssertEqual(try NetworkState(parsing: state.serialized), state)
        XCTAssertTrue(String(decoding: state.serialized, as: UTF8.self).hasPrefix("hostd.network.state/1\n{"))
        XCTAssertEqual(try NetworkState(parsing: NetworkState().serialized), NetworkState())
        XCTAssertNil(try NetworkState(parsing: NetworkState().serialized).services, "not told is not none")
    }

    func testWhatIsRefused() throws {
        let rows: [(String, Int32, String)] = [
            ("", HOSTD_ERROR_VERSION, "empty"), ("hostd.network.state/2\n{}", HOSTD_ERROR_VERSION, "newer"),
            ("hostd.network.state/1", HOSTD_ERROR_VERSION, "without end of line"),
            ("hostd.network.state/1\n{", HOSTD_ERROR_INVALID_ARGUMENT, "cut off"),
            ("hostd.network.state/1\n{\"attachments\":[{}]}", HOSTD_ERROR_INVALID_ARGUMENT, "incomplete"),
            ("hostd.network.state/1\n{\"routing\":[{\"table\":\"filter\"}]}", HOSTD_ERROR_INVALID_ARGUMENT, "foreign"),
            (
                "hostd.network.state/1\n{\"routing\":[{\"table\":\"hostd\",\"pins\":[\"/a/../b\"]}]}",
                HOSTD_ERROR_INVALID_ARGUMENT, "climbing"
            ),
        ]
        for (text, code, reason) in rows {
            XCTAssertThrowsError(try NetworkState(parsing: Array(text.utf8)), reason) {
                XCTAssertEqual(($0 as? PluginError)?.code, code, reason)
            }
        }
        for pair in [[("a", "10.0.0.2"), ("a", "10.0.0.3")], [("a", "10.0.0.2"), ("b", "10.0.0.2")]] {
            let state = NetworkState(attachments: try pair.map { try attachment($0, $1) })
            XCTAssertThrowsError(try NetworkState(parsing: state.serialized)) {
                XCTAssertTrue("\($0)".contains("twice"), "\($0)")
            }
        }
    }

    func testRecordsOfEarlierVersionsAreRead() throws {
        let record: JSON = [
            "sandboxID": "a", "address": "10.244.0.5", "hostName": "hd1", "interfaceName": "eth0",
            "networkNamespace": "/ns/a", "namespaceCookie": "7",
        ]
        let attachment = try XCTUnwrap(Attachment(record))
        XCTAssertEqual(attachment.macAddress.description, "0a:68:0a:f4:00:05")
        XCTAssertNil(attachment.prefixLength)
        for address in ["10.244.0.5/33", "10.244.0.5/", "10.244.0.5/24/1", "10.244.0", ""] {
            var bad = record
            bad["address"] = .string(address)
            XCTAssertNil(Attachment(bad), address)
        }
    }

    func testMACAddresses() {
        for (text, isAddress) in [
            ("0a:68:0a:f4:00:02", true), ("0A:68:0a:f4:00:02", true), ("0a:68:0a:f4:00", false),
            ("0a:68:0a:f4:00:02:03", false), ("0a:68:0a:f4:00:+2", false), ("0a:68:0a:f4:0:002", false), ("", false),
        ] { XCTAssertEqual(MACAddress(parsing: text) != nil, isAddress, text) }
    }
}
