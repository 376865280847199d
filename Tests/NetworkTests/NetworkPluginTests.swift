import Glibc
import Objects
import PluginAPI
import PluginKit
import XCTest

@testable import Network
@testable import PodNetworking

/// The plugin's life, from configuration to removal, as a host leads it.
final class NetworkPluginTests: XCTestCase {
    private var directory = ""
    private var group: String { "hostd-test-plugin-\(getpid())" }

    override func setUpWithError() throws {
        var template = Array("/tmp/hostd-plugin-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw TestFailure("mkdtemp", errno) }
        directory = String(cString: made)
        FakeHost.state.withLock { $0 = FakeHost.State() }
    }

    override func tearDownWithError() throws {
        try shell("rm -rf --one-file-system \(directory)")
        if let mount = ControlGroups.mountPoint() { rmdir("\(mount)/\(group)") }
    }

    private func configuration(_ options: JSON = [:], settings: JSON = [:]) -> PluginConfiguration {
        var settings = settings
        if settings["cgroupParent"].isNull { settings["cgroupParent"] = .string(group) }
        return PluginConfiguration(
            options: options, settings: settings, dataDirectory: directory, pluginDirectory: directory,
            libexecDirectory: directory)
    }

    func testBadConfigurations() throws {
        let rows: [(JSON, JSON, String)] = [
            ([:], ["podRange": "10.244.0.1/24"], "settings.podRange"),
            ([:], ["podRange": "10.244.0.0/30"], "from 8 to 29"),
            ([:], ["serviceRange": "x"], "settings.serviceRange"),
            ([:], ["podRange": "10.96.3.0/24"], "overlap"),
            ([:], ["cgroupParent": "../x"], "settings.cgroupParent"),
            (["podRouting": "iptables"], [:], "options.podRouting"),
            (["hostRouting": "yes"], [:], "options.hostRouting"),
        ]
        for (options, settings, expected) in rows {
            let plugin = try NetworkPlugin(host: FakeHost.make())
            XCTAssertThrowsError(try plugin.configure(configuration(options, settings: settings)), expected) {
                XCTAssertTrue("\($0)".contains(expected), "\($0)")
            }
        }
        XCTAssertNoThrow(try JSON(parsing: NetworkPlugin.optionsSchema))
    }

    func testCallsOutOfOrder() throws {
        let plugin = try NetworkPlugin(host: FakeHost.make())
        XCTAssertThrowsError(try plugin.activate())
        XCTAssertEqual(try plugin.status([:], deadline: 0)["ready"], false)
        XCTAssertThrowsError(try plugin.attach([:], deadline: 0)) {
            XCTAssertEqual(($0 as? PluginError)?.isRetryable, true)
        }
        XCTAssertThrowsError(try plugin.policiesSet([:], deadline: 0)) {
            XCTAssertEqual(($0 as? PluginError)?.code, HOSTD_ERROR_NOT_SUPPORTED)
        }
        XCTAssertNotNil(plugin.interface(HOSTD_NETWORK_1))
        XCTAssertEqual(plugin.interface(HOSTD_NETWORK_1), plugin.interface(HOSTD_NETWORK_1))
        XCTAssertNil(plugin.interface(HOSTD_RUNTIME_1))
        try plugin.deactivate()
    }

    private func service(_ address: String) -> JSON {
        [
            "namespace": "default", "name": "web", "clusterIPs": ["10.96.0.20"],
            "ports": [["port": 80, "endpoints": [["address": .string(address), "port": 8080, "local": true]]]],
        ]
    }

    func testWholeLife() throws {
        let thread = try NamespaceThread()
        defer { thread.end() }
        let pod = try NamespaceThread()
        defer { pod.end() }
        let podPath = pod.path
        try thread.run {
            try shell("ip link set lo up")
            let plugin = try NetworkPlugin(host: FakeHost.make())
            try plugin.configure(configuration())
            try plugin.activate()
            // There is no service.bpf.o here: eBPF is missed, once, and nftables does the work.
            let status = try plugin.status([:], deadline: 0)
            XCTAssertEqual(status["ready"], true)
            XCTAssertEqual(status["routing"], "nftables")
            XCTAssertEqual(status["nodeAddresses"], ["10.244.0.1"])
            XCTAssertTrue(status["reason"].stringValue?.contains("eBPF is not usable") ?? false)
            XCTAssertEqual(
                FakeHost.state.withLock { $0.topics[HOSTD_TOPIC_NETWORK] },
                "{\"addresses\":[\"10.244.0.1\"],\"bridge\":\"hostd0\",\"podRange\":\"10.244.0.0/24\"}")
            let request: JSON = ["sandboxID": "a", "networkNamespace": .string(podPath)]
            let result = try plugin.attach(request, deadline: 0)
            XCTAssertEqual(result["ips"][0]["address"], "10.244.0.2/24")
            XCTAssertEqual(try plugin.check(request, deadline: 0), [:])
            XCTAssertEqual(
                try plugin.servicesSet(
                    ["full": true, "services": [service("10.244.0.2"), ["name": "bad"]]], deadline: 0)["rejected"]
                    .count, 1)
            let greeter = try pod.run { try Greeter("pod", port: 8080) }
            defer { greeter.stop() }
            XCTAssertEqual(try Sockets.dial("10.96.0.20", 80).greeting, "pod 10.244.0.1")
            // The process ends; a new one finds everything as it was.
            try plugin.deactivate()
            XCTAssertEqual(try Sockets.dial("10.96.0.20", 80).greeting, "pod 10.244.0.1")
            let next = try NetworkPlugin(host: FakeHost.make())
            try next.configure(configuration())
            try next.activate()
            XCTAssertEqual(try Sockets.dial("10.96.0.20", 80).greeting, "pod 10.244.0.1")
            XCTAssertEqual(try next.attach(request, deadline: 0), result)
            XCTAssertEqual(
                try next.collectGarbage(["validSandboxIDs": ["a"]], deadline: 0), ["removed": []])
            XCTAssertThrowsError(try next.collectGarbage([:], deadline: 0))
            _ = try next.servicesSet(["full": true, "services": []], deadline: 0)
            XCTAssertEqual(Sockets.refusal("10.96.0.20", 80), ECONNREFUSED)
            FakeHost.state.withLock { $0.stopsWorkloads = true }
            try next.deactivate()
            XCTAssertFalse(try shell("ip link").contains("hostd0"))
            XCTAssertFalse(try shell("nft list tables").contains("hostd"))
        }
    }

    func testEBPFIsWantedAndMissing() throws {
        let thread = try NamespaceThread()
        defer { thread.end() }
        try thread.run {
            let plugin = try NetworkPlugin(host: FakeHost.make())
            try plugin.configure(configuration(["podRouting": "ebpf"]))
            XCTAssertThrowsError(try plugin.activate()) { XCTAssertTrue("\($0)".contains("service.bpf.o"), "\($0)") }
            XCTAssertEqual(try plugin.status([:], deadline: 0)["ready"], false)
        }
    }

    func testARouterThatFailsIsToldEverythingNextTime() throws {
        let router = FakeRouter()
        let host = try FakeHost.make()
        let network = ServiceNetwork(routers: [router], log: host.log)
        try network.update([Service(service("10.244.0.2"))], removed: [], full: false)
        router.state.withLock { $0.failsNext = true }
        XCTAssertThrowsError(try network.update([Service(service("10.244.0.3"))], removed: [], full: false)) {
            XCTAssertEqual(NetworkPlugin.pluginError($0).code, HOSTD_ERROR_RESOURCE_EXHAUSTED)
        }
        try network.update([Service(service("10.244.0.3"))], removed: [], full: false)
        try network.update([Service(service("10.244.0.3"))], removed: [], full: false)
        XCTAssertEqual(router.state.withLock { $0.calls }, ["replaceAll", "apply", "replaceAll"])
        XCTAssertEqual(
            router.state.withLock { $0.routes.values.first?.endpoints.first?.address.description }, "10.244.0.3")
    }
}
