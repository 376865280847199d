import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Everything that an active node runs. Wires the parts together and holds no logic of its own.
final class Node: Sendable {
    private let host: Host
    private let log: NodeLog
    private let paths: NodePaths
    private let runtime: RuntimeRouter
    private let network: NetworkClient
    private let store: StoreClient
    private let facts: Mutex<NodeFacts>
    private let runtimeState = RuntimeState()
    private let exits = ExitSignals()
    private let devices = DeviceAllocator()
    private let operations = OperationPool(maximum: 256)
    private let endings = OperationPool(maximum: 2)
    private let sessions = OperationPool(maximum: 512)
    private let recorder: EventRecorder
    private let probes: ProbeManager
    private let worker: PodWorker
    private let feed: ServiceFeed
    private let health: HealthPorts
    private let policies: PolicyFeed
    private let references: ReferenceWatcher
    private let rotator: LogRotator
    private let watcher: RuntimeWatcher
    private let registration: NodeRegistration
    private let metrics: NodeMetrics
    let endpoints: PodEndpoints

    /// What exists only between start and stop.
    private struct Active {
        var pods: WorkQueue?
        var chores: WorkQueue?
        var informers: [Informer] = []
        var timers: [Timer] = []
        var subscriptions: [Subscription] = []
        var deviceWatches: [String: (client: DeviceClient, handle: UInt64)] = [:]
        /// Of the providers of roles, to tell a replacement from the first report.
        var generations: [String: Int64] = [:]
        /// Watched since the start: their first report is no news.
        var runtimesAtStart: Set<String> = []
    }
    private let active = Mutex(Active())
    private let workers: Int

    init(_ host: Host, _ configuration: PluginConfiguration) throws {
        self.host = host
        log = NodeLog(host.log)
        paths = NodePaths(data: configuration.dataDirectory)
        workers = Int(configuration.options["workers"].integerValue ?? 16)
        runtime = RuntimeRouter(try .active(host))
        network = try NetworkClient(host)
        store = try host.store()
        let hostFacts = try HostFacts.read()
        facts = Mutex(Self.facts(configuration.settings, hostFacts, paths))
        let api = try host.api()
        recorder = try EventRecorder(host, component: "kubelet", hostName: facts.withLock { $0.nodeName })
        let volumes = VolumeManager(
            paths: paths, mounts: SystemMounts(), objects: store, tokens: TokenCache(api: api),
            drivers: HostVolumeDrivers(host))
        let late = Late()
        metrics = try NodeMetrics(host)
        probes = try ProbeManager(runtime: runtime, operations: operations) { late.node?.probed($0) }
        feed = ServiceFeed(
            network: network, nodeName: facts.withLock { $0.nodeName },
            balancers: { late.node?.health.serve($0) }, flush: { late.node?.chore(.services) })
        health = try HealthPorts(
            configuration.options, health: { late.node?.feed.health ?? RoutingHealth() }, log: log,
            report: { late.node?.cannotAnswer($0, $1) })
        policies = PolicyFeed(
            network: network, flush: { late.node?.chore(.policies) }, observe: { try late.node?.observeForPolicies() },
            report: { [recorder] in recorder.record($0, .warning, reason: $1, message: $2) })
        let currentFacts: @Sendable () -> NodeFacts = { late.node?.facts.withLock { $0 } ?? NodeFacts(nodeName: "") }
        let (feed, policies) = (feed, policies)
        worker = PodWorker(
            services: PodWorkerServices(
                runtime: runtime, network: network, api: api, objects: store, volumes: volumes, devices: devices,
                events: RecordedPodEvents(recorder: recorder), operations: operations,
                endings: endings, services: { feed.services(for: $0) },
                isolate: { try policies.isolate($0, addresses: $1) }, facts: currentFacts,
                sysctls: SysctlPolicy(
                    allowed: configuration.options["allowedUnsafeSysctls"].arrayValue.compactMap(\.stringValue)),
                metrics: metrics, log: log),
            runtimeState: runtimeState, probes: probes,
            enqueue: { late.node?.enqueue($0, delay: $1) })
        let worker = worker
        references = ReferenceWatcher(store: store, log: log) { worker.objectChanged($0) }
        rotator = LogRotator(runtime: runtime, state: runtimeState, log: log)
        let (exits, runtimeState) = (exits, runtimeState)
        watcher = RuntimeWatcher(
            runtime: runtime, state: runtimeState,
            onChange: { uid in
                for container in runtimeState.pod(uid).containers.values where container.state == .exited {
                    exits.containerEnded(container.id)
                }
                late.node?.enqueue(uid, delay: 0)
            })
        let runtimeVersion = try runtime.status([:], deadline: WallClock.deadline(seconds: 30))["version"].stringValue
        registration = NodeRegistration(
            api: api, objects: store, runtime: runtime, network: network, devices: devices,
            inputs: .init(
                host: hostFacts, dataDirectory: configuration.dataDirectory, runtimeVersion: runtimeVersion ?? "0",
                port: NodePort.number(configuration.options)),
            facts: currentFacts,
            tell: { [recorder] node, event in
                var reference: JSON = ["apiVersion": "v1", "kind": "Node"]
                reference["metadata"] = ["name": .string(node.name), "uid": .string(node.uid)]
                recorder.record(
                    reference, event.isWarning ? .warning : .normal, reason: event.reason, message: event.message)
            }, log: log)
        endpoints = PodEndpoints(
            worker: worker, runtime: runtime, exits: exits,
            statistics: NodeStatistics(
                worker: worker, runtime: runtime, dataDirectory: configuration.dataDirectory, host: host,
                machine: hostFacts, probes: probes),
            sessions: sessions)
        late.set(self)
    }

    /// Lets closures made in `init` reach the node without keeping it alive.
    private final class Late: Sendable {
        private struct Weak { weak var node: Node? }
        private let reference = Mutex(Weak())
        func set(_ node: Node) { reference.withLock { $0.node = node } }
        var node: Node? { reference.withLock { $0.node } }
    }

    private static func facts(_ settings: JSON, _ host: HostFacts, _ paths: NodePaths) -> NodeFacts {
        var facts = NodeFacts(nodeName: NodePort.nodeName(settings))
        facts.clusterDomain = settings["clusterDomain"].stringValue ?? facts.clusterDomain
        facts.clusterDNS = settings["dnsAddress"].stringValue ?? facts.clusterDNS
        facts.memoryBytes = host.memoryBytes
        facts.allocatable = .init(
            cpuMilli: host.cpus * 1000, memoryBytes: max(host.memoryBytes - NodeStatusBuilder.reservedMemoryBytes, 0),
            ephemeralStorageBytes: HostPressure.diskBytes(paths.data) / 10 * 9)
        return facts
    }

    // MARK: - Start

    func start() throws {
        try Files.makeDirectories(paths.pods, mode: 0o755)
        try Files.makeDirectories(paths.logs, mode: 0o755)
        takeAddresses(try network.status([:], deadline: WallClock.deadline(seconds: 30)))
        health.serve([])
        worker.references.onChange { [references] in references.update(added: $0, removed: $1) }
        let worker = worker
        let pods = try WorkQueue(host, name: "node-pods", workers: workers) { try worker.sync($0) }
        let chores = try WorkQueue(host, name: "node-chores", workers: 4) { [weak self] in
            try self?.perform(chore: $0)
            return .done
        }
        active.withLock { active in
            active.pods = pods
            active.chores = chores
        }
        let runtimes = Set(try runtime.names())
        active.withLock { $0.runtimesAtStart = runtimes }
        let sandboxes = try watcher.start()
        try startInformers()
        worker.adoptOrphans(sandboxes)
        try watchRoles()
        try startTimers()
        for chore in Chore.atStart { self.chore(chore) }
    }

    private func startInformers() throws {
        let (worker, feed, policies) = (worker, feed, policies)
        let name = facts.withLock { $0.nodeName }
        let pods = try Informer(
            host, resource: "pods", selector: ".spec.nodeName=\(name)", keepsManagedFields: false,
            handler: { event in
                switch event {
                case .added(let pod): worker.podChanged(pod)
                case .updated(_, let pod): worker.podChanged(pod)
                case .deleted(let pod): worker.podRemoved(pod)
                case .synchronized: break
                }
            })
        let services = try Informer(
            host, resource: "services", keepsManagedFields: false,
            handler: { event in
                switch event {
                case .added(let service), .updated(_, let service): feed.serviceChanged(service)
                case .deleted(let service): feed.serviceRemoved(service)
                case .synchronized: break
                }
            })
        let slices = try Informer(
            host, resource: "endpointslices.discovery.k8s.io", keepsManagedFields: false,
            handler: { event in
                switch event {
                case .added(let slice), .updated(_, let slice):
                    feed.sliceChanged(slice)
                    policies.sliceChanged(slice)
                case .deleted(let slice):
                    feed.sliceRemoved(slice)
                    policies.sliceRemoved(slice)
                case .synchronized: break
                }
            })
        let networkPolicies = try policies.policyInformer(host)
        let place = try feed.zoneInformer(host)
        // Services and policies first: containers that start get their variables, and are isolated.
        for informer in [place, services, slices, networkPolicies, pods] {
            active.withLock { $0.informers.append(informer) }
            if informer === pods {
                feed.ready()
                policies.ready()
            }
            try informer.start()
        }
    }

    /// There is a network policy: from now on pods and namespaces matter, those of other nodes as well.
    private func observeForPolicies() throws {
        let informers = try policies.objectInformers(host)
        do { for informer in informers { try informer.start() } } catch {
            informers.forEach { $0.stop() }
            throw error
        }
        active.withLock { $0.informers += informers }
    }

    private func startTimers() throws {
        let timers = try host.timers()
        let second: UInt64 = 1_000_000_000
        let lease = try timers.start(delay: 10 * second, period: 10 * second) { [weak self] in
            self?.chore(.lease)
            self?.chore(.status)
            self?.chore(.storage)
        }
        let rotation = try timers.start(delay: LogRotator.period, period: LogRotator.period) { [weak self] in
            self?.chore(.logs)
        }
        active.withLock { $0.timers = [lease, rotation] }
    }

    /// Devices come and go with their plugins; a new network or runtime must be told, or asked, everything once more.
    private func watchRoles() throws {
        let roles = try host.roles().watch { [weak self] change in
            guard let self else { return }
            switch change.role {
            case HOSTD_DEVICE_1: devicesChanged(change.plugin, isActive: change.isActive)
            case HOSTD_NETWORK_1 where change.isActive && isReplacement(change):
                feed.resend()
                policies.resend()
            case HOSTD_RUNTIME_1 where change.isActive && isNew(change): chore(.runtime)
            default: break
            }
        }
        let topic = try host.events().subscribe(HOSTD_TOPIC_NETWORK) { [weak self] _ in self?.networkAnnounced() }
        active.withLock { $0.subscriptions += [roles, topic] }
    }

    /// A runtime that has not been watched yet, or not this generation of it.
    private func isNew(_ change: Roles.Change) -> Bool {
        active.withLock { active in
            let key = "\(change.role) \(change.plugin)"
            let old = active.generations.updateValue(change.generation, forKey: key)
            return old.map { $0 != change.generation } ?? !active.runtimesAtStart.contains(change.plugin)
        }
    }

    private func isReplacement(_ change: Roles.Change) -> Bool {
        active.withLock { active in
            let old = active.generations.updateValue(change.generation, forKey: change.role)
            return old.map { $0 != change.generation } ?? false
        }
    }

    private func networkAnnounced() {
        do {
            let status = try network.status([:], deadline: WallClock.deadline(seconds: 30))
            takeAddresses(status)
            chore(.status)
        } catch {
            log.warning("the network was announced but does not answer", ["error": .string("\(error)")])
        }
    }

    private func takeAddresses(_ status: JSON) {
        let addresses = status["nodeAddresses"].arrayValue.compactMap(\.stringValue)
        facts.withLock { $0.addresses = addresses }
        health.routes(by: status["routing"].stringValue ?? "")
    }

    /// A port that a service's balancer asks at is another program's.
    private func cannotAnswer(_ check: HealthCheck, _ error: any Error) {
        guard var service = feed.service(check.key) else { return }
        service["apiVersion"] = "v1"
        service["kind"] = "Service"
        let node = facts.withLock { $0.nodeName }
        recorder.record(
            service, .warning, reason: "FailedToStartServiceHealthcheck",
            message: "node \(node) cannot answer health checks at port \(check.port), and tries again: \(error)")
    }

    private func devicesChanged(_ plugin: String, isActive: Bool) {
        let old = active.withLock { $0.deviceWatches.removeValue(forKey: plugin) }
        do {
            if let old { try old.client.watchCancel(old.handle) }
            guard isActive else {
                devices.remove(plugin: plugin)
                chore(.status)
                return
            }
            let client = try DeviceClient(host, plugin: plugin)
            try DeviceAllocator.collectGarbage(of: client, keeping: Set(worker.allPods.map(\.uid)))
            let handle = try client.watch { [weak self] list in
                self?.devices.update(plugin: plugin, provider: client, list: list)
                self?.chore(.status)
            }
            active.withLock { $0.deviceWatches[plugin] = (client, handle) }
        } catch {
            log.warning("devices cannot be watched", ["plugin": .string(plugin), "error": .string("\(error)")])
        }
    }

    // MARK: - Work

    /// Work that is not about one pod; each kind runs once at a time and is tried again when it fails.
    enum Chore: String {
        case status, lease, services, policies, logs, addresses, leftovers, runtime, storage

        static let atStart: [Chore] = [.status, .lease, .services, .addresses, .leftovers]
    }

    func chore(_ chore: Chore) { active.withLock { $0.chores }?.add(chore.rawValue) }
    func enqueue(_ uid: String, delay: UInt64) { active.withLock { $0.pods }?.add(uid, delay: delay) }

    private func perform(chore: String) throws {
        switch Chore(rawValue: chore) {
        case .status:
            try registration.update()
            metrics.running(pods: worker.runningPods, containers: runtimeState.running.count)
        case .lease: try registration.renewLease()
        case .services: try feed.send()
        case .policies: try policies.send()
        case .logs: rotator.rotate()
        case .storage: try worker.enforceStorage()
        case .leftovers: try worker.removeLeftovers()
        case .addresses:
            _ = try network.collectGarbage(
                ["validSandboxIDs": JSON(runtimeState.sandboxIDs)], deadline: WallClock.deadline(seconds: 60))
        case .runtime:
            // A new runtime reports to nobody yet, and may have seen what the old one did not.
            try watcher.restart()
            for pod in worker.allPods { enqueue(pod.uid, delay: 0) }
        case nil: break
        }
    }

    /// A probe's result: noted for the state machine, reported to users.
    private func probed(_ report: ProbeReport) {
        guard let entry = worker.entry(report.podUID) else { return }
        let pod = entry.pod
        let container = pod.container(named: report.container)
        if case .unhealthy(let message) = report.change {
            worker.services.events.warning(
                pod, "Unhealthy", "\(report.kind.rawValue) probe failed: \(message)", container: container)
            return
        }
        if case .warning(let message) = report.change {
            worker.services.events.warning(
                pod, "ProbeWarning", "\(report.kind.rawValue) probe warning: \(message)", container: container)
            return
        }
        entry.update { memory in
            guard memory.health[report.containerID] != nil else { return }
            switch report.change {
            case .started: memory.health[report.containerID]?.started = true
            case .ready(let isReady): memory.health[report.containerID]?.ready = isReady
            case .failed(let grace):
                memory.health[report.containerID]?.killReason =
                    report.kind == .startup ? .startupFailed : .livenessFailed
                memory.health[report.containerID]?.killGraceSeconds = grace
            case .unhealthy, .warning: break
            }
        }
        enqueue(report.podUID, delay: 0)
    }

    // MARK: - Stop

    /// Ends everything of this process; containers go on unless `endsWorkloads`.
    func stop(endsWorkloads: Bool) {
        let ending = active.withLock { active -> Active in
            defer { active = Active() }
            return active
        }
        for informer in ending.informers { informer.stop() }
        for timer in ending.timers { timer.cancel() }
        for subscription in ending.subscriptions { subscription.cancel() }
        ending.pods?.stop()
        ending.chores?.stop()
        health.stop()
        do {
            for (client, handle) in ending.deviceWatches.values { try client.watchCancel(handle) }
            if endsWorkloads { endAll() }
            try watcher.stop()
        } catch {
            log.warning("the node did not end cleanly", ["error": .string("\(error)")])
        }
        references.stop()
        probes.stop()
        recorder.stop(writesPending: true)
        endpoints.stop()
        let areIdle = [operations.close(), endings.close(), sessions.close()]
        if areIdle.contains(false) { log.info("containers that are being stopped take longer than the node itself") }
    }

    /// Stops all containers, each with its pod's grace period, and then the sandboxes.
    private func endAll() {
        let waiting = OperationPool(maximum: 64)
        for container in runtimeState.running {
            let pod = worker.allPods.first { runtimeState.pod($0.uid).containers[container.id] != nil }
            let grace = pod?.terminationGraceSeconds ?? 30
            let (runtime, log) = (runtime, log)
            waiting.run {
                do {
                    _ = try runtime.stopContainer(
                        ["id": .string(container.id), "timeoutSeconds": .integer(grace)],
                        deadline: WallClock.deadline(seconds: Double(grace) + 30))
                } catch {
                    log.warning(
                        "a container could not be stopped",
                        ["container": .string(container.id), "error": .string("\(error)")])
                }
            }
        }
        waiting.finish()
    }
}
