import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization
import XCTest

@testable import CNI
@testable import Network
@testable import PodNetworking

/// One network takes over from the other under running pods, in real namespaces: the steps of a swap as the host does
/// them. Needs root, containernetworking-plugins, and for the eBPF half clang and a cgroup v2 hierarchy.
final class NetworkSwapTests: XCTestCase {
    private var directory = ""
    private var cgroup = ""
    private typealias Provider = any Plugin & NetworkProvider & StateProvider

    override func setUpWithError() throws {
        try XCTSkipUnless(access("/usr/lib/cni/bridge", X_OK) == 0, "needs containernetworking-plugins")
        try XCTSkipUnless(geteuid() == 0, "needs root: it makes network namespaces")
        var template = Array("/tmp/hostd-swap-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw TestFailure("mkdtemp", errno) }
        directory = String(cString: made)
        FakeHost.state.withLock { $0 = FakeHost.State() }
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        do { try shell("\(root)/Plugins/Network/BPF/build \(directory)/service.bpf.o") } catch {
            throw XCTSkip("needs clang for eBPF: \(error)")
        }
        guard let mount = ControlGroups.mountPoint() else { throw XCTSkip("needs a cgroup v2 hierarchy") }
        cgroup = "\(mount)/hostd-swap-\(getpid())"
        guard mkdir(cgroup, 0o755) == 0 || errno == EEXIST else { throw TestFailure("mkdir \(cgroup)", errno) }
        try shell("echo \(getpid()) > \(cgroup)/cgroup.procs")
    }

    override func tearDownWithError() throws {
        if let mount = ControlGroups.mountPoint(), !cgroup.isEmpty {
            try shell("echo \(getpid()) > \(mount)/cgroup.procs")
            rmdir(cgroup)
        }
        try shell("rm -rf --one-file-system \(directory)")
    }

    private func configured(
        _ isCNI: Bool, failing: Bool = false, lists: String = "/nowhere"
    ) throws -> Provider {
        let options: JSON =
            isCNI
            ? [
                "configurationDirectory": .string(lists),
                "binaryDirectories": [failing ? "/nowhere" : "/usr/lib/cni"],
            ]
            : ["cgroup": .string(cgroup), "podRouting": "ebpf"]
        let plugin: Provider =
            isCNI ? try CNIPlugin(host: FakeHost.make()) : try NetworkPlugin(host: FakeHost.make())
        try plugin.configure(
            PluginConfiguration(
                options: options, dataDirectory: directory, pluginDirectory: "\(directory)/plugin",
                libexecDirectory: directory))
        return plugin
    }

    private func request(_ sandbox: String, _ path: String) -> JSON {
        ["sandboxID": .string(sandbox), "networkNamespace": .string(path), "podName": .string(sandbox)]
    }

    private func services(_ endpoints: [String]) -> JSON {
        [
            "full": true,
            "services": [
                [
                    "namespace": "default", "name": "web", "clusterIPs": ["10.96.0.20"],
                    "ports": [
                        [
                            "port": 80,
                            "endpoints": .array(
                                endpoints.map { ["address": .string($0), "port": 8080, "local": true] }),
                        ]
                    ],
                ]
            ],
        ]
    }

    /// What the host does, but for holding calls.
    private func swap(_ old: Provider, _ new: Provider) throws {
        let state = try old.exportState()
        try new.importState(state)
        try new.activate()
    }

    /// Runs a body in a pod's namespace, or in the calling thread's, which is the host's.
    private func here<Value>(or thread: NamespaceThread?, _ body: () throws -> Value) throws -> Value {
        if let thread { return try thread.run(body) }
        return try body()
    }

    private func address(_ result: JSON) -> String {
        String((result["ips"][0]["address"].stringValue ?? "").prefix { $0 != "/" })
    }

    func testPodsKeepTheirPlacesThereAndBack() throws {
        let host = try NamespaceThread()
        defer { host.end() }
        let pods = try (0..<4).map { _ in try NamespaceThread() }
        defer { for pod in pods { pod.end() } }
        let links = { try pods[0].run { try shell("ip -br link show eth0; ip -br addr show eth0; ip route") } }
        try host.run {
            try shell("mkdir -p \(directory)/plugin; ip link set lo up")
            var current = try configured(false)
            try current.activate()
            XCTAssertEqual(try current.status([:], deadline: 0)["routing"], "ebpf")
            let first = try current.attach(request("a", pods[0].path), deadline: 0)
            let second = try current.attach(request("b", pods[1].path), deadline: 0)
            let known = services([address(first), address(second)])
            _ = try current.servicesSet(known, deadline: 0)
            let greeters = try pods[..<2].enumerated().map { number, pod in
                try pod.run { try Greeter("pod-\(number)", port: 8080) }
            }
            defer { for greeter in greeters { greeter.stop() } }
            let before = try links()
            func everyoneIsServed(_ reason: String) throws {
                for thread in [nil, pods[0]] {
                    let seen = try here(or: thread) {
                        try (0..<30).map { _ in String(try Sockets.dial("10.96.0.20", 80).greeting.prefix(5)) }
                    }
                    XCTAssertEqual(Set(seen), ["pod-0", "pod-1"], reason)
                }
            }
            // There.
            let cni = try configured(true)
            try swap(current, cni)
            try everyoneIsServed("both route")
            XCTAssertTrue(try shell("nft list tables").contains("table ip hostd\n"))
            _ = try cni.servicesSet(known, deadline: 0)
            XCTAssertFalse(try shell("nft list tables").contains("table ip hostd\n"))
            try current.deactivate()
            try everyoneIsServed("cni routes")
            XCTAssertEqual(try links(), before)
            XCTAssertEqual(
                try cni.attach(request("a", pods[0].path), deadline: 0)["ips"][0]["address"], "10.244.0.2/24")
            XCTAssertEqual(try cni.check(request("b", pods[1].path), deadline: 0), [:])
            let third = try cni.attach(request("c", pods[2].path), deadline: 0)
            XCTAssertEqual(address(third), "10.244.0.4")
            _ = try cni.detach(request("b", pods[1].path), deadline: 0)
            XCTAssertFalse(try pods[1].run { try shell("ip link") }.contains("eth0"))
            _ = try cni.servicesSet(services([address(first)]), deadline: 0)
            // And back.
            let back = try configured(false)
            try swap(cni, back)
            _ = try back.servicesSet(services([address(first)]), deadline: 0)
            try cni.deactivate()
            current = back
            XCTAssertFalse(try shell("nft list tables").contains("hostd-cni"))
            XCTAssertEqual(try links(), before)
            XCTAssertEqual(
                try back.attach(request("c", pods[2].path), deadline: 0)["ips"][0]["address"], "10.244.0.4/24")
            XCTAssertEqual(try back.check(request("c", pods[2].path), deadline: 0), [:])
            XCTAssertEqual(try pods[2].run { try Sockets.dial("10.96.0.20", 80).peer }, "10.96.0.20:80", "by eBPF")
            XCTAssertEqual(address(try back.attach(request("d", pods[3].path), deadline: 0)), "10.244.0.5")
            _ = try back.detach(request("c", pods[2].path), deadline: 0)
            // There again: what it attached and another detached leaves no trace.
            let again = try configured(true)
            try swap(back, again)
            _ = try again.servicesSet(services([address(first)]), deadline: 0)
            try back.deactivate()
            XCTAssertEqual(
                try shell("ls \(directory)/pod-network/cni/addresses/hostd | grep ^10"), "10.244.0.2\n10.244.0.5\n")
            XCTAssertEqual(try shell("ls \(directory)/pod-network/cni/journal | wc -l"), "0\n")
            XCTAssertEqual(address(try again.attach(request("e", pods[2].path), deadline: 0)), "10.244.0.6")
            XCTAssertEqual(FakeHost.state.withLock { $0.log.filter { $0.contains("cannot") } }, [])
        }
    }

    /// Runs `body` in a host's namespace, where the default network is in charge and has attached one pod.
    private func withAttachedPod(
        _ body: (_ network: Provider, _ pod: NamespaceThread, _ result: JSON) throws -> Void
    ) throws {
        let host = try NamespaceThread()
        defer { host.end() }
        let pod = try NamespaceThread()
        defer { pod.end() }
        try host.run {
            try shell("mkdir -p \(directory)/plugin; ip link set lo up")
            let network = try configured(false)
            try network.activate()
            try body(network, pod, try network.attach(request("a", pod.path), deadline: 0))
        }
    }

    /// A network whose pods reach each other past the host.
    private func configuredElsewhere() throws -> Provider {
        try shell("mkdir -p \(directory)/net.d")
        try shell(
            """
            echo '{"cniVersion": "1.0.0", "name": "elsewhere", "plugins": [{"type": "bridge", "bridge": "other0",
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.250.0.0/24"}]]}}]}' > \(directory)/net.d/1.conflist
            """)
        return try configured(true, lists: "\(directory)/net.d")
    }

    /// Every network that can enforces what the one before did, without a moment in between; one that cannot says so, and
    /// what was enforced does not go on without anybody's care.
    func testPoliciesGoOnFromNetworkToNetwork() throws {
        try withAttachedPod { network, pod, result in
            let known = services([address(result)])
            let closed = try pod.run { try Greeter("closed", port: 8080) }
            defer { closed.stop() }
            let client = try NamespaceThread()
            defer { client.end() }
            var current = network
            _ = try current.servicesSet(known, deadline: 0)
            let rules: JSON = [
                "full": true, "policies": [["name": "d/deny", "ingress": []]],
                "subjects": [["address": .string(address(result)), "ingress": ["d/deny"]]],
            ]
            _ = try current.attach(request("client", client.path), deadline: 0)
            let target = address(result)
            /// What is dropped is waited for only a little.
            func isOpen(milliseconds: Int = 150) throws -> Bool {
                try client.run {
                    let descriptor = try Sockets.make(SOCK_STREAM, milliseconds: milliseconds)
                    defer { close(descriptor) }
                    return Sockets.call(Sockets.address(target, 8080)) { connect(descriptor, $0, $1) } == 0
                }
            }
            XCTAssertTrue(try isOpen(milliseconds: 30_000), "without rules")
            _ = try current.policyRulesSet(rules, deadline: 0)
            for isCNI in [false, true, true, false] {
                let next = try configured(isCNI)
                try swap(current, next)
                XCTAssertFalse(try isOpen(), "before the next is in charge")
                _ = try next.servicesSet(known, deadline: 0)
                try current.deactivate()
                XCTAssertFalse(try isOpen(), "before the next has the rules")
                XCTAssertThrowsError(try next.policyRulesSet(["subjects": []], deadline: 0)) {
                    XCTAssertEqual(($0 as? PluginError)?.code, HOSTD_ERROR_WRONG_STATE)
                }
                _ = try next.policyRulesSet(rules, deadline: 0)
                XCTAssertEqual(try next.status([:], deadline: 0)["policies"], ["enforced": 1, "isolatedPods": 1])
                XCTAssertFalse(try isOpen(), "with the rules")
                current = next
            }
            let last = try configuredElsewhere()
            try swap(current, last)
            XCTAssertFalse(try isOpen(), "until the other is in charge")
            _ = try last.servicesSet(known, deadline: 0)
            try current.deactivate()
            XCTAssertFalse(try shell("nft list tables").contains("hostd-policies"))
            XCTAssertThrowsError(try last.policyRulesSet(rules, deadline: 0)) {
                XCTAssertEqual(($0 as? PluginError)?.code, HOSTD_ERROR_NOT_SUPPORTED)
            }
        }
    }

    func testAFailedSwapChangesNothing() throws {
        try withAttachedPod { current, pod, result in
            let greeter = try pod.run { try Greeter("pod-0", port: 8080) }
            defer { greeter.stop() }
            _ = try current.servicesSet(services([address(result)]), deadline: 0)
            // It cannot begin.
            XCTAssertThrowsError(try swap(current, try configured(true, failing: true)))
            // It begins, but is never put in charge.
            let cni = try configured(true)
            try swap(current, cni)
            try cni.deactivate()
            XCTAssertFalse(try shell("nft list tables").contains("hostd-cni"))
            XCTAssertEqual(try shell("ls \(directory)/pod-network/routing"), "hostd.json\n")
            for thread in [nil, pod] {
                XCTAssertEqual(try here(or: thread) { try Sockets.dial("10.96.0.20", 80).greeting.prefix(5) }, "pod-0")
            }
            XCTAssertEqual(try current.attach(request("a", pod.path), deadline: 0), result)
            // It begins, is put in charge, and hostd dies: the next start finishes what was begun.
            let other = try configured(true)
            try swap(current, other)
            let restarted = try configured(true)
            try restarted.activate()
            XCTAssertEqual(try Sockets.dial("10.96.0.20", 80).greeting.prefix(5), "pod-0")
            _ = try restarted.servicesSet(services([address(result)]), deadline: 0)
            XCTAssertEqual(try shell("ls \(directory)/pod-network/routing"), "hostd-cni.json\n")
            for thread in [nil, pod] {
                XCTAssertEqual(try here(or: thread) { try Sockets.dial("10.96.0.20", 80).greeting.prefix(5) }, "pod-0")
            }
        }
    }

    func testConnectionsLiveOnAndNewOnesNeverFail() throws {
        let host = try NamespaceThread()
        defer { host.end() }
        let pods = try (0..<2).map { _ in try NamespaceThread() }
        defer { for pod in pods { pod.end() } }
        try host.run {
            try shell("mkdir -p \(directory)/plugin; ip link set lo up")
            var current = try configured(false)
            try current.activate()
            _ = try current.attach(request("client", pods[0].path), deadline: 0)
            let server = try current.attach(request("server", pods[1].path), deadline: 0)
            let known = services([address(server)])
            _ = try current.servicesSet(known, deadline: 0)
            let echo = try pods[1].run { try Echo(port: 8080) }
            defer { echo.stop() }
            let traffic = try [nil, pods[0]].map { thread in try here(or: thread) { try Traffic("10.96.0.20", 80) } }
            for round in 1...6 {
                let next = try configured(round % 2 == 1)
                try swap(current, next)
                for one in traffic { one.waitForRound() }
                _ = try next.servicesSet(known, deadline: 0)
                for one in traffic { one.waitForRound() }
                try current.deactivate()
                current = next
                for one in traffic { try one.addConnection() }
            }
            for (index, one) in traffic.enumerated() {
                let (failures, dials) = one.stop()
                XCTAssertEqual(failures, [], index == 0 ? "host" : "pod")
                XCTAssertGreaterThan(dials, 20)
            }
        }
    }

    func testDatagramsComeFromTheServiceThroughout() throws {
        let host = try NamespaceThread()
        defer { host.end() }
        let pods = try (0..<2).map { _ in try NamespaceThread() }
        defer { for pod in pods { pod.end() } }
        try host.run {
            try shell("mkdir -p \(directory)/plugin; ip link set lo up")
            var current = try configured(false)
            try current.activate()
            _ = try current.attach(request("client", pods[0].path), deadline: 0)
            let server = try current.attach(request("server", pods[1].path), deadline: 0)
            let known: JSON = [
                "full": true,
                "services": [
                    [
                        "namespace": "default", "name": "dns", "clusterIPs": ["10.96.0.10"],
                        "ports": [
                            [
                                "port": 53, "protocol": "UDP",
                                "endpoints": [["address": .string(address(server)), "port": 5353, "local": true]],
                            ]
                        ],
                    ]
                ],
            ]
            _ = try current.servicesSet(known, deadline: 0)
            let greeter = try pods[1].run { try Greeter("pod-1", port: 5353, datagram: true) }
            defer { greeter.stop() }
            // Two sockets that live through all swaps: one is connected, the other names its target each time.
            let target = Sockets.address("10.96.0.10", 53)
            let sockets = try pods[0].run {
                let pair = [try Sockets.make(SOCK_DGRAM), try Sockets.make(SOCK_DGRAM)]
                guard Sockets.call(target, { connect(pair[0], $0, $1) }) == 0 else { throw DialFailure(code: errno) }
                return pair
            }
            defer { for socket in sockets { close(socket) } }
            func exchange(_ reason: String) throws {
                for (index, socket) in sockets.enumerated() {
                    let sent =
                        index == 0
                        ? Int32(send(socket, "hello", 5, 0))
                        : Sockets.call(target) { Int32(sendto(socket, "hello", 5, 0, $0, $1)) }
                    XCTAssertEqual(sent, 5, reason)
                    XCTAssertEqual(try Sockets.receive(socket).from, "10.96.0.10:53", "\(reason), socket \(index)")
                }
            }
            try exchange("before")
            for round in 1...4 {
                let next = try configured(round % 2 == 1)
                try swap(current, next)
                try exchange("round \(round), both")
                _ = try next.servicesSet(known, deadline: 0)
                try exchange("round \(round), the new one")
                try current.deactivate()
                current = next
                for connected in [true, false] {
                    let fresh = try pods[0].run { try Sockets.ask("10.96.0.10", 53, connected: connected) }
                    XCTAssertEqual(fresh.from, "10.96.0.10:53")
                }
            }
        }
    }
}
