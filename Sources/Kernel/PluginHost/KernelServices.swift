import Glibc
import Objects
import PluginAPI

/// The kernel's own services for plugins, made together and closed together.
public final class KernelServices: Sendable {
    private let workers: WorkerPool
    private let dispatchers: WorkerPool
    private let timers: Timers
    private let topics: Topics
    private let metrics: Metrics
    private let reconcile: Reconcile
    private let election: LeaderElection
    private let store: StateStore?

    /// Most threads for callbacks of queues and timers, and for deliveries of topics.
    private static let workerLimit = 64
    private static let dispatcherLimit = 4

    /// Opens the embedded store under `directory`, unless a plugin is the engine.
    public convenience init(
        directory: String, store settings: HostConfiguration.StoreSettings, log: Log
    ) throws(StoreError) {
        try self.init(directory: directory, store: settings, log: log, files: .system)
    }

    /// With other system calls under the store: a test lets them fail.
    package init(
        directory: String, store settings: HostConfiguration.StoreSettings, log: Log, files: FileOperations
    ) throws(StoreError) {
        metrics = Metrics()
        var options = settings.engineOptions
        options.files = files
        options.metrics = metrics
        options.log = { level, message, fields in
            let members = JSONObject(fields.map { ($0.0, JSON.string($0.1)) })
            log.write(Log.Level(rawValue: UInt32(clamping: level)) ?? .info, "store", message, members)
        }
        store = settings.engine == "embedded" ? try StateStore(directory: "\(directory)/store", options: options) : nil
        workers = WorkerPool(name: "worker", maximum: Self.workerLimit, isPrompt: true, stuckJobs: nil)
        dispatchers = WorkerPool(
            name: "topics", maximum: Self.dispatcherLimit, isPrompt: true,
            stuckJobs: .init(patience: options.sinkPatience) { subject in
                log.warning(
                    "a sink does not return; another thread delivers to the others in its place",
                    ["sink": .string(subject)])
            })
        timers = Timers(workers: workers)
        topics = Topics(dispatchers: dispatchers)
        reconcile = Reconcile(workers: workers, timers: timers, metrics: metrics)
        election = LeaderElection(workers: workers, timers: timers)
    }

    /// The tables that plugins get.
    public var forPlugins: PluginHost.Services {
        PluginHost.Services(
            tables: [
                HOSTD_EVENTS_1: topics.makeInterface(), HOSTD_RECONCILE_1: reconcile.makeInterface(),
                HOSTD_TIMERS_1: timers.makeInterface(), HOSTD_METRICS_1: metrics.makeInterface(),
                HOSTD_ELECTION_1: election.makeInterface(),
            ], store: store?.makeInterface())
    }

    /// Holds elections in this store: the table of hostd.store/1, whichever engine is behind it.
    public func elect(in store: UnsafePointer<hostd_interface>) { election.use(store: store) }

    /// Holds elections in the engine that the host selects.
    public func holdElections(with host: PluginHost) {
        if let store = host.interface(HOSTD_STORE_1) { elect(in: store) }
    }

    /// Shows the calls to roles among the metrics.
    public func showRoles(of host: PluginHost, log: Log) {
        let roles = RoleMetrics(host: host, metrics: metrics, log: log)
        metrics.onCollect { roles.collect() }
        host.onRetire { plugin, role, target in roles.add(plugin, role, target) }
    }

    /// Reads the key file of the store again and rewrites what lies on disk under other keys. Nothing to do without one.
    /// [blocking]
    public func rotateKeys() throws(StoreError) { try store?.rotateKeys() }

    /// All series as Prometheus text.
    public var metricsText: String { metrics.collect() }

    /// Calls `body` once, with what the API front publishes as hostd.endpoint, now or later.
    public func onEndpoint(_ body: @escaping @Sendable (_ url: String, _ kubeconfig: String) -> Void) throws(StoreError)
    {
        let isDone = Monitor()
        nonisolated(unsafe) var wasCalled = false  // Only touched with `isDone` locked.
        _ = try topics.subscribe(HOSTD_TOPIC_ENDPOINT) { kind, data in
            guard kind == HOSTD_SINK_DATA, let json = try? JSON(parsing: UnsafeRawBufferPointer(data)),
                let url = json["url"].stringValue, let kubeconfig = json["kubeconfig"].stringValue
            else { return }
            let isFirst = isDone.locked {
                defer { wasCalled = true }
                return !wasCalled
            }
            if isFirst { body(url, kubeconfig) }
        }
    }

    /// Ends everything; no plugin may call any more.
    public func close() {
        election.close()
        store?.close()
        topics.close()
        reconcile.close()
        timers.close()
        workers.close()
        dispatchers.close()
    }
}
