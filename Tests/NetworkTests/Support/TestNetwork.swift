import Glibc
import XCTest

@testable import PodNetworking

/// A host in a namespace of its own, with a bridge and pods, as the plugin makes them.
final class TestNetwork {
    let host: NamespaceThread
    let links: RouteLinkControl
    let bridge: Bridge
    private(set) var pods: [TestPod] = []
    private var greeters: [Greeter] = []

    static let podRange = IPv4Range(around: IPv4Address(0x0af4_0000), prefixLength: 24)
    static let serviceRange = IPv4Range(around: IPv4Address(0x0a60_0000), prefixLength: 16)
    static let gateway = podRange.address(at: 1)

    init(pods count: Int) throws {
        let host = try NamespaceThread()
        self.host = host
        (links, bridge) = try host.run {
            try shell("ip link set lo up")
            try shell("sysctl -qw net.ipv4.ip_forward=1")
            let links = try RouteLinkControl()
            let bridge = try links.ensureBridge(Self.bridgeRequest)
            try shell("sysctl -qw net.ipv4.conf.hostd0.route_localnet=1")
            return (links, bridge)
        }
        for number in 0..<count { try addPod(number) }
    }

    static var bridgeRequest: BridgeRequest {
        BridgeRequest(
            name: "hostd0", address: gateway, podRange: podRange, serviceRange: serviceRange,
            macAddress: MACAddress(for: gateway), mtu: 0)
    }

    private func addPod(_ number: Int) throws {
        let thread = try NamespaceThread()
        let json: [String: String] = ["sandboxID": "pod-\(number)", "networkNamespace": thread.path]
        let request = try AttachmentRequest(.object(.init(json.map { ($0, .string($1)) })))
        var attachment = Attachment(request, address: Self.podRange.address(at: 2 + number))
        attachment.namespaceCookie = try links.connect(linkRequest(attachment))
        pods.append(TestPod(thread: thread, attachment: attachment))
    }

    func linkRequest(_ attachment: Attachment) -> PodLinkRequest {
        PodLinkRequest(
            hostName: attachment.hostName, alias: Attachment.alias(sandbox: attachment.sandbox),
            podName: attachment.interfaceName, networkNamespace: attachment.networkNamespace,
            address: attachment.address, podRange: Self.podRange, gateway: Self.gateway,
            gatewayMAC: bridge.macAddress, macAddress: attachment.macAddress, bridgeIndex: bridge.index, mtu: 0)
    }

    /// A server in every pod from `first` on, named after it.
    func greet(port: UInt16, datagram: Bool = false, from first: Int = 0) throws {
        for (number, pod) in pods.enumerated() where number >= first {
            greeters.append(try pod.thread.run { try Greeter("pod-\(number)", port: port, datagram: datagram) })
        }
    }

    func endpoints(port: UInt16, from first: Int = 0) -> [Endpoint] {
        pods[first...].map { Endpoint(address: $0.attachment.address, port: port) }
    }

    func end() {
        for greeter in greeters { greeter.stop() }
        for pod in pods { pod.thread.end() }
        host.end()
    }
}

struct TestPod {
    let thread: NamespaceThread
    let attachment: Attachment
}

extension ServiceRoute {
    /// A route of one TCP frontend.
    static func test(
        _ id: UInt32, _ address: String?, _ port: UInt16, _ endpoints: [Endpoint], transport: Transport = .tcp,
        affinity: UInt32? = nil, outside: [Endpoint]? = nil, sources: [IPv4Range]? = nil
    ) -> ServiceRoute {
        let frontend = Frontend(
            address: address.flatMap { IPv4Address(parsing: $0) }, port: port, transport: transport)
        return ServiceRoute(
            id: id, name: "test/\(id)", transport: transport, frontends: [frontend], endpoints: endpoints,
            outsideEndpoints: outside, affinitySeconds: affinity, sources: sources)
    }
}
