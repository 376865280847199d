import Glibc
import Objects
import PluginAPI
import PluginKit
import XCTest

@testable import PodNetworking

/// Enforcement of policies by nf_tables: real connections between real namespaces. Needs root.
final class PolicyFilterTests: XCTestCase {
    private var directory = ""
    private var ledger: RoutingLedger { RoutingLedger(dataDirectory: directory) }

    override func setUpWithError() throws {
        var template = Array("/tmp/hostd-policies-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw TestFailure("mkdtemp", errno) }
        directory = String(cString: made)
        guard mkdir("\(directory)/pod-network", 0o700) == 0 else { throw TestFailure("mkdir", errno) }
    }

    override func tearDownWithError() throws { try shell("rm -rf --one-file-system \(directory)") }

    private func makeFilter(_ network: TestNetwork) throws -> PolicyFilter {
        try network.host.run { try PolicyFilter(table: "hostd-policies", ledger: ledger) }
    }

    /// The routing of services, with which the kernel keeps track of connections from the start.
    private func makeRouter(_ network: TestNetwork) throws -> PacketRouter {
        let table = FilterTable(
            name: "hostd", bridge: "hostd0", podRange: TestNetwork.podRange, serviceRange: TestNetwork.serviceRange,
            servesHost: true)
        return try network.host.run { try PacketRouter(table: table, pods: network.pods.map(\.attachment)) }
    }

    /// Somebody who dials a pod, the host or the outside.
    private struct Attempt {
        let from: NamespaceThread
        let address: String
        var port: UInt16 = 8080
        var isDatagram = false

        /// Whether an answer comes. What is dropped is waited for only a little.
        func passes(expected: Bool) throws -> Bool {
            try from.run {
                let milliseconds = expected ? 30_000 : 150
                let kind = isDatagram ? SOCK_DGRAM : SOCK_STREAM
                let descriptor = try Sockets.make(kind, milliseconds: milliseconds)
                defer { close(descriptor) }
                let target = Sockets.address(address, port)
                guard Sockets.call(target, { connect(descriptor, $0, $1) }) == 0 else {
                    XCTAssertNotEqual(errno, ECONNREFUSED, "\(address):\(port) has no listener")
                    return false
                }
                if isDatagram, send(descriptor, "hello", 5, 0) != 5 { return false }
                var buffer = [UInt8](repeating: 0, count: 64)
                return recv(descriptor, &buffer, buffer.count, 0) > 0
            }
        }
    }

    private func check(_ rows: [(Attempt, Bool, String)], _ line: UInt = #line) throws {
        for (attempt, expected, reason) in rows {
            XCTAssertEqual(try attempt.passes(expected: expected), expected, reason, line: line)
        }
    }

    /// Attempts between the pods of a network, and from and to its host.
    private struct World {
        let network: TestNetwork
        let host = TestNetwork.gateway.description

        func pod(_ number: Int) -> String { network.pods[number].attachment.address.description }
        func dial(_ from: Int, _ to: Int, _ port: UInt16 = 8080, datagram: Bool = false) -> Attempt {
            Attempt(from: network.pods[from].thread, address: pod(to), port: port, isDatagram: datagram)
        }
        func dial(_ from: Int, _ address: String, _ port: UInt16 = 8080) -> Attempt {
            Attempt(from: network.pods[from].thread, address: address, port: port)
        }
        func hostDials(_ to: Int) -> Attempt { Attempt(from: network.host, address: pod(to)) }
    }

    private func update(_ filter: PolicyFilter, _ json: JSON) throws { try filter.update(try PolicyUpdate(json)) }

    func testIngress() throws {
        let network = try TestNetwork(pods: 3)
        defer { network.end() }
        try network.greet(port: 8080)
        try network.greet(port: 8081, from: 2)
        try network.greet(port: 5353, datagram: true, from: 2)
        let world = World(network: network)
        let filter = try makeFilter(network)
        let closed: JSON = [
            "full": true, "policies": [["name": "d/deny", "ingress": []]],
            "subjects": [["address": .string(world.pod(2)), "ingress": ["d/deny"]]],
        ]
        try update(filter, closed)
        try check([
            (world.dial(0, 2), false, "nobody gets in"), (world.dial(0, 2, 5353, datagram: true), false, "nor by UDP"),
            (world.hostDials(2), true, "the host does"), (world.dial(2, 2), true, "the pod itself does"),
            (world.dial(2, 0), true, "the pod gets out, and its answers back"),
            (world.dial(0, 1), true, "others are not concerned"),
        ])
        // A second policy adds to what the first one allows.
        try update(
            filter,
            [
                "groups": [["name": "web", "type": "addresses", "added": [.string(world.pod(0))]]],
                "policies": [
                    ["name": "d/web", "ingress": [["peers": [["group": "web"]], "ports": [["port": 8080]]]]]
                ],
                "subjects": [["address": .string(world.pod(2)), "ingress": ["d/deny", "d/web"]]],
            ])
        try check([
            (world.dial(0, 2), true, "a peer, an allowed port"), (world.dial(0, 2, 8081), false, "another port"),
            (world.dial(0, 2, 5353, datagram: true), false, "another protocol"),
            (world.dial(1, 2), false, "no peer"),
        ])
        // A peer more and one less is one element each; nothing else changes.
        let members: JSON = ["added": [.string(world.pod(1))], "removed": [.string(world.pod(0))]]
        try update(filter, ["groups": [["name": "web", "added": members["added"], "removed": members["removed"]]]])
        try check([(world.dial(0, 2), false, "no peer any more"), (world.dial(1, 2), true, "a peer now")])
        // The rules change under the pods that have them.
        try update(
            filter,
            [
                "groups": [
                    [
                        "name": "named", "type": "endpoints",
                        "added": [["address": .string(world.pod(2)), "protocol": "UDP", "port": 5353]],
                    ]
                ],
                "policies": [
                    [
                        "name": "d/web",
                        "ingress": [
                            [
                                "peers": [["group": "web"]],
                                "ports": [["port": 8000, "endPort": 8080], ["port": 9000], ["group": "named"]],
                            ]
                        ],
                    ]
                ],
            ])
        try check([
            (world.dial(1, 2), true, "the end of a range"), (world.dial(1, 2, 8081), false, "behind the range"),
            (world.dial(1, 2, 5353, datagram: true), true, "a port by its name"),
            (world.dial(0, 2, 5353, datagram: true), false, "a port by its name, no peer"),
        ])
        try update(filter, ["removed": ["subjects": [.string(world.pod(2))]]])
        try check([(world.dial(0, 2), true, "free again")])
        try update(filter, ["removed": ["policies": ["d/deny", "d/web"], "groups": ["web", "named"]]])
        XCTAssertFalse(try network.host.run { try shell("nft list tables") }.contains("hostd-policies"))
        XCTAssertNil(filter.path)
    }

    func testEgress() throws {
        let network = try TestNetwork(pods: 3)
        defer { network.end() }
        try network.greet(port: 8080)
        let hostServer = try network.host.run { try Greeter("host", port: 8080) }
        let hostDNS = try network.host.run { try Greeter("host", port: 53) }
        defer {
            hostServer.stop()
            hostDNS.stop()
        }
        let world = World(network: network)
        let filter = try makeFilter(network)
        try update(
            filter,
            [
                "full": true,
                "groups": [
                    ["name": "web", "type": "addresses", "added": [.string(world.pod(1))]],
                    [
                        "name": "dns", "type": "endpoints",
                        "added": [["address": .string(world.host), "protocol": "TCP", "port": 53]],
                    ],
                ],
                "policies": [
                    ["name": "d/out", "egress": [["peers": [["group": "web"]]], ["peers": [["group": "dns"]]]]]
                ], "subjects": [["address": .string(world.pod(0)), "egress": ["d/out"]]],
            ])
        try check([
            (world.dial(0, 1), true, "a peer"), (world.dial(0, 2), false, "no peer"),
            (world.dial(0, world.host, 53), true, "an endpoint of the host"),
            (world.dial(0, world.host), false, "another port of the host"),
            (world.dial(2, world.host), true, "from a pod that is not concerned"),
            (world.dial(2, 0), true, "what comes in is not egress"), (world.hostDials(0), true, "the host's probes"),
        ])
        // Both sides have to allow a connection.
        try update(
            filter,
            [
                "policies": [
                    ["name": "d/in", "ingress": [["peers": [["cidr": "10.244.0.0/24"]]]]],
                    ["name": "d/none", "ingress": []],
                ],
                "subjects": [
                    ["address": .string(world.pod(1)), "ingress": ["d/none"]],
                    ["address": .string(world.pod(2)), "ingress": ["d/in"]],
                ],
            ])
        try check([
            (world.dial(0, 1), false, "out, but not in"), (world.dial(0, 2), false, "in, but not out"),
            (world.dial(1, 2), true, "in by a block"),
        ])
    }

    /// From the outside, by blocks with exceptions; and through a service, whose address does not count.
    func testOutsideAndServices() throws {
        let network = try TestNetwork(pods: 2)
        defer { network.end() }
        let outside = try NamespaceThread()
        defer { outside.end() }
        let thread = outside.path.split(separator: "/")[3]
        try network.host.run {
            try shell("ip link add out0 type veth peer name eth0 netns \(thread) && ip link set out0 up")
            try shell("ip addr add 192.0.2.1/24 dev out0")
        }
        try outside.run {
            try shell("ip link set eth0 up && ip addr add 192.0.2.2/24 dev eth0 && ip addr add 192.0.2.9/32 dev eth0")
            try shell("ip route add default via 192.0.2.1")
        }
        try network.greet(port: 8080)
        let server = try outside.run { try Greeter("out", port: 8080) }
        defer { server.stop() }
        let world = World(network: network)
        let router = try makeRouter(network)
        let endpoint = [Endpoint(address: network.pods[1].attachment.address, port: 8080)]
        try router.replaceAll([.test(1, "10.96.0.20", 80, endpoint), .test(2, nil, 30080, endpoint)])
        let filter = try makeFilter(network)
        func allow(_ blocks: [JSON], egress: [JSON] = []) throws {
            try update(
                filter,
                [
                    "full": true,
                    "policies": [
                        ["name": "d/in", "ingress": [["peers": .array(blocks)]]],
                        ["name": "d/out", "egress": [["peers": .array(egress)]]],
                    ],
                    "subjects": [
                        ["address": .string(world.pod(1)), "ingress": ["d/in"]],
                        ["address": .string(world.pod(0)), "egress": ["d/out"]],
                    ],
                ])
        }
        let fromOutside = Attempt(from: outside, address: world.pod(1))
        let nodePort = Attempt(from: outside, address: "192.0.2.1", port: 30080)
        try allow([["cidr": "192.0.2.0/24"]], egress: [["cidr": "0.0.0.0/0", "except": ["192.0.2.2/32"]]])
        try check([
            (fromOutside, true, "in the block"), (nodePort, true, "through a node port, by the client's address"),
            (world.dial(0, "192.0.2.9"), true, "out to what is not excepted"),
            (world.dial(0, "192.0.2.2"), false, "out to the exception"),
            (world.dial(0, "10.96.0.20", 80), false, "through a service, to a pod that lets nobody of the pods in"),
        ])
        try allow(
            [["cidr": "192.0.2.0/24", "except": ["192.0.2.0/29"]], ["cidr": "10.244.0.0/16"]],
            egress: [["cidr": "10.244.0.0/16"]])
        try check([
            (fromOutside, false, "in the exception"), (nodePort, false, "in the exception, through a node port"),
            (world.dial(0, "10.96.0.20", 80), true, "through a service, whose own address nobody named"),
            (world.dial(0, "192.0.2.9"), false, "out of no block"),
            (world.dial(1, "192.0.2.2"), true, "from a pod that may go out"),
        ])
        XCTAssertTrue(try network.host.run { try shell("nft list table ip hostd-policies") }.contains("192.0.2.8"))
    }

    func testEstablishedConnectionsGoOn() throws {
        let network = try TestNetwork(pods: 2)
        defer { network.end() }
        let world = World(network: network)
        _ = try makeRouter(network)
        let listener = try network.pods[1].thread.run { () -> Int32 in
            let descriptor = try Sockets.make(SOCK_STREAM)
            guard Sockets.call(Sockets.address("0.0.0.0", 8080), { bind(descriptor, $0, $1) }) == 0 else {
                throw TestFailure("bind", errno)
            }
            listen(descriptor, 1)
            return descriptor
        }
        defer { close(listener) }
        let client = try network.pods[0].thread.run { () -> Int32 in
            let descriptor = try Sockets.make(SOCK_STREAM)
            let target = Sockets.address(world.pod(1), 8080)
            guard Sockets.call(target, { connect(descriptor, $0, $1) }) == 0 else {
                throw TestFailure("connect", errno)
            }
            return descriptor
        }
        defer { close(client) }
        let server = accept(listener, nil, nil)
        defer { close(server) }
        let filter = try makeFilter(network)
        try update(
            filter,
            [
                "full": true, "policies": [["name": "d/deny", "ingress": [], "egress": []]],
                "subjects": [["address": .string(world.pod(1)), "ingress": ["d/deny"], "egress": ["d/deny"]]],
            ])
        var buffer = [UInt8](repeating: 0, count: 8)
        XCTAssertEqual(write(client, "ping", 4), 4)
        XCTAssertEqual(recv(server, &buffer, 8, 0), 4)
        XCTAssertEqual(write(server, "pong", 4), 4)
        XCTAssertEqual(recv(client, &buffer, 8, 0), 4)
    }

    /// A pod that makes its own Ethernet frames does not get past the rules: the bridge carries nothing between pods.
    func testNothingPassesBesideTheHost() throws {
        let network = try TestNetwork(pods: 2)
        defer { network.end() }
        try network.greet(port: 8080)
        let world = World(network: network)
        let filter = try makeFilter(network)
        try update(
            filter,
            [
                "full": true, "policies": [["name": "d/deny", "ingress": []]],
                "subjects": [["address": .string(world.pod(1)), "ingress": ["d/deny"]]],
            ])
        try network.pods[0].thread.run {
            try shell("ip neigh add \(world.pod(1)) lladdr \(network.pods[1].attachment.macAddress) dev eth0")
            try shell("ip route add \(world.pod(1))/32 dev eth0")
        }
        try network.pods[1].thread.run {
            try shell("ip neigh add \(world.pod(0)) lladdr \(network.pods[0].attachment.macAddress) dev eth0")
            try shell("ip route add \(world.pod(0))/32 dev eth0")
        }
        try check([(world.dial(0, 1), false, "straight to the other pod's Ethernet address")])
    }

    func testWhatComesFirstAndWhatGoesWrong() throws {
        let network = try TestNetwork(pods: 2)
        defer { network.end() }
        try network.greet(port: 8080)
        let world = World(network: network)
        let closed: JSON = [
            "full": true, "policies": [["name": "d/deny", "ingress": []]],
            "subjects": [["address": .string(world.pod(1)), "ingress": ["d/deny"]]],
        ]
        let first = try makeFilter(network)
        XCTAssertThrowsError(try update(first, ["groups": []])) {
            XCTAssertEqual(($0 as? PluginError)?.code, HOSTD_ERROR_WRONG_STATE)
        }
        try update(first, closed)
        // Another run: the table goes on until it is told, and then has nothing but what it is told.
        let second = try makeFilter(network)
        try check([(world.dial(0, 1), false, "between two runs")])
        XCTAssertNotNil(second.path)
        try update(second, closed)
        try check([(world.dial(0, 1), false, "taken over")])
        // What cannot be right changes nothing, and then everything has to be given.
        XCTAssertThrowsError(try update(second, ["subjects": [["address": "10.244.0.9", "ingress": ["none"]]]]))
        XCTAssertThrowsError(try update(second, ["groups": []]))
        try check([(world.dial(0, 1), false, "after a refusal")])
        try update(second, closed)
        // Somebody removes the table: the next change brings all of it back.
        try network.host.run { try shell("nft delete table ip hostd-policies") }
        try check([(world.dial(0, 1), true, "without the table")])
        try update(second, ["groups": [["name": "g", "added": ["10.244.0.77"]]]])
        try check([(world.dial(0, 1), false, "repaired")])
        try network.host.run { try second.remove() }
        try check([(world.dial(0, 1), true, "removed")])
    }

    /// What a change costs does not depend on what else there is: 500 pods and 100 policies against 5 and 1.
    func testTheCostOfAChange() throws {
        let network = try TestNetwork(pods: 1)
        defer { network.end() }
        func rules(pods: Int, policies: Int) -> JSON {
            let names = (0..<policies).map { "d/p\($0)" }
            let addresses = (0..<pods).map { "10.244.\(1 + $0 / 200).\(1 + $0 % 200)" }
            return [
                "full": true, "groups": [["name": "all", "added": JSON(addresses)]],
                "policies": .array(
                    names.map {
                        ["name": .string($0), "ingress": [["peers": [["group": "all"]], "ports": [["port": 80]]]]]
                    }),
                "subjects": .array(
                    addresses.enumerated().map {
                        ["address": .string($1), "ingress": [.string(names[$0 % policies])]]
                    }),
            ]
        }
        func nanoseconds(_ filter: PolicyFilter) throws -> UInt64 {
            var best = UInt64.max
            for _ in 0..<20 {
                let start = DispatchClock.processor()
                try update(filter, ["groups": [["name": "all", "added": ["10.244.0.99"]]]])
                try update(filter, ["groups": [["name": "all", "removed": ["10.244.0.99"]]]])
                best = min(best, DispatchClock.processor() - start)
            }
            return best
        }
        let filter = try makeFilter(network)
        try update(filter, rules(pods: 5, policies: 1))
        let few = try nanoseconds(filter)
        try update(filter, rules(pods: 500, policies: 100))
        let many = try nanoseconds(filter)
        XCTAssertLessThan(many, few * 8, "a member more: \(few) ns with few others, \(many) ns with many")
    }
}
