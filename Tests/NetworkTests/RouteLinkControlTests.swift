import Glibc
import XCTest

@testable import Network
@testable import PodNetworking

/// The kernel's own behaviour behind `LinkControl`. Needs root.
final class RouteLinkControlTests: XCTestCase {
    func testPodsReachEachOtherAndTheHost() throws {
        let network = try TestNetwork(pods: 2)
        defer { network.end() }
        try network.greet(port: 8080)
        XCTAssertEqual(try network.host.run { try Sockets.dial("10.244.0.3", 8080).greeting }, "pod-1 10.244.0.1")
        XCTAssertEqual(
            try network.pods[0].thread.run { try Sockets.dial("10.244.0.3", 8080).greeting }, "pod-1 10.244.0.2")
        XCTAssertEqual(
            try network.pods[1].thread.run { try Sockets.dial("10.244.0.3", 8080).greeting }, "pod-1 10.244.0.3")
        let forwarding = try network.host.run { try shell("bridge fdb show br hostd0") }
        XCTAssertTrue(
            forwarding.contains("0a:68:0a:f4:00:03 dev \(network.pods[1].attachment.hostName) master hostd0 static"),
            forwarding)
        XCTAssertNotEqual(network.pods[0].attachment.namespaceCookie, network.pods[1].attachment.namespaceCookie)
    }

    func testBridgeIsMadeOnceAndCompleted() throws {
        let network = try TestNetwork(pods: 0)
        defer { network.end() }
        let again = try network.links.ensureBridge(TestNetwork.bridgeRequest)
        XCTAssertEqual(again, network.bridge)
        try network.host.run { try shell("ip addr flush dev hostd0; ip route flush 10.96.0.0/16") }
        _ = try network.links.ensureBridge(TestNetwork.bridgeRequest)
        let routes = try network.host.run { try shell("ip -4 route") }
        XCTAssertTrue(routes.contains("10.96.0.0/16 dev hostd0"), routes)
        XCTAssertTrue(routes.contains("10.244.0.0/24 dev hostd0"), routes)
        XCTAssertEqual(try network.links.hostAddresses(), [TestNetwork.gateway])
        XCTAssertNil(try network.links.primaryAddress())
    }

    func testOtherInterfaceOfTheBridgesName() throws {
        let thread = try NamespaceThread()
        defer { thread.end() }
        try thread.run {
            try shell("ip link add hostd0 type veth peer name other")
            let links = try RouteLinkControl()
            XCTAssertThrowsError(try links.ensureBridge(TestNetwork.bridgeRequest)) {
                XCTAssertEqual($0 as? NetworkError, .notABridge("hostd0"))
            }
        }
    }

    func testInspectSeesDamage() throws {
        let network = try TestNetwork(pods: 1)
        defer { network.end() }
        let pod = network.pods[0]
        let request = network.linkRequest(pod.attachment)
        let intact = try network.links.inspect(request)
        XCTAssertEqual(
            intact,
            PodLinkState(
                isConnected: true, addresses: [pod.attachment.address],
                namespaceCookie: pod.attachment.namespaceCookie))
        try pod.thread.run { try shell("ip addr flush dev eth0") }
        XCTAssertEqual(try network.links.inspect(request).addresses, [])
        try network.host.run { try shell("ip link set \(request.hostName) nomaster") }
        XCTAssertFalse(try network.links.inspect(request).isConnected)
        XCTAssertThrowsError(try network.links.connect(request)) { XCTAssertEqual(($0 as? NetlinkError)?.code, EEXIST) }
        XCTAssertFalse(try network.links.inspect(request).isConnected)
    }

    func testDisconnectIsIdempotentAndPortsAreListed() throws {
        let network = try TestNetwork(pods: 2)
        defer { network.end() }
        let ports = try network.links.ports(of: network.bridge.index)
        XCTAssertEqual(
            Set(ports.map { Attachment.sandbox(alias: $0.alias) ?? "" }), ["pod-0", "pod-1"])
        let first = network.pods[0].attachment
        for _ in 0..<2 {
            try network.links.disconnect(
                hostName: first.hostName, address: first.address, bridgeIndex: network.bridge.index)
        }
        XCTAssertEqual(try network.links.ports(of: network.bridge.index).count, 1)
        let neighbours = try network.host.run { try shell("ip neigh show dev hostd0") }
        XCTAssertFalse(neighbours.contains("10.244.0.2 "), neighbours)
    }

    func testManyGoAtOnce() throws {
        let network = try TestNetwork(pods: 4)
        defer { network.end() }
        let all = network.pods.map { ($0.attachment.hostName, $0.attachment.address) }
        try network.links.disconnect(
            hostName: all[0].0, address: all[0].1, bridgeIndex: network.bridge.index)
        let start = DispatchClock.now()
        try network.links.disconnect(Array(all.prefix(3)), bridgeIndex: network.bridge.index)
        print("remove two links: \((DispatchClock.now() - start) / 1000) µs")
        let left = try network.links.ports(of: network.bridge.index).map(\.name)
        XCTAssertEqual(left, [all[3].0])
        try network.links.disconnect(all, bridgeIndex: network.bridge.index)
        XCTAssertTrue(try network.links.ports(of: network.bridge.index).isEmpty)
        try network.links.disconnect(all, bridgeIndex: network.bridge.index)
    }

    func testRefusesTheHostsOwnNamespaceAndMissingOnes() throws {
        let network = try TestNetwork(pods: 0)
        defer { network.end() }
        for (path, isExpected) in [
            (network.host.path, { ($0 as? NetworkError) == .hostNamespace(network.host.path) }),
            ("/run/no/such/namespace", { ($0 as? NetlinkError)?.code == ENOENT }),
            ("/proc/self/status", { ($0 as? NetlinkError)?.code == EINVAL }),
        ] as [(String, (any Error) -> Bool)] {
            let request = try AttachmentRequest(["sandboxID": "x", "networkNamespace": .string(path)])
            let attachment = Attachment(request, address: TestNetwork.podRange.address(at: 9))
            XCTAssertThrowsError(try network.links.connect(network.linkRequest(attachment))) {
                XCTAssertTrue(isExpected($0), "\(path): \($0)")
            }
        }
        XCTAssertTrue(try network.links.ports(of: network.bridge.index).isEmpty)
    }

    func testConnectTakesLittleTime() throws {
        let network = try TestNetwork(pods: 0)
        defer { network.end() }
        var microseconds: [Double] = []
        for number in 0..<20 {
            let pod = try NamespaceThread()
            defer { pod.end() }
            let request = try AttachmentRequest([
                "sandboxID": .string("timed-\(number)"), "networkNamespace": .string(pod.path),
            ])
            let attachment = Attachment(request, address: TestNetwork.podRange.address(at: 10 + number))
            let start = DispatchClock.now()
            _ = try network.links.connect(network.linkRequest(attachment))
            microseconds.append(Double(DispatchClock.now() - start) / 1000)
        }
        let median = microseconds.sorted()[10]
        print("connect a pod: median \(Int(median)) µs")
        XCTAssertLessThan(median, 500_000, "a bound for the slowest machine; script/bench has the figure")
    }
}

/// Nanoseconds.
enum DispatchClock {
    static func now() -> UInt64 { read(CLOCK_MONOTONIC) }
    /// What the calling thread has had of the processor.
    static func processor() -> UInt64 { read(CLOCK_THREAD_CPUTIME_ID) }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
