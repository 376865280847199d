import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Everything that the plugin holds while it is active.
final class ActiveDNS: Sendable {
    private let host: Host
    private let settings: DNSSettings
    private let server: DNSServer
    private struct State {
        var informers: [Informer] = []
        var subscription: Subscription?
        var retry: Timer?
        var addresses: [UInt32] = []
        var isStopped = false
    }
    private let state = Mutex(State())

    private static let retryNanoseconds: UInt64 = 5_000_000_000

    init(host: Host, settings: DNSSettings) throws {
        self.host = host
        self.settings = settings
        var excluded: Set<UInt32> = []
        if let own = settings.ownAddress { excluded.insert(own) }
        let log = host.log
        server = try DNSServer(
            zone: ClusterZone(
                domain: settings.domain, timeToLive: settings.timeToLive, reverseRanges: settings.reverseRanges),
            upstreams: Upstreams(fixed: settings.upstreams, excluded: excluded), cacheCapacity: settings.cacheEntries,
            report: { log.error("DNS cannot be served: \($0)") })
    }

    /// Fills the zone, then listens where the network provider says.
    func start() throws {
        let services = try informer("services", keeping: Self.serviceMembers) { zone, object in
            zone.setService(object)
        } removing: {
            $0.removeService(namespace: $1.namespace, name: $1.name)
        }
        let slices = try informer("endpointslices.discovery.k8s.io", keeping: Self.sliceMembers) { zone, object in
            zone.setSlice(object)
        } removing: {
            $0.removeSlice(namespace: $1.namespace, name: $1.name)
        }
        let pods = try informer("pods", keeping: Self.podMembers) { zone, object in
            zone.setPod(object)
        } removing: {
            $0.removePod(namespace: $1.namespace, name: $1.name)
        }
        state.withLock { $0.informers = [services, slices, pods] }
        for informer in [services, slices, pods] { try informer.start() }
        let subscription = try host.events().subscribe(HOSTD_TOPIC_NETWORK) { [weak self] in self?.networkChanged($0) }
        state.withLock { $0.subscription = subscription }
    }

    func stop() {
        let old = state.withLock { state -> State in
            defer { state = State(isStopped: true) }
            return state
        }
        old.subscription?.cancel()
        old.retry?.cancel()
        for informer in old.informers { informer.stop() }
        server.stop()
    }

    private func informer(
        _ resource: String, keeping transform: @escaping @Sendable (JSON) -> JSON,
        setting: @escaping @Sendable (inout ClusterZone, JSON) -> Void,
        removing: @escaping @Sendable (inout ClusterZone, JSON) -> Void
    ) throws -> Informer {
        let server = server
        return try Informer(host, resource: resource, keepsManagedFields: false, transform: transform) { event in
            switch event {
            case .added(let object): server.zone.withLock { setting(&$0, object) }
            case .updated(let old, let new):
                if Self.differs(old, new) { server.zone.withLock { setting(&$0, new) } }
            case .deleted(let object): server.zone.withLock { removing(&$0, object) }
            case .synchronized: break
            }
        }
    }

    /// Whether more than the version has changed of what is kept.
    private static func differs(_ old: JSON, _ new: JSON) -> Bool {
        var old = old
        var new = new
        old["metadata"].removeValue(forKey: "resourceVersion")
        new["metadata"].removeValue(forKey: "resourceVersion")
        return old != new
    }

    private static func identity(_ object: JSON) -> JSON {
        ["name": .string(object.name), "namespace": .string(object.namespace)]
    }

    /// What the zone reads of a service.
    @Sendable private static func serviceMembers(_ object: JSON) -> JSON {
        ["metadata": identity(object), "spec": object["spec"]]
    }

    /// What the zone reads of an endpoint slice.
    @Sendable private static func sliceMembers(_ object: JSON) -> JSON {
        var metadata = identity(object)
        let label = "kubernetes.io/service-name"
        metadata["labels"] = .object(JSONObject([(label, object.labels[label])]))
        let endpoints = object["endpoints"].arrayValue.map { endpoint -> JSON in
            [
                "addresses": endpoint["addresses"], "hostname": endpoint["hostname"],
                "conditions": ["ready": endpoint["conditions"]["ready"]],
            ]
        }
        return [
            "metadata": metadata, "addressType": object["addressType"], "endpoints": .array(endpoints),
            "ports": object["ports"],
        ]
    }

    /// What the zone reads of a pod: all pods of a cluster are kept, so this is little.
    @Sendable private static func podMembers(_ object: JSON) -> JSON {
        [
            "metadata": identity(object), "spec": ["hostNetwork": object["spec"]["hostNetwork"]],
            "status": ["phase": object["status"]["phase"], "podIP": object["status"]["podIP"]],
        ]
    }

    /// The message of topic hostd.network.
    private func networkChanged(_ message: JSON) {
        let addresses = message["addresses"].arrayValue.compactMap { $0.stringValue.flatMap { parseAddress($0) } }
        state.withLock { $0.addresses = addresses }
        listen()
    }

    private func listen() {
        let addresses = state.withLock { $0.addresses }
        let port = settings.port
        let log = host.log
        server.listen(at: addresses, port: port) { [weak self] missing in
            if missing.isEmpty {
                log.info(
                    "DNS is served", ["addresses": JSON(addresses.map { formatAddress($0) }), "port": JSON(port)])
            } else {
                self?.listenLater()
            }
        }
    }

    /// An address that is not there yet, or a port that another process has: nothing tells when that changes.
    private func listenLater() {
        do {
            let timer = try host.timers().start(delay: Self.retryNanoseconds) { [weak self] in self?.listen() }
            let isStopped = state.withLock { state -> Bool in
                if !state.isStopped { state.retry = timer }
                return state.isStopped
            }
            if isStopped { timer.cancel() }
        } catch {
            host.log.error("DNS is not served and there is no timer for another try: \(error)")
        }
    }
}
