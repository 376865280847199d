import Glibc
import PluginAPI
import PluginKit

/// All controllers at work, from `init` to `stop`: while the plugin is active, or for one term of leadership.
final class RunningControllers: Sendable, LeaderWork {
    /// How long work that is ready may go on at an orderly end, nanoseconds.
    private static let drainTime: UInt64 = 2_000_000_000

    private let cluster: Cluster
    private let observer: StoreObserver
    private let controllers: [any Controller]

    /// - Parameter fence: what writes are fenced by; nil = nobody else writes.
    init(_ host: Host, _ configuration: PluginConfiguration, fence: WriteFence?) throws {
        let cluster = try Cluster(
            host, settings: configuration.settings, dataDirectory: configuration.dataDirectory, fence: fence)
        let observer = try StoreObserver(host)
        self.cluster = cluster
        self.observer = observer
        let drivers = VolumeDrivers(host)
        var controllers: [any Controller] = [
            try NamespaceController(cluster, observer), try GarbageCollector(cluster, observer),
            try ReplicaSetController.replicaSets(cluster),
            try ReplicaSetController.replicationControllers(cluster), try DeploymentController(cluster),
            try EndpointController(cluster), try MirrorController(cluster),
            try EphemeralVolumes(cluster), try ClusterServices(cluster), try ServiceRangeController(cluster),
            try VolumeController(cluster, drivers), try NodeController(cluster), try FinishedPods(cluster),
            try EventExpiry(cluster, observer), try JobController(cluster), try DaemonSetController(cluster),
            try StatefulSetController(cluster), try CronJobController(cluster), try QuotaController(cluster, observer),
            try DisruptionController(cluster), try AutoscalerController(cluster), try ClaimController(cluster),
            try DeviceTaintController(cluster),
        ]
        if host.interface(HOSTD_SCHEDULER_1) != nil {
            controllers.append(try SchedulingController(cluster, scheduler: SchedulerClient(host), drivers))
        } else {
            host.log.info("no plugin provides \(HOSTD_SCHEDULER_1): pods are not scheduled")
        }
        if let platform = try PluginPlatform(host), Self.mayLook(at: platform, host.log) {
            controllers.append(try PluginController(cluster, platform))
        }
        self.controllers = controllers
        do {
            try start()
        } catch {
            stop(isOrderly: false)
            throw error
        }
    }

    /// Without the grant everything else goes on.
    private static func mayLook(at platform: PluginPlatform, _ log: Log) -> Bool {
        do {
            _ = try platform.describe()
            return true
        } catch {
            log.info("plugins are not shown as objects", ["reason": .string("\(error)")])
            return false
        }
    }

    private func start() throws {
        for cache in cluster.caches { try cache.start() }
        try observer.start()
        for controller in controllers { try controller.start() }
    }

    /// First no new events, then no work in progress. In order, what is ready is done before: nobody else leads yet.
    func stop(isOrderly: Bool) {
        observer.stop()
        for cache in cluster.caches { cache.stop() }
        if isOrderly { cluster.drainQueues(until: Self.now() + Self.drainTime) }
        for controller in controllers { controller.stop() }
        cluster.recorder.stop(writesPending: isOrderly)
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
