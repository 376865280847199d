import Glibc
import Objects
import PluginAPI
import PluginKit
import XCTest

@testable import CNI
@testable import PodNetworking

/// The plugin's life with Debian's CNI plugins, in real namespaces. Needs root and containernetworking-plugins.
final class CNIPluginTests: XCTestCase {
    private var directory = ""

    override func setUpWithError() throws {
        var template = Array("/tmp/hostd-cni-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw TestFailure("mkdtemp", errno) }
        directory = String(cString: made)
        FakeHost.state.withLock { $0 = FakeHost.State() }
    }

    override func tearDownWithError() throws { try shell("rm -rf --one-file-system \(directory)") }

    private func configuration(_ options: JSON = [:], settings: JSON = [:]) -> PluginConfiguration {
        var options = options
        if options["configurationDirectory"].isNull {
            options["configurationDirectory"] = .string("\(directory)/net.d")
        }
        return PluginConfiguration(
            options: options, settings: settings, dataDirectory: directory, pluginDirectory: directory,
            libexecDirectory: directory)
    }

    private func active(_ options: JSON = [:]) throws -> CNIPlugin {
        let plugin = try CNIPlugin(host: FakeHost.make())
        try plugin.configure(configuration(options))
        try plugin.activate()
        return plugin
    }

    private func needPlugins() throws {
        try XCTSkipUnless(access("/usr/lib/cni/bridge", X_OK) == 0, "needs containernetworking-plugins")
    }

    private func request(_ sandbox: String, _ path: String, ports: JSON = []) -> JSON {
        [
            "sandboxID": .string(sandbox), "networkNamespace": .string(path), "interfaceName": "eth0",
            "podNamespace": "default", "podName": .string(sandbox), "podUID": "1", "portMappings": ports,
        ]
    }

    private func service(_ name: String, _ address: String, _ endpoints: [String]) -> JSON {
        [
            "namespace": "default", "name": .string(name), "clusterIPs": [.string(address)],
            "ports": [
                [
                    "port": 80,
                    "endpoints": .array(endpoints.map { ["address": .string($0), "port": 8080, "local": true] }),
                ]
            ],
        ]
    }

    func testBadConfigurations() throws {
        let rows: [(JSON, JSON, String)] = [
            ([:], ["podRange": "10.244.0.1/24"], "settings.podRange"), ([:], ["podRange": "10.244.0.0/30"], "8 to 29"),
            ([:], ["podRange": "10.96.3.0/24"], "overlap"),
            (["binaryDirectories": ["cni"]], [:], "options.binaryDirectories"),
            (["binaryDirectories": ["/a:/b"]], [:], "options.binaryDirectories"),
        ]
        XCTAssertEqual(
            try CNISettings(configuration(["timeoutSeconds": .integer(.max), "mtu": .integer(.max)])).timeout, 600_000)
        for (options, settings, expected) in rows {
            let plugin = try CNIPlugin(host: FakeHost.make())
            XCTAssertThrowsError(try plugin.configure(configuration(options, settings: settings)), expected) {
                XCTAssertTrue("\($0)".contains(expected), "\($0)")
            }
        }
        XCTAssertNoThrow(try JSON(parsing: CNIPlugin.optionsSchema))
    }

    func testCallsOutOfOrder() throws {
        let plugin = try CNIPlugin(host: FakeHost.make())
        XCTAssertThrowsError(try plugin.activate())
        XCTAssertEqual(try plugin.status([:], deadline: 0)["ready"], false)
        XCTAssertThrowsError(try plugin.attach([:], deadline: 0)) {
            XCTAssertEqual(($0 as? PluginError)?.isRetryable, true)
        }
        XCTAssertThrowsError(try plugin.importState(Array("hostd.network.state/1\n{}".utf8))) {
            XCTAssertEqual(($0 as? PluginError)?.code, HOSTD_ERROR_WRONG_STATE)
        }
        XCTAssertThrowsError(try plugin.exportState())
        XCTAssertEqual(plugin.interface(HOSTD_NETWORK_1), plugin.interface(HOSTD_NETWORK_1))
        XCTAssertNotNil(plugin.interface(HOSTD_STATE_1))
        XCTAssertNil(plugin.interface(HOSTD_RUNTIME_1))
        try plugin.deactivate()
    }

    func testMissingPluginsAreNamedWithTheRemedy() throws {
        let thread = try NamespaceThread()
        defer { thread.end() }
        try thread.run {
            XCTAssertThrowsError(try active(["binaryDirectories": ["/nowhere"]])) {
                XCTAssertTrue("\($0)".contains("\"bridge\" in /nowhere"), "\($0)")
                XCTAssertTrue("\($0)".contains("containernetworking-plugins"), "\($0)")
            }
            XCTAssertThrowsError(try active(["network": "other"])) {
                XCTAssertTrue("\($0)".contains("no file has a network named \"other\""), "\($0)")
            }
        }
    }

    func testWholeLife() throws {
        try needPlugins()
        let thread = try NamespaceThread()
        defer { thread.end() }
        let pods = try (0..<2).map { _ in try NamespaceThread() }
        defer { for pod in pods { pod.end() } }
        try thread.run {
            try shell("ip link set lo up")
            let plugin = try active()
            XCTAssertEqual(try plugin.status([:], deadline: 0)["network"]["name"], "hostd")
            let first = request(
                "a", pods[0].path, ports: [["hostPort": 9000, "containerPort": 8080, "protocol": "TCP"]])
            let result = try plugin.attach(first, deadline: 0)
            XCTAssertEqual(result["ips"][0]["address"], "10.244.0.2/24")
            XCTAssertEqual(result["ips"][0]["gateway"], "10.244.0.1")
            XCTAssertEqual(try plugin.attach(first, deadline: 0), result)
            XCTAssertEqual(try plugin.check(first, deadline: 0), [:])
            let second = request("b", pods[1].path)
            XCTAssertEqual(try plugin.attach(second, deadline: 0)["ips"][0]["address"], "10.244.0.3/24")
            let services = [service("web", "10.96.0.20", ["10.244.0.2", "10.244.0.3"])]
            _ = try plugin.servicesSet(["full": true, "services": .array(services)], deadline: 0)
            let greeters = try pods.enumerated().map { number, pod in
                try pod.run { try Greeter("pod-\(number)", port: 8080) }
            }
            defer { for greeter in greeters { greeter.stop() } }
            let seen = try (0..<40).map { _ in try Sockets.dial("10.96.0.20", 80).greeting }
            XCTAssertEqual(Set(seen), ["pod-0 10.244.0.1", "pod-1 10.244.0.1"])
            XCTAssertEqual(try Sockets.dial("127.0.0.1", 9000).greeting.prefix(5), "pod-0")
            // Pod to pod through a service: the client keeps its address, because replies come through the host.
            let other = try pods[0].run { try (0..<40).map { _ in try Sockets.dial("10.96.0.20", 80).greeting } }
            XCTAssertEqual(Set(other), ["pod-0 10.244.0.1", "pod-1 10.244.0.2"])
            XCTAssertEqual(try pods[0].run { try Sockets.dial("10.244.0.3", 8080).greeting }, "pod-1 10.244.0.2")
            // The process ends; a new one finds everything as it was.
            try plugin.deactivate()
            XCTAssertEqual(try Sockets.dial("10.96.0.20", 80).greeting.prefix(4), "pod-")
            let next = try active()
            XCTAssertEqual(try next.attach(first, deadline: 0), result)
            XCTAssertEqual(try next.collectGarbage(["validSandboxIDs": ["a"]], deadline: 0), ["removed": ["b"]])
            XCTAssertThrowsError(try next.check(second, deadline: 0))
            let lenient: JSON = ["validSandboxIDs": ["a"], "graceSeconds": 60]
            _ = try next.attach(second, deadline: 0)
            XCTAssertEqual(try next.collectGarbage(lenient, deadline: 0), ["removed": []], "b is young")
            _ = try next.detach(second, deadline: 0)
            XCTAssertEqual(try shell("ls \(directory)/pod-network/cni/addresses/hostd | grep ^10"), "10.244.0.2\n")
            _ = try next.servicesSet(["full": true, "services": [service("web", "10.96.0.20", [])]], deadline: 0)
            XCTAssertEqual(Sockets.refusal("10.96.0.20", 80), ECONNREFUSED)
            try pods[0].run { try shell("ip addr flush dev eth0") }
            XCTAssertThrowsError(try next.check(first, deadline: 0))
            // A damaged link is made again, with the same address.
            XCTAssertEqual(try next.attach(first, deadline: 0)["ips"][0]["address"], "10.244.0.2/24")
            for _ in 0..<2 { _ = try next.detach(first, deadline: 0) }
            XCTAssertFalse(try pods[0].run { try shell("ip link") }.contains("eth0"))
            FakeHost.state.withLock { $0.stopsWorkloads = true }
            try next.deactivate()
            XCTAssertFalse(try shell("ip link").contains("hostd0"))
            XCTAssertFalse(try shell("nft list tables").contains("hostd"))
        }
    }

    func testAConfiguredNetworkWithAChainOfPlugins() throws {
        try needPlugins()
        try shell("mkdir -p \(directory)/net.d")
        let list = """
            {"cniVersion":"0.4.0","name":"mine","plugins":[
            {"type":"bridge","bridge":"cni9","isGateway":true,"isDefaultGateway":true,"hairpinMode":true,
            "ipam":{"type":"host-local","dataDir":"\(directory)/ipam","subnet":"10.22.0.0/16"}},
            {"type":"tuning","sysctl":{"net.ipv4.tcp_syn_retries":"3"},"capabilities":{"mac":true}}]}
            """
        try AtomicFile.write(Array("{".utf8), to: "\(directory)/net.d/00-broken.conflist")
        try AtomicFile.write(Array(list.utf8), to: "\(directory)/net.d/10-mine.conflist")
        let thread = try NamespaceThread()
        defer { thread.end() }
        let pods = try (0..<2).map { _ in try NamespaceThread() }
        defer { for pod in pods { pod.end() } }
        try thread.run {
            try shell("ip link set lo up")
            let plugin = try active()
            XCTAssertTrue(FakeHost.state.withLock { $0.log.contains { $0.contains("00-broken.conflist") } })
            XCTAssertEqual(
                try plugin.status([:], deadline: 0)["network"],
                ["name": "mine", "cniVersion": "0.4.0", "plugins": ["bridge", "tuning"]])
            for (index, pod) in pods.enumerated() {
                let result = try plugin.attach(request("s\(index)", pod.path), deadline: 0)
                XCTAssertEqual(result["ips"][0]["address"], .string("10.22.0.\(index + 2)/16"))
                XCTAssertEqual(try plugin.check(request("s\(index)", pod.path), deadline: 0), [:])
            }
            XCTAssertEqual(try pods[0].run { try shell("cat /proc/sys/net/ipv4/tcp_syn_retries") }, "3\n")
            let greeters = try pods.enumerated().map { number, pod in
                try pod.run { try Greeter("pod-\(number)", port: 8080) }
            }
            defer { for greeter in greeters { greeter.stop() } }
            let services = [service("web", "10.96.0.20", ["10.22.0.2", "10.22.0.3"])]
            _ = try plugin.servicesSet(["full": true, "services": .array(services)], deadline: 0)
            // Pods of this bridge answer each other directly, so the host's address stands in for the client's.
            let seen = try pods[0].run { try (0..<40).map { _ in try Sockets.dial("10.96.0.20", 80).greeting } }
            XCTAssertEqual(Set(seen.map { $0.prefix(5) }), ["pod-0", "pod-1"])
            for index in pods.indices { _ = try plugin.detach(request("s\(index)", pods[index].path), deadline: 0) }
            XCTAssertEqual(try shell("ls \(directory)/ipam/mine | grep -c ^10 || true"), "0\n")
            try plugin.deactivate()
        }
    }
}
