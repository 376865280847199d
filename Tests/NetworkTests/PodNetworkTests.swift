import Glibc
import Objects
import PluginKit
import XCTest

@testable import Network
@testable import PodNetworking

/// Attach, check, detach and garbage, over links that are only recorded.
final class PodNetworkTests: XCTestCase {
    private var directory = ""
    private let links = FakeLinks()
    private let router = FakeRouter()

    override func setUpWithError() throws {
        var template = Array("/tmp/hostd-network-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw TestFailure("mkdtemp", errno) }
        directory = String(cString: made)
    }

    private var networks: [PodNetwork] = []

    override func tearDownWithError() throws {
        for network in networks { network.stop() }
        networks = []
        try shell("rm -rf \(directory)")
    }

    /// A network as at a start: it reads what is on disk.
    private func network(podRange: String = "10.244.0.0/24") throws -> (network: PodNetwork, quarantined: [String]) {
        let settings = try NetworkSettings(
            PluginConfiguration(
                settings: ["podRange": .string(podRange)], dataDirectory: directory, pluginDirectory: directory,
                libexecDirectory: "/nowhere"))
        let store = AttachmentStore(directory: directory)
        try store.prepare()
        let (attachments, quarantined) = try store.load()
        let bridge = Bridge(index: 5, macAddress: MACAddress(for: settings.gateway))
        let network = try PodNetwork(
            settings: settings, links: links, store: store, routers: [router], bridge: bridge,
            attachments: attachments)
        networks.append(network)
        return (network, quarantined)
    }

    private func request(_ sandbox: String, hostPort: Int? = nil, interface: String = "eth0") throws
        -> AttachmentRequest
    {
        var json: JSON = [
            "sandboxID": .string(sandbox), "networkNamespace": .string("/ns/\(sandbox)"),
            "interfaceName": .string(interface),
        ]
        if let hostPort { json["portMappings"] = [["hostPort": JSON(hostPort), "containerPort": 80]] }
        return try AttachmentRequest(json)
    }

    private func address(_ result: JSON) -> String { result["ips"][0]["address"].stringValue ?? "" }

    private func calls(_ name: String) -> Int { links.state.withLock { $0.calls.filter { $0.hasPrefix(name) }.count } }

    func testResultIsCNIs() throws {
        let result = try network().network.attach(request("a"))
        XCTAssertEqual(
            result,
            [
                "interfaces": [
                    ["name": .string(Attachment.hostName(sandbox: "a")), "sandbox": ""],
                    ["name": "eth0", "mac": "0a:68:0a:f4:00:02", "sandbox": "/ns/a"],
                ],
                "ips": [["address": "10.244.0.2/24", "gateway": "10.244.0.1", "interface": 1]],
                "routes": [["dst": "0.0.0.0/0", "gw": "10.244.0.1"]], "dns": [:],
            ])
    }

    func testAttachTwiceGivesTheSame() throws {
        let network = try network().network
        let first = try network.attach(request("a"))
        XCTAssertEqual(try network.attach(request("a")), first)
        XCTAssertEqual(calls("connect"), 1)
        XCTAssertThrowsError(try network.attach(request("a", interface: "eth1")))
        // Without its link, as after a restart of the machine, it is made again with the same address.
        links.state.withLock { $0.links = [:] }
        XCTAssertEqual(try network.attach(request("a")), first)
        XCTAssertEqual(calls("connect"), 2)
    }

    func testSurvivesTheEndOfTheProcess() throws {
        let first = try network().network.attach(request("a"))
        let second = try network().network.attach(request("b"))
        let restarted = try network().network
        XCTAssertEqual(try restarted.attach(request("a")), first)
        XCTAssertEqual(try restarted.attach(request("b")), second)
        XCTAssertEqual(address(try restarted.attach(request("c"))), "10.244.0.4/24")
        XCTAssertEqual(restarted.addressCounts.used, 3)
        try restarted.detach(sandbox: "c")
        restarted.settle()
        XCTAssertEqual(address(try network().network.attach(request("d"))), "10.244.0.5/24")
    }

    func testUnreadableRecordsArePutAside() throws {
        _ = try network().network.attach(request("a"))
        for (name, text) in [("b", "{"), ("c", "{\"sandboxID\":\"other\"}"), ("d", "")] {
            try shell("printf '%s' '\(text)' > \(directory)/attachments/\(name).json")
        }
        try shell("touch \(directory)/attachments/e.json.new")
        let (restarted, quarantined) = try network()
        XCTAssertEqual(quarantined.sorted(), ["b.json", "c.json", "d.json"])
        XCTAssertEqual(restarted.addressCounts.used, 1)
        XCTAssertEqual(try shell("ls \(directory)/attachments \(directory)/quarantine").contains("b.json"), true)
        XCTAssertEqual(try network().quarantined, [])
    }

    func testDetachIsIdempotentAndFreesTheAddress() throws {
        let network = try network(podRange: "10.0.0.0/29").network
        for sandbox in ["a", "b", "c", "d", "e"] { _ = try network.attach(request(sandbox)) }
        XCTAssertThrowsError(try network.attach(request("f"))) {
            XCTAssertEqual(NetworkPlugin.pluginError($0).code, PluginError.exhausted("").code)
        }
        for _ in 0..<2 { try network.detach(sandbox: "c") }
        try network.detach(sandbox: "never")
        // The last address becomes free in time: attach waits for it.
        XCTAssertEqual(address(try network.attach(request("f"))), "10.0.0.4/29")
        XCTAssertEqual(router.state.withLock { $0.pods }, ["a", "b", "d", "e", "f"])
    }

    func testAFailedAttachLeavesNothing() throws {
        let network = try network().network
        links.state.withLock { $0.failures["connect"] = EEXIST }
        XCTAssertThrowsError(try network.attach(request("a")))
        XCTAssertEqual(network.addressCounts.used, 0)
        router.state.withLock { $0.failsNext = true }
        XCTAssertThrowsError(try network.attach(request("b")))
        XCTAssertEqual(network.addressCounts.used, 0)
        XCTAssertTrue(links.state.withLock { $0.links.isEmpty })
        XCTAssertEqual(try AttachmentStore(directory: directory).load().attachments, [])
        // When it cannot even be undone, the record stays for the collection of garbage.
        links.state.withLock { $0.failures = ["connect": EIO, "disconnect": EIO] }
        XCTAssertThrowsError(try network.attach(request("c")))
        XCTAssertEqual(network.addressCounts.used, 1)
        XCTAssertEqual(try network.collectGarbage(keeping: [], grace: 0), ["c"])
        network.settle()
        XCTAssertEqual(network.addressCounts.used, 0)
    }

    func testCheck() throws {
        let network = try network().network
        XCTAssertThrowsError(try network.check(request("a"))) {
            XCTAssertEqual($0 as? NetworkError, .unknownSandbox("a"))
        }
        _ = try network.attach(request("a"))
        try network.check(request("a"))
        try network.detach(sandbox: "a")
        XCTAssertThrowsError(try network.check(request("a")), "its link may be there for a moment")
        network.settle()
        _ = try network.attach(request("a"))
        links.state.withLock { $0.isFlushed = true }
        XCTAssertThrowsError(try network.check(request("a"))) {
            XCTAssertTrue("\($0)".contains("lacks the address"), "\($0)")
        }
        links.state.withLock { $0.links = [:] }
        XCTAssertThrowsError(try network.check(request("a"))) { XCTAssertTrue("\($0)".contains("missing"), "\($0)") }
    }

    func testGarbage() throws {
        for sandbox in ["a", "b", "c"] { _ = try network().network.attach(request(sandbox)) }
        let network = try network().network
        _ = try network.attach(request("new"))
        links.state.withLock {
            $0.foreignPorts = [("hdorphan", "hostd sandbox lost"), ("tap0", ""), ("veth1", "somebody's")]
        }
        links.state.withLock { $0.failures["disconnect"] = EIO }
        XCTAssertEqual(try network.collectGarbage(keeping: ["b", "c", "lost"]), ["a"])
        network.settle()
        XCTAssertEqual(network.addressCounts.used, 4, "what could not be removed is still there")
        XCTAssertEqual(try network.collectGarbage(keeping: ["b"]), ["a", "c", "lost"])
        network.settle()
        XCTAssertEqual(network.addressCounts.used, 2, "one is young: it may be missing in the list")
        XCTAssertEqual(try network.collectGarbage(keeping: ["b"], grace: 0).contains("new"), true)
        XCTAssertEqual(calls("disconnect hdorphan"), 2)
        XCTAssertEqual(calls("disconnect tap0"), 0)
    }

    func testHostPortsBelongToOnePod() throws {
        let network = try network().network
        _ = try network.attach(request("a", hostPort: 8080))
        XCTAssertThrowsError(try network.attach(request("b", hostPort: 8080))) {
            XCTAssertEqual($0 as? NetworkError, .portTaken(8080, .tcp, by: "a"))
        }
        _ = try network.attach(request("c", hostPort: 8081))
        try network.detach(sandbox: "a")
        _ = try network.attach(request("b", hostPort: 8080))
    }

    func testBadRequests() {
        let rows: [(JSON, String)] = [
            ([:], "no sandbox"), (["sandboxID": ""], "empty"), (["sandboxID": "../x"], "climbs"),
            (["sandboxID": ".hidden"], "hidden"), (["sandboxID": .string(String(repeating: "a", count: 129))], "long"),
            (["sandboxID": "a", "interfaceName": "a/b"], "slash"),
            (["sandboxID": "a", "interfaceName": ""], "empty name"),
            (["sandboxID": "a", "interfaceName": "sixteen-letters-"], "long name"),
            (["sandboxID": "a", "portMappings": [["hostPort": 0, "containerPort": 1]]], "port 0"),
            (["sandboxID": "a", "portMappings": [["hostPort": 1, "containerPort": 70000]]], "port 70000"),
            (["sandboxID": "a", "portMappings": [["hostPort": 1, "containerPort": 1, "protocol": "X"]]], "protocol"),
            (
                ["sandboxID": "a", "portMappings": [["hostPort": 1, "containerPort": 1, "hostIP": "::1"]]],
                "host address"
            ),
        ]
        for (json, reason) in rows {
            XCTAssertThrowsError(try AttachmentRequest(json), reason) {
                XCTAssertEqual(NetworkPlugin.pluginError($0).code, PluginError.invalid("").code, reason)
            }
        }
    }

    func testHostNamesFitAndDiffer() {
        let names = Set((0..<5000).map { Attachment.hostName(sandbox: "sandbox-\($0)") })
        XCTAssertEqual(names.count, 5000)
        XCTAssertTrue(names.allSatisfy { $0.utf8.count == 15 })
    }
}
