import Objects
import PluginAPI
import PluginKit
import Synchronization

/// The controllers of the cluster: each keeps one kind of object true to what it asks for.
public final class ControllersPlugin: Plugin {
    public static let description = PluginDescription(
        name: "controllers", version: "0.1.0",
        summary: "Deployments, ReplicaSets, namespaces, endpoints, garbage collection, volumes, nodes, scheduling",
        requires: [HOSTD_API_1, HOSTD_STORE_1], optional: [HOSTD_SCHEDULER_1, HOSTD_VOLUME_1, HOSTD_DEVICE_1],
        handover: .exclusive)
    public static let optionsSchema = ""

    private enum State {
        case created
        case configured(PluginConfiguration)
        case active(PluginConfiguration, Running)
    }

    private let host: Host
    private let state = Mutex(State.created)

    public init(host: Host) throws { self.host = host }

    public func configure(_ configuration: PluginConfiguration) throws {
        state.withLock { $0 = .configured(configuration) }
    }

    public func activate() throws {
        guard case .configured(let configuration) = state.withLock({ $0 }) else {
            throw PluginError.wrongState("controllers: activate without configure")
        }
        let running = try Running(host, configuration)
        do {
            try running.start()
        } catch {
            running.stop()
            throw error
        }
        state.withLock { $0 = .active(configuration, running) }
    }

    public func deactivate() throws {
        guard case .active(let configuration, let running) = state.withLock({ $0 }) else { return }
        running.stop()
        state.withLock { $0 = .configured(configuration) }
    }

    public func interface(_ id: String) -> UnsafePointer<hostd_interface>? { nil }
}

/// Everything that an active plugin runs.
private final class Running: Sendable {
    private let cluster: Cluster
    private let observer: StoreObserver
    private let controllers: [any Controller]

    init(_ host: Host, _ configuration: PluginConfiguration) throws {
        let cluster = try Cluster(host, settings: configuration.settings, dataDirectory: configuration.dataDirectory)
        let observer = try StoreObserver(host)
        self.cluster = cluster
        self.observer = observer
        let drivers = VolumeDrivers(host)
        var controllers: [any Controller] = [
            try NamespaceController(cluster, observer), try GarbageCollector(cluster, observer),
            try ReplicaSetController(cluster), try DeploymentController(cluster), try EndpointController(cluster),
            try EphemeralVolumes(cluster), try ClusterServices(cluster), try VolumeController(cluster, drivers),
            try NodeController(cluster),
            try EventExpiry(cluster, observer), try JobController(cluster), try DaemonSetController(cluster),
            try StatefulSetController(cluster), try CronJobController(cluster),
        ]
        if host.interface(HOSTD_SCHEDULER_1) != nil {
            controllers.append(try SchedulingController(cluster, scheduler: SchedulerClient(host), drivers))
        } else {
            host.log.info("no plugin provides \(HOSTD_SCHEDULER_1): pods are not scheduled")
        }
        if let platform = try PluginPlatform(host) {
            controllers.append(try PluginController(cluster, platform))
        }
        self.controllers = controllers
    }

    func start() throws {
        for cache in cluster.caches { try cache.start() }
        try observer.start()
        for controller in controllers { try controller.start() }
    }

    /// First no new events, then no work in progress.
    func stop() {
        observer.stop()
        for cache in cluster.caches { cache.stop() }
        for controller in controllers { controller.stop() }
        cluster.recorder.stop()
    }
}
