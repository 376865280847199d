import Glibc
import XCTest

@testable import Network
@testable import PodNetworking

/// Service routing by eBPF: the programs, loaded into the kernel and attached to a control group of the test's own,
/// with sockets in namespaces. Needs root, clang and a cgroup v2 hierarchy.
final class SocketRouterTests: XCTestCase {
    private var network: TestNetwork?
    private var cgroup = ""
    private var directory = ""
    private static let object = "/tmp/hostd-test-\(getpid())-service.bpf.o"

    override class func tearDown() { unlink(object) }

    override func setUpWithError() throws {
        try XCTSkipUnless(geteuid() == 0, "needs root: it loads eBPF programs")
        guard let mount = ControlGroups.mountPoint() else { throw XCTSkip("needs a cgroup v2 hierarchy") }
        if access(Self.object, F_OK) != 0 {
            let script =
                #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
                + "/Plugins/Network/BPF/build"
            do { try shell("\(script) \(Self.object)") } catch { throw XCTSkip("needs clang for eBPF: \(error)") }
        }
        cgroup = "\(mount)/hostd-test-\(getpid())"
        guard mkdir(cgroup, 0o755) == 0 || errno == EEXIST else { throw TestFailure("mkdir \(cgroup)", errno) }
        try shell("echo \(getpid()) > \(cgroup)/cgroup.procs")
        directory = "/tmp/hostd-test-\(getpid())-pins"
        mkdir(directory, 0o700)
        network = try TestNetwork(pods: 4)
        try network?.greet(port: 8080, from: 1)
        try network?.greet(port: 5353, datagram: true, from: 1)
    }

    override func tearDownWithError() throws {
        network?.end()
        network = nil
        guard !cgroup.isEmpty, let mount = ControlGroups.mountPoint() else { return }
        try shell("echo \(getpid()) > \(mount)/cgroup.procs")
        rmdir(cgroup)
        try shell("rm -rf \(directory)")
    }

    private func makeRouter(hostIsRouted: Bool = true) throws -> (SocketRouter, ServicePrograms, PinDirectory) {
        let network = try XCTUnwrap(network)
        return try network.host.run {
            let pins = try PinDirectory.prepare(
                identity: "test-\(getpid())", ownMount: "\(directory)/bpf", versionPath: "\(directory)/version")
            let programs = try ServicePrograms(object: Self.object, pins: pins, cgroups: [cgroup])
            let router = try SocketRouter(
                programs: programs, hostCookie: hostIsRouted ? network.links.namespaceCookie : nil,
                hostAddresses: [TestNetwork.gateway])
            try router.keepPods(network.pods.map(\.attachment))
            return (router, programs, pins)
        }
    }

    private var tcp: ServiceRoute {
        .test(1, "10.96.0.20", 80, network?.endpoints(port: 8080, from: 1) ?? [])
    }

    private var clients: [NamespaceThread] { network.map { [$0.host, $0.pods[0].thread] } ?? [] }

    func testStreamsGoToEndpointsInTurnAndShowTheService() throws {
        let (router, _, _) = try makeRouter()
        try router.replaceAll([tcp])
        for client in clients {
            var seen: [String] = []
            for _ in 0..<6 {
                let answer = try client.run { try Sockets.dial("10.96.0.20", 80) }
                XCTAssertEqual(answer.peer, "10.96.0.20:80")
                seen.append(String(answer.greeting.prefix(5)))
            }
            XCTAssertEqual(Set(seen), ["pod-1", "pod-2", "pod-3"])
            XCTAssertEqual(seen.filter { $0 == "pod-2" }.count, 2)
        }
        // A pod that is sent to itself never leaves its namespace.
        let own = try XCTUnwrap(network).pods[1].thread.run {
            try (0..<3).map { _ in try Sockets.dial("10.96.0.20", 80).greeting }
        }
        XCTAssertTrue(own.contains("pod-1 10.244.0.3"), "\(own)")
    }

    func testDatagramsConnectedOrNot() throws {
        let (router, _, _) = try makeRouter()
        let endpoints = try XCTUnwrap(network).endpoints(port: 5353, from: 1)
        try router.replaceAll([.test(1, "10.96.0.10", 53, endpoints, transport: .udp)])
        for client in clients {
            for connected in [true, false] {
                let answer = try client.run { try Sockets.ask("10.96.0.10", 53, connected: connected) }
                XCTAssertEqual(answer.from, "10.96.0.10:53", "connected \(connected)")
                XCTAssertEqual(answer.peer, connected ? "10.96.0.10:53" : "none")
            }
        }
    }

    func testEndsSocketsThatAreConnectedToAnEndpointThatHasGone() throws {
        let (router, _, _) = try makeRouter()
        let endpoints = try XCTUnwrap(network).endpoints(port: 5353, from: 1)
        func service(_ endpoint: Endpoint) -> ServiceRoute {
            .test(1, "10.96.0.10", 53, [endpoint], transport: .udp)
        }
        for client in clients {
            try router.replaceAll([service(endpoints[0])])
            let sockets = try client.run {
                try ["10.96.0.10:53", "\(endpoints[0].address):5353"].map { try connected($0) }
            }
            defer { for socket in sockets { close(socket) } }
            let (byService, direct) = (sockets[0], sockets[1])
            XCTAssertEqual(try exchange(byService).prefix(5), "pod-1")
            try XCTUnwrap(network).host.run {
                try router.apply(RouteChanges(changed: [.init(old: service(endpoints[0]), new: service(endpoints[1]))]))
            }
            XCTAssertThrowsError(try receive(byService)) { XCTAssertEqual(($0 as? DialFailure)?.code, ECONNABORTED) }
            XCTAssertThrowsError(try exchange(byService)) { XCTAssertEqual(($0 as? DialFailure)?.code, EDESTADDRREQ) }
            XCTAssertEqual(try exchange(direct).prefix(5), "pod-1", "it never asked for the service")
            try client.run { try lead(byService, to: "10.96.0.10:53") }
            XCTAssertEqual(try exchange(byService).prefix(5), "pod-2")
        }
    }

    /// A UDP socket of the calling thread's namespace that is connected to ADDRESS:PORT.
    private func connected(_ peer: String) throws -> Int32 {
        let descriptor = try Sockets.make(SOCK_DGRAM, milliseconds: 5_000)
        try lead(descriptor, to: peer)
        return descriptor
    }

    private func lead(_ descriptor: Int32, to peer: String) throws {
        let parts = peer.split(separator: ":").map(String.init)
        let address = Sockets.address(parts[0], UInt16(parts[1]) ?? 0)
        guard Sockets.call(address, { connect(descriptor, $0, $1) }) == 0 else { throw DialFailure(code: errno) }
    }

    /// Sends by a connected socket and returns what comes back.
    private func exchange(_ descriptor: Int32) throws -> String {
        guard send(descriptor, "?", 1, 0) == 1 else { throw DialFailure(code: errno) }
        return try receive(descriptor)
    }

    private func receive(_ descriptor: Int32) throws -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count >= 0 else { throw DialFailure(code: errno) }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }

    func testRefusesWithoutEndpoints() throws {
        let (router, _, _) = try makeRouter()
        try router.replaceAll([
            .test(1, "10.96.0.20", 80, []), .test(2, "10.96.0.10", 53, [], transport: .udp),
        ])
        for client in clients {
            XCTAssertEqual(try client.run { Sockets.refusal("10.96.0.20", 80) }, ECONNREFUSED)
            for connected in [true, false] {
                XCTAssertThrowsError(try client.run { try Sockets.ask("10.96.0.10", 53, connected: connected) }) {
                    XCTAssertEqual(($0 as? DialFailure)?.code, ECONNREFUSED)
                }
            }
        }
    }

    func testARestrictedAddressIsLeftToThePacketFilter() throws {
        let (router, programs, _) = try makeRouter()
        let endpoints = try XCTUnwrap(network).endpoints(port: 8080, from: 1)
        let open = ServiceRoute.test(1, "10.96.0.20", 80, endpoints)
        let restricted = ServiceRoute.test(2, "10.96.0.20", 80, endpoints, sources: [TestNetwork.podRange])
        try router.replaceAll([open])
        XCTAssertEqual(try programs.frontends.keys().count, 1)
        try router.apply(RouteChanges(removed: [open], changed: [.init(old: nil, new: restricted)]))
        XCTAssertEqual(try programs.frontends.keys().count, 0)
        try router.apply(RouteChanges(removed: [restricted], changed: [.init(old: nil, new: open)]))
        XCTAssertEqual(try programs.frontends.keys().count, 1)
        try router.replaceAll([restricted])
        XCTAssertEqual(try programs.frontends.keys().count, 0)
    }

    func testAffinityLastsUntilTheEndpointGoes() throws {
        let (router, _, _) = try makeRouter()
        let endpoints = try XCTUnwrap(network).endpoints(port: 8080, from: 1)
        let sticky = ServiceRoute.test(1, "10.96.0.20", 80, endpoints, affinity: 60)
        try router.replaceAll([sticky])
        let client = clients[1]
        func ask() throws -> Set<String> {
            try client.run {
                Set(try (0..<5).map { _ in String(try Sockets.dial("10.96.0.20", 80).greeting.prefix(5)) })
            }
        }
        let first = try ask()
        XCTAssertEqual(first.count, 1)
        let chosen = try XCTUnwrap(first.first.flatMap { Int(String($0.suffix(1))) })
        // The endpoint stays through a change of the others, and is left when it goes.
        let fewer = endpoints.enumerated().filter { $0.offset == chosen - 1 || $0.offset == chosen % 3 }.map(\.element)
        let changed = ServiceRoute.test(1, "10.96.0.20", 80, fewer, affinity: 60)
        try router.apply(RouteChanges(changed: [.init(old: sticky, new: changed)]))
        XCTAssertEqual(try ask(), first)
        let others = endpoints.filter { $0 != endpoints[chosen - 1] }
        try router.apply(
            RouteChanges(changed: [.init(old: changed, new: .test(1, "10.96.0.20", 80, others, affinity: 60))]))
        let second = try ask()
        XCTAssertEqual(second.count, 1)
        XCTAssertNotEqual(second, first)
    }

    func testNodePortAtTheNodesAddresses() throws {
        let (router, _, _) = try makeRouter()
        try router.replaceAll([.test(1, nil, 30080, try XCTUnwrap(network).endpoints(port: 8080, from: 1))])
        let host = clients[0]
        for address in ["127.0.0.1", "10.244.0.1"] {
            XCTAssertTrue(try host.run { try Sockets.dial(address, 30080) }.greeting.hasPrefix("pod-"))
        }
        XCTAssertTrue(try clients[1].run { try Sockets.dial("10.244.0.1", 30080) }.greeting.hasPrefix("pod-"))
        // A pod's loopback address is its own.
        XCTAssertEqual(try clients[1].run { Sockets.refusal("127.0.0.1", 30080) }, ECONNREFUSED)
    }

    func testOtherNamespacesAreLeftAlone() throws {
        let (router, _, _) = try makeRouter(hostIsRouted: false)
        try router.replaceAll([tcp])
        let network = try XCTUnwrap(network)
        // The host's own sockets are not routed; nobody has the address in this namespace.
        XCTAssertNotEqual(try network.host.run { Sockets.refusal("10.96.0.20", 80) }, 0)
        try router.remove(network.pods[0].attachment)
        XCTAssertNotEqual(try network.pods[0].thread.run { Sockets.refusal("10.96.0.20", 80) }, 0)
        try router.add(network.pods[0].attachment)
        XCTAssertNoThrow(try network.pods[0].thread.run { try Sockets.dial("10.96.0.20", 80) })
    }

    func testGoesOnWithoutItsProcessAndIsTakenOver() throws {
        let client = clients[1]
        do {
            let (router, programs, _) = try makeRouter()
            XCTAssertFalse(programs.isReused)
            try router.replaceAll([tcp])
        }
        // Everything of the first run is closed; only the pins are left.
        XCTAssertEqual(try client.run { try Sockets.dial("10.96.0.20", 80).peer }, "10.96.0.20:80")
        let (router, programs, pins) = try makeRouter()
        XCTAssertTrue(programs.isReused)
        XCTAssertEqual(try client.run { try Sockets.dial("10.96.0.20", 80).peer }, "10.96.0.20:80")
        let other = ServiceRoute.test(1, "10.96.0.21", 80, tcp.endpoints)
        try router.replaceAll([other])
        XCTAssertEqual(try client.run { try Sockets.dial("10.96.0.21", 80).peer }, "10.96.0.21:80")
        XCTAssertEqual(try programs.frontends.keys().count, 1)
        XCTAssertEqual(try programs.backends.keys().count, 3)
        try router.apply(RouteChanges(removed: [other]))
        XCTAssertEqual(try programs.frontends.keys().count, 0)
        XCTAssertEqual(try programs.backends.keys().count, 0)
        pins.removeAll()
    }

    func testAnotherBuildReplacesTheProgramsAndKeepsTheMaps() throws {
        let client = clients[1]
        let (router, _, _) = try makeRouter()
        try router.replaceAll([tcp])
        try shell("echo other > \(directory)/version")
        let (_, programs, _) = try makeRouter()
        XCTAssertFalse(programs.isReused)
        XCTAssertEqual(try programs.frontends.keys().count, 1)
        XCTAssertEqual(try client.run { try Sockets.dial("10.96.0.20", 80).peer }, "10.96.0.20:80")
    }

    func testCost() throws {
        let (router, _, _) = try makeRouter()
        let network = try XCTUnwrap(network)
        let endpoints = network.endpoints(port: 8080, from: 1)
        let routes = (1...5000).map { number in
            ServiceRoute.test(UInt32(number), "10.96.\(number / 250).\(number % 250 + 1)", 80, endpoints)
        }
        var start = DispatchClock.now()
        try router.replaceAll(routes)
        print("5,000 services into eBPF maps: \((DispatchClock.now() - start) / 1000) µs")
        start = DispatchClock.now()
        try router.apply(RouteChanges(changed: [.init(old: routes[0], new: .test(1, "10.96.0.2", 80, [endpoints[0]]))]))
        print("change one of 5,000 services in eBPF maps: \((DispatchClock.now() - start) / 1000) µs")
        try network.pods[0].thread.run {
            func median(_ host: String, _ port: UInt16) throws -> Double {
                try (0..<400).map { _ -> Double in
                    let descriptor = try Sockets.make(SOCK_STREAM)
                    defer { close(descriptor) }
                    let start = DispatchClock.now()
                    guard Sockets.call(Sockets.address(host, port), { connect(descriptor, $0, $1) }) == 0 else {
                        throw DialFailure(code: errno)
                    }
                    return Double(DispatchClock.now() - start) / 1000
                }.sorted()[200]
            }
            let direct = try median("10.244.0.3", 8080)
            let service = try median("10.96.0.2", 80)
            print("connect: direct \(direct) µs, through a service \(service) µs")
        }
    }
}
