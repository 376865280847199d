import Objects
import PluginAPI
import PluginKit
import PodNetworking
import XCTest

@testable import CNI

/// What plugins are told, in which order, and what becomes of their answers.
final class PluginChainTests: XCTestCase {
    private let runner = FakeRunner()
    private var chain: PluginChain { PluginChain(runner: runner, timeout: 5000) }

    private func list(_ version: String = "1.0.0", _ extra: JSON = [:]) throws -> NetworkList {
        var json: JSON = [
            "cniVersion": .string(version), "name": "net",
            "plugins": [
                ["type": "bridge", "bridge": "hostd0", "ipam": ["type": "host-local"]],
                ["type": "portmap", "capabilities": ["portMappings": true, "bandwidth": false], "snat": true],
            ],
        ]
        for (key, value) in extra.objectValue ?? [:] { json[key] = value }
        return try NetworkList(json, source: "t")
    }

    private func request() throws -> CNIRequest {
        CNIRequest(
            try AttachmentRequest([
                "sandboxID": "abc", "networkNamespace": "/ns/a", "podNamespace": "default", "podName": "web;x",
                "portMappings": [["hostPort": 80, "containerPort": 8080, "protocol": "UDP", "hostIP": "127.0.0.1"]],
                "bandwidth": ["ingressBits": 1000, "egressBits": 0],
            ]), uid: "u-1")
    }

    func testAddPassesResultsOn() throws {
        let result = try chain.add(list(), request(), deadline: 0)
        XCTAssertEqual(runner.commands, ["bridge ADD", "portmap ADD"])
        let calls = runner.state.withLock { $0.calls }
        XCTAssertEqual(
            calls[0].environment,
            [
                "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "abc", "CNI_NETNS": "/ns/a", "CNI_IFNAME": "eth0",
                "CNI_PATH": "/plugins:/more",
                "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u-1",
            ])
        XCTAssertEqual(calls[0].limit, 5000)
        XCTAssertEqual(
            calls[0].input,
            [
                "type": "bridge", "bridge": "hostd0", "ipam": ["type": "host-local"], "name": "net",
                "cniVersion": "1.0.0",
            ])
        XCTAssertEqual(calls[1].input["prevResult"], result.json)
        XCTAssertEqual(
            calls[1].input["runtimeConfig"],
            [
                "portMappings": [
                    ["hostPort": 80, "containerPort": 8080, "protocol": "udp", "hostIP": "127.0.0.1"]
                ]
            ])
        XCTAssertFalse(calls[1].input["capabilities"].exists)
        XCTAssertEqual(result.address(try request())?.address.description, "10.244.0.2")
        XCTAssertEqual(result.outside?.name, "veth-abc")
        XCTAssertEqual(result.inside(try request())?.mac, "0a:00:00:00:00:03")
    }

    func testCommandsByVersion() throws {
        let result = CNIResult(["cniVersion": "0.4.0"])
        for (version, expected) in [
            ("0.3.1", ["portmap DEL", "bridge DEL"]),
            ("1.0.0", ["bridge CHECK", "portmap CHECK", "portmap DEL", "bridge DEL"]),
            (
                "1.1.0",
                [
                    "bridge CHECK", "portmap CHECK", "portmap DEL", "bridge DEL", "bridge GC", "portmap GC",
                    "bridge STATUS", "portmap STATUS",
                ]
            ),
        ] {
            runner.clear()
            let list = try list(version)
            try chain.check(list, request(), result: result, deadline: 0)
            try chain.delete(list, request(), result: result, deadline: 0)
            try chain.collectGarbage(list, keeping: [("abc", "eth0")], deadline: 0)
            try chain.status(list, deadline: 0)
            XCTAssertEqual(runner.commands, expected, version)
            let deletion = runner.state.withLock { $0.calls.first { $0.command == .delete } }
            XCTAssertEqual(deletion?.input["prevResult"].exists, version != "0.3.1", version)
        }
        let garbage = runner.state.withLock { $0.calls.first { $0.command == .collectGarbage } }
        XCTAssertEqual(
            garbage?.input["cni.dev/valid-attachments"], [["containerID": "abc", "ifname": "eth0"]])
        XCTAssertNil(garbage?.environment["CNI_CONTAINERID"])
        runner.clear()
        let off = try list("1.1.0", ["disableCheck": true, "disableGC": true])
        try chain.check(off, request(), result: result, deadline: 0)
        try chain.collectGarbage(off, keeping: [], deadline: 0)
        XCTAssertEqual(runner.commands, [])
    }

    func testGarbageIsCollectedByAllEvenIfOneFails() throws {
        runner.state.withLock {
            $0.failures["bridge GC"] = .plugin(type: "bridge", command: "GC", code: 999, message: "no", details: "")
        }
        XCTAssertThrowsError(try chain.collectGarbage(list("1.1.0"), keeping: [], deadline: 0))
        XCTAssertEqual(runner.commands, ["bridge GC", "portmap GC"])
    }

    func testProbe() throws {
        for (type, versions) in [("bridge", ["0.4.0", "1.0.0"]), ("portmap", ["1.0.0"]), ("host-local", ["1.0.0"])] {
            runner.state.withLock { $0.answers["\(type) VERSION"] = ["supportedVersions": JSON(versions)] }
        }
        try chain.probe(list())
        XCTAssertEqual(runner.commands, ["bridge VERSION", "portmap VERSION", "host-local VERSION"])
        XCTAssertThrowsError(try chain.probe(list("0.4.0"))) {
            XCTAssertEqual($0 as? CNIError, .version(type: "portmap", wanted: "0.4.0", supported: ["1.0.0"]))
        }
    }

    func testDeadlines() throws {
        XCTAssertThrowsError(try chain.add(list(), request(), deadline: 1)) {
            XCTAssertEqual($0 as? CNIError, .timeout(type: "bridge", command: "ADD", milliseconds: 0))
        }
        XCTAssertEqual(runner.commands, [])
        _ = try chain.add(list(), request(), deadline: monotonicNanoseconds() + 2_000_000_000)
        XCTAssertLessThanOrEqual(runner.state.withLock { $0.calls[0].limit }, 2000)
    }

    func testAnswers() throws {
        func answer(_ status: Int32, _ output: String, _ errors: String = "") throws -> JSON {
            try PluginChain.answer(
                PluginOutput(status: status, output: Array(output.utf8), errors: errors), "bridge", .add)
        }
        XCTAssertEqual(try answer(0, "\n {\"a\":1}\n")["a"], 1)
        XCTAssertTrue(try answer(0, "").isNull)
        let rows: [(Int32, String, String, String)] = [
            (1, "{\"code\":7,\"msg\":\"bad\",\"details\":\"more\"}", "", "CNI plugin bridge, ADD: bad (more)"),
            (1, "{\"code\":7}", "", "error 7"), (0, "panic: oh", "", "no JSON"), (2, "panic", "", "no JSON"),
            (2, "", "first\nlast words\n", "ended with 2: last words"), (139, "", "", "said nothing"),
        ]
        for (status, output, errors, expected) in rows {
            XCTAssertThrowsError(try answer(status, output, errors), expected) {
                XCTAssertTrue("\($0)".contains(expected), "\($0)")
            }
        }
        XCTAssertThrowsError(try answer(1, "{\"msg\":\"no code\"}"))
    }

    func testErrorsThatCross() {
        func failure(_ code: Int64, _ message: String = "words") -> PluginError {
            CNIError.plugin(type: "x", command: "ADD", code: code, message: message, details: "").pluginError
        }
        for (code, expected, isRetryable) in [
            (1, HOSTD_ERROR_VERSION, false), (2, HOSTD_ERROR_NOT_SUPPORTED, false), (3, HOSTD_ERROR_NOT_FOUND, false),
            (4, HOSTD_ERROR_INVALID_ARGUMENT, false), (7, HOSTD_ERROR_INVALID_ARGUMENT, false),
            (11, HOSTD_ERROR_UNAVAILABLE, true), (50, HOSTD_ERROR_UNAVAILABLE, true),
            (999, HOSTD_ERROR_INTERNAL, true),
        ] as [(Int64, Int32, Bool)] {
            let error = failure(code)
            XCTAssertEqual(error.code, expected, "\(code)")
            XCTAssertEqual(error.isRetryable, isRetryable, "\(code)")
            XCTAssertTrue(error.message.contains("words"), "the plugin's own words")
        }
        XCTAssertEqual(
            failure(999, "failed to allocate for range 0: no IP addresses available in range set").code,
            HOSTD_ERROR_RESOURCE_EXHAUSTED)
        XCTAssertEqual(
            CNIError.timeout(type: "x", command: "ADD", milliseconds: 1).pluginError.code,
            HOSTD_ERROR_DEADLINE_EXCEEDED)
        XCTAssertEqual(CNIError.noProgram(type: "x", directories: []).pluginError.code, HOSTD_ERROR_NOT_FOUND)
    }

    func testResultsOfAllVersions() throws {
        let request = try request()
        let rows: [(JSON, String?, String)] = [
            (["ip4": ["ip": "10.0.0.5/24", "gateway": "10.0.0.1"]], "10.0.0.5/24 10.0.0.1", "0.2.0"),
            (["ips": [["version": "4", "address": "10.0.0.5/24"]]], "10.0.0.5/24 none", "0.4.0 without interfaces"),
            (["ips": [["address": "fd00::5/64"], ["address": "10.0.0.5/24"]]], "10.0.0.5/24 none", "two families"),
            (["ips": [["address": "fd00::5/64"]]], nil, "IPv6 alone"), ([:], nil, "nothing"),
            (
                [
                    "interfaces": [["name": "eth1", "sandbox": "/ns/a"], ["name": "eth0", "sandbox": "/ns/a"]],
                    "ips": [["address": "10.0.1.5/24", "interface": 0], ["address": "10.0.2.5/24", "interface": 1]],
                ], "10.0.2.5/24 none", "the pod's interface"
            ),
            (["ips": [["address": "10.0.0.5/33"], ["address": "10.0.0.5"]]], nil, "malformed"),
        ]
        for (json, expected, reason) in rows {
            let found = CNIResult(json).address(request)
            XCTAssertEqual(
                found.map { "\($0.address)/\($0.prefixLength) \($0.gateway?.description ?? "none")" }, expected, reason)
        }
        XCTAssertEqual(CNIResult(rows[0].0).current["ips"], [["address": "10.0.0.5/24", "gateway": "10.0.0.1"]])
        XCTAssertEqual(CNIResult([:]).current, ["interfaces": [], "ips": [], "routes": [], "dns": [:]])
    }
}
