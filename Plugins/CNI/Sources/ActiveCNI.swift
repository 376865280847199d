import Objects
import PluginKit
import PodNetworking

/// Everything that the plugin holds while it is active.
final class ActiveCNI: Sendable {
    let pods: PodAttachments
    private let services: ServiceNetwork
    private let settings: CNISettings
    private let list: NetworkList
    private let chain: PluginChain
    private let links: RouteLinkControl
    private let packets: PacketRouter
    /// Nil on a network where pods reach each other past the host's rules.
    private let policies: PolicyFilter?
    private let takeover: Takeover
    private let log: Log

    /// Finds the network's configuration and its plugins, and takes over what an earlier run or another provider left.
    init(settings: CNISettings, imported: NetworkState?, log: Log) throws {
        let directory = NetworkListDirectory(path: settings.configurationDirectory)
        list = try Self.list(directory, settings, log)
        chain = PluginChain(
            runner: ProgramRunner(directories: settings.binaryDirectories), timeout: settings.timeout)
        try chain.probe(list)
        links = try RouteLinkControl()
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
        let policyTable = list.passesHost(bridge: settings.bridge) ? settings.policyTable : nil
        takeover = try Takeover(
            ledger: ledger, table: settings.table, imported: imported?.routing ?? [], companion: policyTable)
        do {
            policies = try policyTable.map { try PolicyFilter(table: $0, ledger: ledger) }
            packets = try PacketRouter(
                table: FilterTable(
                    name: settings.table, bridge: settings.bridge, podRange: settings.podRange,
                    serviceRange: settings.serviceRange, servesHost: settings.routesHost), pods: attachments,
                waitsForServices: takeover.isPending)
            services = ServiceNetwork(routers: [packets], log: log)
            if let known = imported?.services { try services.update(known, removed: [], full: true) }
            pods = try PodAttachments(
                settings: settings, list: list, chain: chain, links: links, bridge: bridge, store: store,
                router: packets, attachments: attachments, log: log)
            try pods.adopt(last: imported?.lastAddress)
        } catch {
            try takeover.end()
            throw error
        }
        self.settings = settings
        self.log = log
        log.info(
            "the pod network is up",
            [
                "network": .string(list.name), "plugins": JSON(list.types), "bridge": .string(settings.bridge),
                "podRange": .string(settings.podRange.description), "pods": JSON(attachments.count),
            ])
    }

    private static func list(
        _ directory: NetworkListDirectory, _ settings: CNISettings, _ log: Log
    ) throws -> NetworkList {
        if let found = try directory.find(settings.network, log: log) { return found }
        guard settings.network.isEmpty else {
            throw CNIError.configuration(
                source: directory.path, reason: "no file has a network named \"\(settings.network)\"")
        }
        return try settings.builtInList()
    }

    /// The role's status.
    func status(_ description: PluginDescription, deadline: UInt64) throws -> JSON {
        var reason = ""
        do { try chain.status(list, deadline: deadline) } catch let error as CNIError { reason = error.description }
        return [
            "name": .string(description.name), "version": .string(description.version), "ready": .bool(reason.isEmpty),
            "reason": .string(reason), "podRange": .string(settings.podRange.description),
            "nodeAddresses": [.string(try (links.primaryAddress() ?? settings.gateway).description)],
            "bridge": .string(settings.bridge), "gateway": .string(settings.gateway.description),
            "routing": "nftables",
            "network": [
                "name": .string(list.name), "cniVersion": .string(list.version.description),
                "plugins": JSON(list.types),
            ],
            "features": [
                "hostPorts": true, "nodePorts": true, "sessionAffinity": true, "masquerade": true,
                "policies": .bool(policies != nil),
                "bandwidth": .bool(list.hasCapability("bandwidth")), "ipv6": false,
            ],
            "addresses": ["used": JSON(pods.count)], "services": JSON(services.count), "policies": policyCounts,
        ]
    }

    private var policyCounts: JSON {
        guard let counts = policies?.counts else { return .null }
        return ["enforced": JSON(counts.policies), "isolatedPods": JSON(counts.pods)]
    }

    /// What the next provider takes over. No calls run meanwhile.
    func state() throws -> NetworkState {
        NetworkState(
            attachments: pods.all, lastAddress: try pods.lastAddress(), services: services.services,
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
            throw PluginError.notSupported(
                "network policies are not enforced: pods of the network \(list.name) reach each other past the host's "
                    + "rules, because its first plugin is neither ptp nor bridge with \"bridge\": \"\(settings.bridge)\""
            )
        }
        try policies.update(update)
    }

    /// Whether a pod's wish for a bandwidth limit is heard.
    var limitsBandwidth: Bool { list.hasCapability("bandwidth") }

    /// Leaves everything to the pods that go on, unless another provider goes on serving them.
    func end() throws { try takeover.end() }

    /// Ends the network: all links, rules and the bridge.
    func removeEverything() throws {
        _ = try pods.collectGarbage(keeping: [], grace: 0)
        try policies?.remove()
        try packets.removeTable()
        try takeover.forget()
        takeover.complete(log: log)
        try links.removeBridge(named: settings.bridge)
    }
}
