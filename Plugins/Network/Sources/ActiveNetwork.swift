import Glibc
import Objects
import PluginKit
import PodNetworking

/// Everything that the plugin holds while it is active.
final class ActiveNetwork: Sendable {
    let pods: PodNetwork
    let services: ServiceNetwork
    private let settings: NetworkSettings
    private let links: any LinkControl
    private let log: Log
    private let packets: PacketRouter?
    private let policies: PolicyFilter?
    private let pins: PinDirectory?
    private let takeover: Takeover
    /// Why a mechanism is not in use; empty when all are.
    private let limitations: [String]

    /// Finds or makes the bridge and takes over what an earlier run left: attachments, programs, rules; and in a swap
    /// what the other provider hands over.
    init(settings: NetworkSettings, imported: NetworkState?, log: Log) throws {
        let links = try Self.links()
        let bridge = try links.ensureBridge(
            BridgeRequest(
                name: settings.bridge, address: settings.gateway, podRange: settings.podRange,
                serviceRange: settings.serviceRange, macAddress: MACAddress(for: settings.gateway), mtu: settings.mtu))
        try HostSettings.enableForwarding(bridge: settings.bridge, log: log)
        HostSettings.disableIPv6(bridge: settings.bridge, log: log)
        let store = AttachmentStore(dataDirectory: settings.dataDirectory)
        try store.prepare()
        if let imported { try store.replace(by: imported.attachments, lastAddress: imported.lastAddress) }
        let (attachments, quarantined) = try store.load()
        for name in quarantined {
            log.error("an attachment's file cannot be read and was put aside", ["file": .string(name)])
        }
        let ledger = RoutingLedger(dataDirectory: settings.dataDirectory)
        let takeover = try Takeover(
            ledger: ledger, table: settings.table, imported: imported?.routing ?? [], companion: settings.policyTable)
        do {
            let mechanisms = try RoutingMechanisms(
                settings: settings, links: links, attachments: attachments, takeover: takeover, log: log)
            let services = ServiceNetwork(routers: mechanisms.routers, log: log)
            if let known = imported?.services { try services.update(known, removed: [], full: true) }
            pods = try PodNetwork(
                settings: settings, links: links, store: store, routers: mechanisms.routers, bridge: bridge,
                attachments: attachments, log: log)
            self.services = services
            packets = mechanisms.packets
            policies = mechanisms.packets == nil ? nil : try PolicyFilter(table: settings.policyTable, ledger: ledger)
            pins = mechanisms.pins
            limitations = mechanisms.limitations
        } catch {
            try takeover.end()
            throw error
        }
        self.settings = settings
        self.links = links
        self.log = log
        self.takeover = takeover
        log.info(
            "the pod network is up",
            [
                "bridge": .string(settings.bridge), "podRange": .string(settings.podRange.description),
                "routing": .string(pins == nil ? "nftables" : "ebpf"), "pods": JSON(attachments.count),
            ])
    }

    /// What the next provider takes over. No calls run meanwhile.
    func state() -> NetworkState {
        pods.settle()
        return NetworkState(
            attachments: pods.attachments, lastAddress: pods.lastAddress, services: services.services,
            routing: [takeover.own] + (policies?.path.map { [$0] } ?? []))
    }

    /// services_set. The first that succeeds shows that this provider is in charge.
    func setServices(_ update: ServiceUpdate) throws {
        try services.update(update.services, removed: update.removed, full: update.isFull)
        if takeover.isPending && services.isComplete { takeover.complete(log: log) }
    }

    /// policy_rules_set.
    func setPolicyRules(_ update: PolicyUpdate) throws {
        guard let policies else {
            throw NetworkError.missing(
                "network policies are not enforced, because nf_tables is not usable: "
                    + limitations.joined(separator: "; "))
        }
        try policies.update(update)
    }

    private static func links() throws -> RouteLinkControl {
        do {
            return try RouteLinkControl()
        } catch let error as NetlinkError where error.code == EPERM || error.code == EACCES {
            throw NetworkError.missing("the pod network needs CAP_NET_ADMIN and CAP_SYS_ADMIN: run hostd as root")
        }
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
                "masquerade": .bool(packets != nil), "policies": .bool(policies != nil), "bandwidth": false,
                "ipv6": false,
            ],
            "addresses": ["used": JSON(counts.used), "capacity": JSON(counts.capacity)],
            "services": JSON(services.count), "policies": policyCounts,
        ]
    }

    private var policyCounts: JSON {
        guard let counts = policies?.counts else { return .null }
        return ["enforced": JSON(counts.policies), "isolatedPods": JSON(counts.pods)]
    }

    /// Removes the links that still have to go and ends the thread that does so. Once, at the end.
    func stopPods() { pods.stop() }

    /// Leaves everything to the pods that go on, unless another provider goes on serving them.
    func end() throws { try takeover.end() }

    /// Ends the network: all links, rules, programs and the bridge.
    func removeEverything() throws {
        _ = try pods.collectGarbage(keeping: [], grace: 0)
        pods.settle()
        try policies?.remove()
        try packets?.removeTable()
        pins?.dissolve()
        try takeover.forget()
        takeover.complete(log: log)
        try links.removeBridge(named: settings.bridge)
    }
}

/// The routers that this machine allows.
struct RoutingMechanisms {
    private(set) var routers: [any ServiceRouter] = []
    private(set) var packets: PacketRouter?
    private(set) var pins: PinDirectory?
    private(set) var limitations: [String] = []

    init(
        settings: NetworkSettings, links: any LinkControl, attachments: [Attachment], takeover: Takeover, log: Log
    ) throws {
        do {
            let table = FilterTable(
                name: settings.table, bridge: settings.bridge, podRange: settings.podRange,
                serviceRange: settings.serviceRange, servesHost: settings.hostRouting != .off)
            let router = try PacketRouter(
                table: table, pods: attachments, waitsForServices: takeover.isPending)
            packets = router
            routers.append(router)
        } catch let error as NetlinkError {
            let reason =
                "nf_tables is not usable, so there are no node ports, host ports or masquerading, and the host itself "
                + "does not reach services: \(error)"
            limitations.append(reason)
            log.warning(reason)
        }
        if settings.podRouting != .nftables { try addSockets(settings, links, attachments, takeover, log) }
        if routers.isEmpty {
            throw NetworkError.missing(
                "neither eBPF nor nf_tables is usable for service routing: \(limitations.joined(separator: "; "))")
        }
    }

    private mutating func addSockets(
        _ settings: NetworkSettings, _ links: any LinkControl, _ attachments: [Attachment], _ takeover: Takeover,
        _ log: Log
    ) throws {
        do {
            guard links.namespaceCookie != 0 else {
                throw NetworkError.missing("the kernel does not number network namespaces (Linux 5.14 does)")
            }
            let pins = try PinDirectory.prepare(
                identity: settings.identity, ownMount: "\(settings.pluginDirectory)/bpf",
                versionPath: "\(settings.pluginDirectory)/bpf-version")
            let cgroups = try ControlGroups.directories(for: settings)
            try takeover.record(pins: ServicePrograms.forwardPins(pins, cgroups: cgroups))
            let programs = try ServicePrograms(object: settings.programs, pins: pins, cgroups: cgroups)
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
