import Glibc
import XCTest

@testable import Network
@testable import PodNetworking

/// Service routing by nf_tables in real namespaces. Needs root.
final class PacketRouterTests: XCTestCase {
    private static let table = FilterTable(
        name: "hostd", bridge: "hostd0", podRange: TestNetwork.podRange, serviceRange: TestNetwork.serviceRange,
        servesHost: true)

    private func makeRouter(_ network: TestNetwork) throws -> PacketRouter {
        try network.host.run { try PacketRouter(table: Self.table, pods: network.pods.map(\.attachment)) }
    }

    private func greetings(_ thread: NamespaceThread, _ host: String, _ port: UInt16, count: Int) throws -> [String] {
        try thread.run {
            try (0..<count).map { _ in String(try Sockets.dial(host, port).greeting.prefix(5)) }
        }
    }

    func testAllEndpointsAnswerHostAndPods() throws {
        let network = try TestNetwork(pods: 4)
        defer { network.end() }
        try network.greet(port: 8080, from: 1)
        let router = try makeRouter(network)
        try router.replaceAll([.test(1, "10.96.0.20", 80, network.endpoints(port: 8080, from: 1))])
        for thread in [network.host, network.pods[0].thread] {
            // Chosen at random: that one of three is left out 60 times happens once in ten thousand million runs.
            let answers = try greetings(thread, "10.96.0.20", 80, count: 60)
            XCTAssertEqual(Set(answers), ["pod-1", "pod-2", "pod-3"])
        }
        // A pod that is sent to itself sees the host's address as the client's.
        let own = try network.pods[1].thread.run {
            try (0..<60).map { _ in try Sockets.dial("10.96.0.20", 80).greeting }
        }
        XCTAssertTrue(own.contains("pod-1 10.244.0.1"), "\(own)")
        XCTAssertTrue(own.contains("pod-2 10.244.0.3"), "\(own)")
    }

    func testDatagrams() throws {
        let network = try TestNetwork(pods: 2)
        defer { network.end() }
        try network.greet(port: 5353, datagram: true, from: 1)
        let router = try makeRouter(network)
        try router.replaceAll([.test(1, "10.96.0.10", 53, network.endpoints(port: 5353, from: 1), transport: .udp)])
        for thread in [network.host, network.pods[0].thread] {
            for connected in [true, false] {
                let answer = try thread.run { try Sockets.ask("10.96.0.10", 53, connected: connected) }
                XCTAssertEqual(answer.from, "10.96.0.10:53")
                XCTAssertTrue(answer.reply.hasPrefix("pod-1"))
            }
        }
    }

    func testAClientThatKeepsItsPortLeavesAnEndpointThatGoes() throws {
        let network = try TestNetwork(pods: 2)
        defer { network.end() }
        try network.greet(port: 5353, datagram: true)
        let router = try makeRouter(network)
        let all = network.endpoints(port: 5353)
        let first = ServiceRoute.test(1, "10.96.0.10", 53, [all[0]], transport: .udp)
        try router.replaceAll([first])
        let socket = try network.host.run { try Sockets.make(SOCK_DGRAM) }
        defer { close(socket) }
        func ask() -> String {
            Sockets.call(Sockets.address("10.96.0.10", 53)) { Int32(sendto(socket, "hello", 5, 0, $0, $1)) }
            var buffer = [UInt8](repeating: 0, count: 64)
            let count = recv(socket, &buffer, buffer.count, 0)
            return String(decoding: buffer[..<max(0, min(5, count))], as: UTF8.self)
        }
        XCTAssertEqual([ask(), ask()], ["pod-0", "pod-0"])
        let second = ServiceRoute.test(1, "10.96.0.10", 53, [all[1]], transport: .udp)
        try router.apply(RouteChanges(changed: [.init(old: first, new: second)]))
        XCTAssertEqual(ask(), "pod-1")
    }

    func testAClientThatBeganBeforeTheServiceComesToIt() throws {
        let network = try TestNetwork(pods: 1)
        defer { network.end() }
        try network.greet(port: 5353, datagram: true)
        let router = try makeRouter(network)
        try router.replaceAll([])
        let socket = try network.host.run { try Sockets.make(SOCK_DGRAM) }
        defer { close(socket) }
        let target = Sockets.address("10.244.0.1", 30053)
        // Nobody is there, but the kernel notes where the datagram went.
        Sockets.call(target) { Int32(sendto(socket, "hello", 5, 0, $0, $1)) }
        let route = ServiceRoute.test(1, nil, 30053, network.endpoints(port: 5353), transport: .udp)
        try router.apply(RouteChanges(changed: [.init(old: nil, new: route)]))
        Sockets.call(target) { Int32(sendto(socket, "hello", 5, 0, $0, $1)) }
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = recv(socket, &buffer, buffer.count, 0)
        XCTAssertEqual(String(decoding: buffer[..<max(0, min(5, count))], as: UTF8.self), "pod-0")
    }

    func testOnlyAdmittedClientsReachARestrictedAddress() throws {
        let network = try TestNetwork(pods: 3)
        defer { network.end() }
        try network.greet(port: 8080, from: 2)
        let router = try makeRouter(network)
        let server = network.endpoints(port: 8080, from: 2)
        func route(_ ranges: [String]?) -> ServiceRoute {
            .test(1, "10.96.0.77", 80, server, sources: ranges?.compactMap { IPv4Range(parsing: $0) })
        }
        /// Whether the first pod, the second and the host are admitted. What is dropped is waited for only a little.
        func admitted(expecting expected: [Bool]) throws -> [Bool] {
            try zip([network.pods[0].thread, network.pods[1].thread, network.host], expected).map {
                thread, isExpected in
                try thread.run {
                    let descriptor = try Sockets.make(SOCK_STREAM, milliseconds: isExpected ? 30_000 : 150)
                    defer { close(descriptor) }
                    return Sockets.call(Sockets.address("10.96.0.77", 80)) { connect(descriptor, $0, $1) } == 0
                }
            }
        }
        let (first, host) = ("10.244.0.2/32", "10.244.0.1/32")
        try router.replaceAll([route([first])])
        var present = route([first])
        for (ranges, expected, reason) in [
            ([first], [true, false, false], "the first pod alone"),
            ([first, host], [true, false, true], "the host as well"),
            (["10.244.0.2/31"], [true, true, false], "a block"),
            (["192.0.2.0/24"], [false, false, false], "others"), (nil, [true, true, true], "everybody"),
            ([host], [false, false, true], "the host alone"),
        ] as [([String]?, [Bool], String)] {
            let next = route(ranges)
            try router.apply(RouteChanges(changed: [.init(old: present, new: next)]))
            present = next
            XCTAssertEqual(try admitted(expecting: expected), expected, reason)
        }
        try router.apply(RouteChanges(removed: [present]))
        let left = try network.host.run { try shell("nft list table ip hostd") }
        XCTAssertFalse(left.contains("clients-"), left)
    }

    func testRefusesWithoutEndpointsAndUnknownAddresses() throws {
        let network = try TestNetwork(pods: 1)
        defer { network.end() }
        let router = try makeRouter(network)
        try router.replaceAll([.test(1, "10.96.0.20", 80, [])])
        for thread in [network.host, network.pods[0].thread] {
            for (host, port) in [("10.96.0.20", 80), ("10.96.0.20", 81), ("10.96.200.7", 80)] as [(String, UInt16)] {
                XCTAssertEqual(try thread.run { Sockets.refusal(host, port) }, ECONNREFUSED, "\(host):\(port)")
            }
        }
    }

    func testChangesAreIncremental() throws {
        let network = try TestNetwork(pods: 3)
        defer { network.end() }
        try network.greet(port: 8080)
        let router = try makeRouter(network)
        try router.replaceAll([])
        let all = network.endpoints(port: 8080)
        let first = ServiceRoute.test(1, "10.96.0.20", 80, [all[0]])
        try router.apply(RouteChanges(changed: [.init(old: nil, new: first)]))
        XCTAssertEqual(try Set(greetings(network.host, "10.96.0.20", 80, count: 2)), ["pod-0"])
        let second = ServiceRoute.test(1, "10.96.0.20", 80, [all[1]], affinity: 60)
        try router.apply(RouteChanges(changed: [.init(old: first, new: second)]))
        XCTAssertEqual(try Set(greetings(network.host, "10.96.0.20", 80, count: 2)), ["pod-1"])
        let moved = ServiceRoute.test(1, "10.96.0.21", 80, [all[2]])
        try router.apply(RouteChanges(changed: [.init(old: second, new: moved)]))
        XCTAssertEqual(try Set(greetings(network.host, "10.96.0.21", 80, count: 2)), ["pod-2"])
        XCTAssertEqual(try network.host.run { Sockets.refusal("10.96.0.20", 80) }, ECONNREFUSED)
        try router.apply(RouteChanges(removed: [moved]))
        XCTAssertEqual(try network.host.run { Sockets.refusal("10.96.0.21", 80) }, ECONNREFUSED)
        let rules = try network.host.run { try shell("nft list table ip hostd") }
        XCTAssertFalse(rules.contains("10.96.0.2"), rules)
        XCTAssertFalse(rules.contains(" 8080"), rules)
    }

    func testRepairsWhatOthersRemoved() throws {
        let network = try TestNetwork(pods: 1)
        defer { network.end() }
        try network.greet(port: 8080)
        let router = try makeRouter(network)
        let route = ServiceRoute.test(1, "10.96.0.20", 80, network.endpoints(port: 8080))
        try router.replaceAll([route])
        try network.host.run { try shell("nft delete table ip hostd") }
        let other = ServiceRoute.test(2, "10.96.0.21", 80, network.endpoints(port: 8080))
        try router.apply(RouteChanges(changed: [.init(old: nil, new: other)]))
        for host in ["10.96.0.20", "10.96.0.21"] {
            XCTAssertEqual(try greetings(network.host, host, 80, count: 1), ["pod-0"])
        }
    }

    func testAffinity() throws {
        let network = try TestNetwork(pods: 4)
        defer { network.end() }
        try network.greet(port: 8080, from: 1)
        let router = try makeRouter(network)
        try router.replaceAll([.test(1, "10.96.0.20", 80, network.endpoints(port: 8080, from: 1), affinity: 60)])
        for thread in [network.host, network.pods[0].thread] {
            XCTAssertEqual(try Set(greetings(thread, "10.96.0.20", 80, count: 12)).count, 1)
        }
        XCTAssertTrue(try network.host.run { try shell("nft list table ip hostd") }.contains("update @affinity"))
    }

    func testAClientStaysUntilItsEndpointGoes() throws {
        let network = try TestNetwork(pods: 4)
        defer { network.end() }
        try network.greet(port: 8080, from: 1)
        let router = try makeRouter(network)
        let endpoints = network.endpoints(port: 8080, from: 1)
        let sticky = ServiceRoute.test(1, "10.96.0.20", 80, endpoints, affinity: 60)
        try router.replaceAll([sticky])
        let client = network.pods[0].thread
        let first = try greetings(client, "10.96.0.20", 80, count: 1)[0]
        let chosen = try XCTUnwrap(Int(first.suffix(1))) - 1
        let others = endpoints.indices.filter { $0 != chosen }
        // Another one goes: nothing changes for this client.
        let fewer = ServiceRoute.test(1, "10.96.0.20", 80, [endpoints[others[1]], endpoints[chosen]], affinity: 60)
        try router.apply(RouteChanges(changed: [.init(old: sticky, new: fewer)]))
        XCTAssertEqual(try Set(greetings(client, "10.96.0.20", 80, count: 8)), [first])
        let without = ServiceRoute.test(1, "10.96.0.20", 80, others.map { endpoints[$0] }, affinity: 60)
        try router.apply(RouteChanges(changed: [.init(old: fewer, new: without)]))
        let second = try Set(greetings(client, "10.96.0.20", 80, count: 8))
        XCTAssertEqual(second.count, 1)
        XCTAssertFalse(second.contains(first))
        // The service goes and comes again with the first endpoint alone: nobody is sent to the second one.
        try router.apply(RouteChanges(removed: [without]))
        let again = ServiceRoute.test(2, "10.96.0.20", 80, [endpoints[chosen]], affinity: 60)
        try router.apply(RouteChanges(changed: [.init(old: nil, new: again)]))
        XCTAssertEqual(try Set(greetings(client, "10.96.0.20", 80, count: 4)), [first])
    }

    func testNodePortsAndHostPorts() throws {
        let network = try TestNetwork(pods: 2)
        defer { network.end() }
        try network.greet(port: 8080)
        let router = try makeRouter(network)
        try router.replaceAll([.test(1, nil, 30080, network.endpoints(port: 8080))])
        let request = try AttachmentRequest([
            "sandboxID": "pod-1", "networkNamespace": .string(network.pods[1].thread.path),
            "portMappings": [
                ["hostPort": 9000, "containerPort": 8080],
                ["hostPort": 9001, "containerPort": 8080, "hostIP": "127.0.0.1", "protocol": "TCP"],
            ],
        ])
        let mapped = Attachment(request, address: network.pods[1].attachment.address)
        try router.add(mapped)
        for host in ["127.0.0.1", "10.244.0.1"] {
            XCTAssertEqual(try Set(greetings(network.host, host, 30080, count: 40)), ["pod-0", "pod-1"], host)
            XCTAssertEqual(try greetings(network.host, host, 9000, count: 1), ["pod-1"], host)
        }
        XCTAssertEqual(try greetings(network.host, "127.0.0.1", 9001, count: 1), ["pod-1"])
        XCTAssertEqual(try network.host.run { Sockets.refusal("10.244.0.1", 9001) }, ECONNREFUSED)
        XCTAssertEqual(try greetings(network.pods[0].thread, "10.244.0.1", 9000, count: 1), ["pod-1"])
        XCTAssertEqual(try greetings(network.pods[1].thread, "10.244.0.1", 9000, count: 1), ["pod-1"])
        try router.remove(mapped)
        XCTAssertEqual(try network.host.run { Sockets.refusal("127.0.0.1", 9000) }, ECONNREFUSED)
    }

    func testOutsideIsMasqueradedAndKeepsToLocalEndpoints() throws {
        let network = try TestNetwork(pods: 2)
        defer { network.end() }
        let world = try NamespaceThread()
        defer { world.end() }
        let worldPath = world.path
        try network.host.run {
            try shell(
                "ip link add up0 type veth peer name eth0 && ip link set up0 up && ip addr add 192.0.2.1/24 dev up0")
            try shell("ip link set eth0 netns \(worldPath)")
        }
        try world.run { try shell("ip link set lo up; ip link set eth0 up; ip addr add 192.0.2.9/24 dev eth0") }
        let server = try world.run { try Greeter("world", port: 7000) }
        defer { server.stop() }
        let router = try makeRouter(network)
        XCTAssertEqual(
            try network.pods[0].thread.run { try Sockets.dial("192.0.2.9", 7000).greeting }, "world 192.0.2.1")
        try network.greet(port: 8080)
        let all = network.endpoints(port: 8080)
        try router.replaceAll([.test(1, nil, 30080, all, outside: [all[1]])])
        let seen = try world.run { try (0..<3).map { _ in try Sockets.dial("192.0.2.1", 30080).greeting } }
        XCTAssertEqual(Set(seen), ["pod-1 192.0.2.9"])
        XCTAssertEqual(try Set(greetings(network.host, "192.0.2.1", 30080, count: 40)).count, 2)
        XCTAssertEqual(try Set(greetings(network.pods[0].thread, "192.0.2.1", 30080, count: 40)).count, 2)
    }

    func testATableOfAnEarlierRunGoesOnUntilServicesAreKnown() throws {
        let network = try TestNetwork(pods: 2)
        defer { network.end() }
        try network.greet(port: 8080)
        let route = ServiceRoute.test(1, "10.96.0.20", 80, network.endpoints(port: 8080))
        try makeRouter(network).replaceAll([route])
        let restarted = try makeRouter(network)
        try restarted.add(network.pods[0].attachment)
        try restarted.remove(network.pods[1].attachment)
        XCTAssertEqual(try greetings(network.host, "10.96.0.20", 80, count: 1).count, 1)
        try restarted.replaceAll([])
        XCTAssertEqual(try network.host.run { Sockets.refusal("10.96.0.20", 80) }, ECONNREFUSED)
        try restarted.removeTable()
        XCTAssertFalse(try network.host.run { try shell("nft list tables") }.contains("hostd"))
    }

    func testTheCostOfAllGrowsLikeTheirNumber() throws {
        let network = try TestNetwork(pods: 1)
        defer { network.end() }
        try network.greet(port: 8080)
        let router = try makeRouter(network)
        let endpoints = network.endpoints(port: 8080)
        func routes(_ count: Int) -> [ServiceRoute] {
            (0..<count).map { number in
                .test(UInt32(number + 1), "10.96.\(number / 250).\(number % 250 + 1)", 80, endpoints)
            }
        }
        // Of the processor, which the kernel's work for the calling thread counts to: other load does not.
        func milliseconds(_ body: () throws -> Void) throws -> Double {
            let start = DispatchClock.processor()
            try body()
            return Double(DispatchClock.processor() - start) / 1_000_000
        }
        _ = try milliseconds { try router.replaceAll(routes(2000)) }
        let few = try milliseconds { try router.replaceAll(routes(2000)) }
        let many = try milliseconds { try router.replaceAll(routes(20_000)) }
        print("all of 2,000 services: \(few) ms, of 20,000: \(many) ms")
        XCTAssertLessThan(many, 40 * few, "ten times as many would cost a hundred times as much if it were quadratic")
        let all = routes(20_000)
        var others = endpoints
        let change = try (0..<20).map { number in
            others = [Endpoint(address: endpoints[0].address, port: UInt16(9000 + number))]
            let new = ServiceRoute.test(1, "10.96.0.1", 80, others)
            return try milliseconds { try router.apply(RouteChanges(changed: [.init(old: all[0], new: new)])) }
        }.sorted()[10]
        let resized = try milliseconds {
            try router.apply(RouteChanges(changed: [.init(old: all[1], new: .test(2, "10.96.0.2", 80, []))]))
        }
        print("one endpoint of one of 20,000 services: \(change) ms; its number of endpoints: \(resized) ms")
        XCTAssertEqual(try greetings(network.host, "10.96.79.1", 80, count: 1), ["pod-0"])
    }

    func testManyServices() throws {
        let network = try TestNetwork(pods: 1)
        defer { network.end() }
        try network.greet(port: 8080)
        let router = try makeRouter(network)
        let endpoints = network.endpoints(port: 8080)
        let routes = (1...5000).map { number in
            ServiceRoute.test(UInt32(number), "10.96.\(number / 250).\(number % 250 + 1)", 80, endpoints)
        }
        var start = DispatchClock.now()
        try router.replaceAll([routes[0]])
        print("replace a table of one service: \((DispatchClock.now() - start) / 1000) µs")
        start = DispatchClock.now()
        try router.replaceAll(routes)
        print("replace a table by one of 5,000 services: \((DispatchClock.now() - start) / 1000) µs")
        XCTAssertEqual(try greetings(network.host, "10.96.20.1", 80, count: 1), ["pod-0"])
        start = DispatchClock.now()
        try router.apply(RouteChanges(changed: [.init(old: routes[0], new: .test(1, "10.96.0.2", 80, []))]))
        print("change one of 5,000 services in nf_tables: \((DispatchClock.now() - start) / 1000) µs")
    }
}
