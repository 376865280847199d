import Glibc
import Objects
import PluginKit

/// Everything that the plugin holds while it is active.
final class ActiveNetwork: Sendable {
    let pods: PodNetwork
    let services: ServiceNetwork
    private let settings: NetworkSettings
    private let links: any LinkControl
    private let packets: PacketRouter?
    private let pins: PinDirectory?
    /// Why a mechanism is not in use; empty when all are.
    private let limitations: [String]

    /// Finds or makes the bridge and takes over what an earlier run left: attachments, programs, rules.
    init(settings: NetworkSettings, log: Log) throws {
        self.settings = settings
        let links = try Self.links()
        let bridge = try links.ensureBridge(
            BridgeRequest(
                name: settings.bridge, address: settings.gateway, podRange: settings.podRange,
                serviceRange: settings.serviceRange, macAddress: MACAddress(for: settings.gateway), mtu: settings.mtu))
        try Self.enableForwarding(bridge: settings.bridge, log: log)
        let store = AttachmentStore(directory: settings.pluginDirectory)
        try store.prepare()
        let (attachments, quarantined) = try store.load()
        for name in quarantined {
            log.error("an attachment's file cannot be read and was put aside", ["file": .string(name)])
        }
        let mechanisms = try RoutingMechanisms(settings: settings, links: links, attachments: attachments, log: log)
        pods = try PodNetwork(
            settings: settings, links: links, store: store, routers: mechanisms.routers, bridge: bridge,
            attachments: attachments, log: log)
        services = ServiceNetwork(routers: mechanisms.routers, log: log)
        packets = mechanisms.packets
        pins = mechanisms.pins
        limitations = mechanisms.limitations
        self.links = links
        log.info(
            "the pod network is up",
            [
                "bridge": .string(settings.bridge), "podRange": .string(settings.podRange.description),
                "routing": .string(mechanisms.pins == nil ? "nftables" : "ebpf"), "pods": JSON(attachments.count),
            ])
    }

    private static func links() throws -> RouteLinkControl {
        do {
            return try RouteLinkControl()
        } catch let error as NetlinkError where error.code == EPERM || error.code == EACCES {
            throw NetworkError.missing("the pod network needs CAP_NET_ADMIN and CAP_SYS_ADMIN: run hostd as root")
        }
    }

    /// Lets the kernel forward between pods and to the outside, and lets node ports at 127.0.0.1 reach pods.
    private static func enableForwarding(bridge: String, log: Log) throws {
        let forwarding = "/proc/sys/net/ipv4/ip_forward"
        if read(forwarding) != "1" {
            guard write("1", to: forwarding) else {
                throw NetworkError.file(
                    path: forwarding,
                    reason:
                        "forwarding cannot be enabled: \(String(cString: strerror(errno))); set net.ipv4.ip_forward=1")
            }
        }
        if !write("1", to: "/proc/sys/net/ipv4/conf/\(bridge)/route_localnet") {
            log.warning("node ports will not answer at 127.0.0.1: \(String(cString: strerror(errno)))")
        }
    }

    private static func read(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        let character = getc(file)
        return character < 0 ? nil : String(UnicodeScalar(UInt8(truncatingIfNeeded: character)))
    }

    private static func write(_ text: String, to path: String) -> Bool {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count
    }

    /// The role's status.
    func status(_ description: PluginDescription) throws -> JSON {
        let counts = pods.addressCounts
        return [
            "name": .string(description.name), "version": .string(description.version), "ready": true,
            "reason": .string(limitations.joined(separator: "; ")), "podRange": .string(settings.podRange.description),
            "nodeAddresses": [.string(try (links.primaryAddress() ?? settings.gateway).description)],
            "bridge": .string(settings.bridge), "gateway": .string(settings.gateway.description),
            "routing": .string(pins == nil ? "nftables" : "ebpf"),
            "features": [
                "hostPorts": .bool(packets != nil), "nodePorts": .bool(packets != nil), "sessionAffinity": true,
                "masquerade": .bool(packets != nil), "policies": false, "bandwidth": false, "ipv6": false,
            ],
            "addresses": ["used": JSON(counts.used), "capacity": JSON(counts.capacity)],
            "services": JSON(services.count),
        ]
    }

    /// Finishes what is outstanding. Once, at the end.
    func stop() { pods.stop() }

    /// Ends the network: all links, rules, programs and the bridge.
    func removeEverything() throws {
        _ = try pods.collectGarbage(keeping: [], grace: 0)
        pods.settle()
        try packets?.removeTable()
        pins?.dissolve()
        try links.removeBridge(named: settings.bridge)
    }
}

/// The routers that this machine allows.
struct RoutingMechanisms {
    private(set) var routers: [any ServiceRouter] = []
    private(set) var packets: PacketRouter?
    private(set) var pins: PinDirectory?
    private(set) var limitations: [String] = []

    init(settings: NetworkSettings, links: any LinkControl, attachments: [Attachment], log: Log) throws {
        let suffix = settings.bridge == "hostd0" ? "" : "-\(settings.bridge)"
        do {
            let table = FilterTable(
                name: "hostd\(suffix)", bridge: settings.bridge, podRange: settings.podRange,
                serviceRange: settings.serviceRange, servesHost: settings.hostRouting != .off)
            let router = try PacketRouter(table: table, pods: attachments)
            packets = router
            routers.append(router)
        } catch let error as NetlinkError {
            let reason =
                "nf_tables is not usable, so there are no node ports, host ports or masquerading, and the host itself "
                + "does not reach services: \(error)"
            limitations.append(reason)
            log.warning(reason)
        }
        if settings.podRouting != .nftables { try addSockets(settings, links, attachments, log) }
        if routers.isEmpty {
            throw NetworkError.missing(
                "neither eBPF nor nf_tables is usable for service routing: \(limitations.joined(separator: "; "))")
        }
    }

    private mutating func addSockets(
        _ settings: NetworkSettings, _ links: any LinkControl, _ attachments: [Attachment], _ log: Log
    ) throws {
        do {
            guard links.namespaceCookie != 0 else {
                throw NetworkError.missing("the kernel does not number network namespaces (Linux 5.14 does)")
            }
            let pins = try PinDirectory.prepare(
                identity: settings.identity, ownMount: "\(settings.pluginDirectory)/bpf",
                versionPath: "\(settings.pluginDirectory)/bpf-version")
            let programs = try ServicePrograms(
                object: settings.programs, pins: pins, cgroups: try ControlGroups.directories(for: settings))
            let servesHost = settings.hostRouting == .cgroup || settings.hostRouting == .root
            let router = try SocketRouter(
                programs: programs, hostCookie: servesHost ? links.namespaceCookie : nil,
                hostAddresses: try links.hostAddresses())
            try router.keepPods(attachments)
            self.pins = pins
            routers.append(router)
        } catch  where settings.podRouting == .auto && packets != nil {
            let reason = "eBPF is not usable, so services are routed by nftables: \(error)"
            limitations.append(reason)
            log.warning(reason)
        }
    }
}
