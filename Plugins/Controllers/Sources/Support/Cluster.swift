import Objects
import PluginKit
import Synchronization

/// What every controller works with: the shared caches, the API for writes, the recorder, the settings.
final class Cluster: Sendable {
    let host: Host
    let store: StoreClient
    let writer: Writer
    let recorder: EventRecorder
    let metrics: ControllerMetrics
    let settings: JSON
    let dataDirectory: String

    let pods: ObjectCache
    let nodes: ObjectCache
    let namespaces: ObjectCache
    let services: ObjectCache
    let endpoints: ObjectCache
    let endpointSlices: ObjectCache
    let rootCertificates: ObjectCache
    let serviceAccounts: ObjectCache
    let deployments: ObjectCache
    let replicaSets: ObjectCache
    let replicationControllers: ObjectCache
    let statefulSets: ObjectCache
    let daemonSets: ObjectCache
    let controllerRevisions: ObjectCache
    let jobs: ObjectCache
    let cronJobs: ObjectCache
    let volumeClaims: ObjectCache
    let volumes: ObjectCache
    let storageClasses: ObjectCache
    let leases: ObjectCache
    let plugins: ObjectCache
    let resourceQuotas: ObjectCache
    let disruptionBudgets: ObjectCache
    let autoscalers: ObjectCache
    let apiServices: ObjectCache
    let serviceRanges: ObjectCache
    let addresses: ObjectCache
    let resourceClaims: ObjectCache
    let claimTemplates: ObjectCache
    let resourceSlices: ObjectCache
    let deviceClasses: ObjectCache

    /// Whose pods pods are.
    let podOwners: PodOwners

    private let queues = Mutex<[ControllerQueue]>([])

    /// - Parameter fence: what writes are fenced by; nil = nobody else writes.
    init(_ host: Host, settings: JSON, dataDirectory: String, fence: WriteFence?) throws {
        self.host = host
        self.settings = settings
        self.dataDirectory = dataDirectory
        store = try host.store()
        writer = try Writer(host, fence: fence)
        recorder = try EventRecorder(host, component: "controllers")
        metrics = ControllerMetrics(host)
        pods = ObjectCache(host, .pods)
        podOwners = PodOwners(pods)
        nodes = ObjectCache(host, .nodes)
        namespaces = ObjectCache(host, .namespaces)
        services = ObjectCache(host, .services)
        endpoints = ObjectCache(host, .endpoints)
        endpointSlices = ObjectCache(host, .endpointSlices)
        rootCertificates = ObjectCache(host, .configMaps, selector: ".metadata.name=\(RootCertificate.name)")
        serviceAccounts = ObjectCache(host, .serviceAccounts, selector: ".metadata.name=default")
        deployments = ObjectCache(host, .deployments)
        replicaSets = ObjectCache(host, .replicaSets)
        replicationControllers = ObjectCache(host, .replicationControllers)
        statefulSets = ObjectCache(host, .statefulSets)
        daemonSets = ObjectCache(host, .daemonSets)
        controllerRevisions = ObjectCache(host, .controllerRevisions)
        jobs = ObjectCache(host, .jobs)
        cronJobs = ObjectCache(host, .cronJobs)
        volumeClaims = ObjectCache(host, .volumeClaims)
        volumes = ObjectCache(host, .volumes)
        storageClasses = ObjectCache(host, .storageClasses)
        leases = ObjectCache(host, .leases)
        plugins = ObjectCache(host, .plugins)
        resourceQuotas = ObjectCache(host, .resourceQuotas)
        disruptionBudgets = ObjectCache(host, .disruptionBudgets)
        autoscalers = ObjectCache(host, .autoscalers)
        serviceRanges = ObjectCache(host, .serviceRanges)
        addresses = ObjectCache(host, .addresses)
        resourceClaims = ObjectCache(host, .resourceClaims)
        claimTemplates = ObjectCache(host, .claimTemplates)
        resourceSlices = ObjectCache(host, .resourceSlices)
        deviceClasses = ObjectCache(host, .deviceClasses)
        apiServices = ObjectCache(host, .apiServices) {
            ["metadata": ["name": $0["metadata"]["name"]], "spec": $0["spec"]]
        }
    }

    /// A work queue of one controller, drained with all others.
    func queue(
        _ name: String, workers: Int = 2, handler: @escaping @Sendable (String) throws -> Requeue
    ) throws -> ControllerQueue {
        let queue = try ControllerQueue(host, name: name, workers: workers, handler: handler)
        queues.withLock { $0.append(queue) }
        return queue
    }

    /// What other servers answer for now.
    var aggregated: AggregatedAPIs { AggregatedAPIs(writer.api, services: apiServices.list()) }

    /// Lets the work that is ready be done until `deadline` (monotonic nanoseconds), and takes no more. What is left is
    /// looked at again by whoever comes next.
    func drainQueues(until deadline: UInt64) {
        let left = queues.withLock { $0 }.reduce(into: [:] as JSONObject) { left, queue in
            let count = queue.drain(until: deadline)
            if count > 0 { left[queue.name] = .integer(Int64(count)) }
        }
        if !left.isEmpty { host.log.info("controllers: work is left for the next start", ["queues": .object(left)]) }
    }

    var caches: [ObjectCache] {
        [
            namespaces, nodes, leases, storageClasses, volumes, volumeClaims, serviceAccounts, rootCertificates,
            serviceRanges, addresses, services, endpoints, endpointSlices, controllerRevisions, deployments,
            replicaSets, replicationControllers, statefulSets, daemonSets, jobs, cronJobs, plugins, resourceQuotas,
            disruptionBudgets, autoscalers, apiServices, deviceClasses, resourceSlices, claimTemplates, resourceClaims,
            pods,
        ]
    }
}

/// A part of the plugin that keeps one kind of object true.
protocol Controller: AnyObject, Sendable {
    /// Called when every cache is filled: lets its queue go.
    func start() throws
    /// Returns when nothing of it runs any more.
    func stop()
}
