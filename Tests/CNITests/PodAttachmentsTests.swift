import Glibc
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import CNI
@testable import PodNetworking

/// Attach, check, detach and garbage, over plugins and links that are only recorded.
final class PodAttachmentsTests: XCTestCase {
    private var directory = ""
    private let links = FakeLinks()
    private let runner = FakeRunner()
    private let router = RecordedRouter()

    /// `ServiceRouter` that knows its pods, and fails where it is told to.
    private final class RecordedRouter: ServiceRouter {
        let pods = Mutex<[String: Attachment]>([:])
        let fails = Mutex(false)
        func replaceAll(_ routes: [ServiceRoute]) throws {}
        func apply(_ changes: RouteChanges) throws {}
        func add(_ attachment: Attachment) throws {
            if fails.withLock({ $0 }) { throw NetlinkError(code: EIO, request: "add") }
            pods.withLock { $0[attachment.sandbox] = attachment }
        }
        func remove(_ attachment: Attachment) throws { pods.withLock { $0[attachment.sandbox] = nil } }
    }

    override func setUpWithError() throws {
        var template = Array("/tmp/hostd-cni-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw TestFailure("mkdtemp", errno) }
        directory = String(cString: made)
        for name in ["a", "b", "c", "d"] { try AtomicFile.write([], to: "\(directory)/\(name)") }
    }

    override func tearDownWithError() throws { try shell("rm -rf \(directory)") }

    /// As at a start: it reads what is on disk.
    private func pods(_ list: NetworkList? = nil) throws -> PodAttachments {
        let settings = try CNISettings(
            PluginConfiguration(dataDirectory: directory, pluginDirectory: directory, libexecDirectory: "/nowhere"))
        let store = AttachmentStore(dataDirectory: directory)
        try store.prepare()
        return try PodAttachments(
            settings: settings, list: try list ?? settings.builtInList(),
            chain: PluginChain(runner: runner, timeout: 1000), links: links,
            bridge: Bridge(index: 5, macAddress: MACAddress(for: settings.gateway)), store: store, router: router,
            attachments: try store.load().attachments, log: nil)
    }

    private func request(_ sandbox: String, hostPort: Int? = nil, interface: String = "eth0") throws
        -> AttachmentRequest
    {
        var json: JSON = [
            "sandboxID": .string(sandbox), "networkNamespace": .string("\(directory)/\(sandbox)"),
            "interfaceName": .string(interface),
        ]
        if let hostPort { json["portMappings"] = [["hostPort": JSON(hostPort), "containerPort": 80]] }
        return try AttachmentRequest(json)
    }

    /// Attaches, with the link that the plugin would have made.
    @discardableResult
    private func attach(_ pods: PodAttachments, _ sandbox: String, hostPort: Int? = nil) throws -> JSON {
        let result = try pods.attach(request(sandbox, hostPort: hostPort), uid: "", deadline: 0)
        let address = try XCTUnwrap(pods.all.first { $0.sandbox == sandbox }).address
        let range = IPv4Range(around: address, prefixLength: 24)
        links.state.withLock { state in
            state.links["veth-\(sandbox)"] = PodLinkRequest(
                hostName: "veth-\(sandbox)", alias: Attachment.alias(sandbox: sandbox), podName: "eth0",
                networkNamespace: "\(directory)/\(sandbox)", address: address, podRange: range,
                gateway: range.address(at: 1), gatewayMAC: MACAddress(for: address),
                macAddress: MACAddress(for: address), bridgeIndex: 5, mtu: 0)
        }
        return result
    }

    private func journal() throws -> [String] {
        try FileTree.names(in: "\(directory)/pod-network/cni/journal").sorted()
    }

    func testAttachTwiceGivesTheSame() throws {
        let network = try pods()
        let first = try attach(network, "a")
        XCTAssertEqual(first["ips"][0]["address"], "10.244.0.2/24")
        XCTAssertEqual(try attach(network, "a"), first)
        XCTAssertEqual(runner.commands, ["bridge ADD"])
        XCTAssertThrowsError(try network.attach(request("a", interface: "eth1"), uid: "", deadline: 0))
        // A new process knows it, too.
        XCTAssertEqual(try attach(try pods(), "a"), first)
        XCTAssertEqual(runner.commands, ["bridge ADD"])
        XCTAssertEqual(router.pods.withLock { $0["a"]?.macAddress.description }, "0a:00:00:00:00:03")
    }

    func testABrokenLinkIsMadeAgain() throws {
        let network = try pods()
        try attach(network, "a")
        links.state.withLock { $0.links = [:] }
        try attach(network, "a")
        XCTAssertEqual(runner.commands, ["bridge ADD", "bridge DEL", "bridge ADD"])
        let again = try XCTUnwrap(runner.state.withLock { $0.calls.last })
        XCTAssertEqual(again.environment["CNI_ARGS"]?.hasSuffix(";IP=10.244.0.2"), true, "with the same address")
    }

    func testAFailedAttachLeavesNothing() throws {
        let network = try pods()
        let failure = CNIError.plugin(type: "bridge", command: "ADD", code: 11, message: "busy", details: "")
        runner.state.withLock { $0.failures["bridge ADD"] = failure }
        XCTAssertThrowsError(try attach(network, "a")) { XCTAssertEqual($0 as? CNIError, failure) }
        XCTAssertEqual(runner.commands, ["bridge ADD", "bridge DEL"])
        XCTAssertEqual(try journal(), [])
        router.fails.withLock { $0 = true }
        XCTAssertThrowsError(try attach(network, "b"))
        router.fails.withLock { $0 = false }
        XCTAssertEqual(network.count, 0)
        XCTAssertEqual(try journal(), [])
        // When it cannot even be undone, the journal has it, for the next attach or collection of garbage.
        runner.state.withLock {
            $0.failures = ["bridge ADD": failure, "bridge DEL": failure]
        }
        XCTAssertThrowsError(try attach(network, "c"))
        XCTAssertEqual(try journal(), ["c.json"])
        runner.clear()
        XCTAssertEqual(try pods().collectGarbage(keeping: []), ["c"])
        XCTAssertEqual(runner.commands, ["bridge DEL"])
        XCTAssertEqual(try journal(), [])
    }

    func testAnAttachThatDidNotFinishIsUndoneFirst() throws {
        runner.state.withLock { state in
            let failure = CNIError.plugin(type: "bridge", command: "", code: 11, message: "busy", details: "")
            state.failures = ["bridge ADD": failure, "bridge DEL": failure]
        }
        XCTAssertThrowsError(try attach(try pods(), "a"))
        runner.clear()
        let restarted = try pods()
        try restarted.adopt(last: nil)
        XCTAssertEqual(runner.commands, [], "its pod may be there and ask again")
        try attach(restarted, "a")
        XCTAssertEqual(runner.commands, ["bridge DEL", "bridge ADD"])
    }

    func testWithoutAnIPv4AddressThereIsNoAttachment() throws {
        runner.state.withLock { $0.answers["bridge ADD"] = ["ips": [["address": "fd00::5/64"]]] }
        let network = try pods()
        XCTAssertThrowsError(try attach(network, "a")) { XCTAssertTrue("\($0)".contains("no IPv4 address"), "\($0)") }
        XCTAssertEqual(runner.commands, ["bridge ADD", "bridge DEL"])
    }

    func testDetach() throws {
        let network = try pods()
        try attach(network, "a")
        runner.clear()
        runner.state.withLock {
            $0.failures["bridge DEL"] = .noAnswer(type: "bridge", command: "DEL", reason: "crash")
        }
        XCTAssertThrowsError(try network.detach(sandbox: "a", namespace: nil, deadline: 0))
        XCTAssertEqual(network.count, 1, "what could not be undone is still there")
        for _ in 0..<2 { try network.detach(sandbox: "a", namespace: nil, deadline: 0) }
        XCTAssertEqual(network.count, 0)
        XCTAssertEqual(try journal(), [])
        XCTAssertEqual(runner.commands, ["bridge DEL", "bridge DEL"])
        XCTAssertEqual(
            runner.state.withLock { $0.calls.last?.environment["CNI_NETNS"] }, "\(directory)/a")
        XCTAssertTrue(router.pods.withLock { $0.isEmpty })
    }

    func testANamespaceThatIsAnothersByNowIsNotTouched() throws {
        links.state.withLock { $0.cookies["\(directory)/a"] = 7 }
        let network = try pods()
        try attach(network, "a")
        links.state.withLock { $0.cookies["\(directory)/a"] = 8 }
        try network.detach(sandbox: "a", namespace: "\(directory)/a", deadline: 0)
        XCTAssertEqual(runner.state.withLock { $0.calls.last?.environment["CNI_NETNS"] }, "")
        try attach(network, "b")
        unlink("\(directory)/b")
        try network.detach(sandbox: "b", namespace: nil, deadline: 0)
        XCTAssertEqual(runner.state.withLock { $0.calls.last?.environment["CNI_NETNS"] }, "", "it is gone")
    }

    func testOthersAttachmentsAreKeptAndUndoneWithoutPlugins() throws {
        var foreign = Attachment(try request("d"), address: IPv4Address(0x0af4_0009))
        foreign.gateway = IPv4Address(0x0af4_0001)
        foreign.prefixLength = 24
        let store = AttachmentStore(dataDirectory: directory)
        try store.prepare()
        try store.save(foreign)
        let network = try pods()
        try network.adopt(last: IPv4Address(0x0af4_0009))
        let addresses = "\(directory)/pod-network/cni/addresses/hostd"
        XCTAssertEqual(try AtomicFile.read("\(addresses)/10.244.0.9"), Array("d\r\neth0".utf8))
        XCTAssertEqual(try network.lastAddress()?.description, "10.244.0.9")
        XCTAssertEqual(network.all, [foreign])
        try network.detach(sandbox: "d", namespace: nil, deadline: 0)
        XCTAssertEqual(runner.commands, [])
        XCTAssertEqual(access("\(addresses)/10.244.0.9", F_OK), -1)
        XCTAssertTrue(links.state.withLock { $0.calls.contains("disconnect \(foreign.hostName)") })
    }

    func testWhatAnotherProviderHasDetachedIsUndone() throws {
        try attach(try pods(), "a")
        try AttachmentStore(dataDirectory: directory).remove(sandbox: "a")
        runner.clear()
        try pods().adopt(last: nil)
        XCTAssertEqual(runner.commands, ["bridge DEL"])
        XCTAssertEqual(runner.state.withLock { $0.calls[0].environment["CNI_NETNS"] }, "")
        XCTAssertEqual(try journal(), [])
    }

    func testGarbage() throws {
        for sandbox in ["a", "b"] { try attach(try pods(), sandbox) }
        let network = try pods()
        try attach(network, "c")
        links.state.withLock { $0.foreignPorts = [("hdorphan", "hostd sandbox lost"), ("tap0", "")] }
        XCTAssertEqual(try network.collectGarbage(keeping: ["b"]), ["a", "lost"], "c is young: it may not be listed")
        XCTAssertEqual(network.count, 2)
        XCTAssertEqual(try network.collectGarbage(keeping: ["b"], grace: 0).contains("c"), true)
    }

    func testHostPortsBelongToOnePod() throws {
        let network = try pods()
        try attach(network, "a", hostPort: 8080)
        XCTAssertThrowsError(try attach(network, "b", hostPort: 8080)) {
            XCTAssertEqual($0 as? NetworkError, .portTaken(8080, .tcp, by: "a"))
        }
        try network.detach(sandbox: "a", namespace: nil, deadline: 0)
        try attach(network, "b", hostPort: 8080)
    }

    func testCheck() throws {
        let network = try pods()
        XCTAssertThrowsError(try network.check(request("a"), deadline: 0)) {
            XCTAssertEqual($0 as? NetworkError, .unknownSandbox("a"))
        }
        try attach(network, "a")
        try network.check(request("a"), deadline: 0)
        XCTAssertEqual(runner.commands, ["bridge ADD", "bridge CHECK"])
        links.state.withLock { $0.isFlushed = true }
        XCTAssertThrowsError(try network.check(request("a"), deadline: 0)) {
            XCTAssertTrue("\($0)".contains("lacks the address"), "\($0)")
        }
        links.state.withLock { $0.links = [:] }
        XCTAssertThrowsError(try network.check(request("a"), deadline: 0))
    }
}
