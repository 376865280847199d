import Objects
import PluginAPI
import PluginKit
import Synchronization

/// What pod workers act on.
struct PodWorkerServices: Sendable {
    let runtime: any PodRuntime
    let network: any NetworkProvider
    let api: APIClient
    let objects: any ObjectReader
    let volumes: VolumeManager
    let devices: DeviceAllocator
    let events: any PodEvents
    let operations: OperationPool
    /// Threads that end sandboxes; few.
    let endings: OperationPool
    /// Services whose variables containers of a namespace get.
    let services: @Sendable (_ pod: Pod) -> [JSON]
    /// Makes the network policies of a pod hold before anything of it runs.
    let isolate: @Sendable (_ pod: Pod, _ addresses: [String]) throws -> Void
    let facts: @Sendable () -> NodeFacts
    var sysctls = SysctlPolicy()
    let metrics: NodeMetrics?
    let log: NodeLog
}

/// Carries out the plans of the pod state machine. One call of `sync` at a time for one pod; any number for several.
final class PodWorker: Sendable {
    let services: PodWorkerServices
    let runtimeState: RuntimeState
    let probes: ProbeManager
    /// Asks for another `sync` of a pod, after some nanoseconds.
    let enqueue: @Sendable (_ uid: String, _ delay: UInt64) -> Void
    private let entries = Mutex<[String: PodEntry]>([:])
    /// Held while what is free of the node is counted and given away.
    let grants = Mutex<Void>(())
    /// Pods whose resize waits until something of the node is free.
    let deferredResizes = Mutex<Set<String>>([])
    let users: UserRanges
    /// References of pods to ConfigMaps and Secrets, so that their changes find the pods.
    let references = VolumeReferences()

    init(
        services: PodWorkerServices, runtimeState: RuntimeState, probes: ProbeManager,
        enqueue: @escaping @Sendable (String, UInt64) -> Void
    ) {
        self.services = services
        self.runtimeState = runtimeState
        self.probes = probes
        self.enqueue = enqueue
        users = UserRanges(paths: services.volumes.paths)
    }

    var paths: NodePaths { services.volumes.paths }

    func entry(_ uid: String) -> PodEntry? { entries.withLock { $0[uid] } }

    /// All pods that the node knows, for statistics and look-ups.
    var allPods: [Pod] { entries.withLock { Array($0.values) }.map(\.pod) }

    /// Pods whose sandbox stands.
    var runningPods: Int {
        allPods.count { pod in runtimeState.pod(pod.uid).sandboxes.values.contains(where: \.isReady) }
    }

    func pod(namespace: String, name: String) -> Pod? {
        let all = entries.withLock { Array($0.values) }
        let named = all.map(\.pod).filter { $0.name == name && $0.namespace == namespace }
        return named.first { $0.deletionTimestamp == nil } ?? named.first
    }

    // MARK: - News from the API

    func podChanged(_ object: JSON) {
        guard let pod = Pod(object: object) else { return }
        let now = WallClock.now()
        let record = runtimeState.pod(pod.uid)
        let (entry, isNew) = entries.withLock { entries -> (PodEntry?, Bool) in
            if let known = entries[pod.uid] { return (known, false) }
            // Done here already; others' finalizers keep the object.
            let isDone =
                pod.deletionTimestamp != nil && pod.deletionGraceSeconds == 0
                && (pod.isTerminal || pod.object.finalizers.isEmpty)
            if isDone && record.sandboxes.isEmpty && record.containers.isEmpty { return (nil, false) }
            let made = PodEntry(pod: pod, now: now)
            entries[pod.uid] = made
            return (made, true)
        }
        guard let entry else { return }
        if isNew, record.sandboxes.isEmpty { refuseIfNeeded(entry) }
        if isNew || entry.update({ $0.take(pod) }) { enqueue(pod.uid, 0) }
    }

    /// A pod that nobody has started yet, and that was bound without asking the scheduler, may be one too many.
    private func refuseIfNeeded(_ entry: PodEntry) {
        let pod = entry.pod
        guard pod.deletionTimestamp == nil, !pod.isTerminal, !pod.status["startTime"].exists else { return }
        // Whose wishes wait for the node counts with what it has.
        let others = holders(beside: entry).map { other in
            other.read { $0.resources.pending == nil ? $0.pod : $0.pod.with(resources: $0.resources.granted) }
        }
        do {
            let refusal =
                try PodDemands(pod: pod, sysctls: services.sysctls).refusal
                ?? PodRefusal(pod: pod, others: others).judge {
                    try services.objects.object("nodes//\(services.facts().nodeName)")
                }
            guard let refusal else { return }
            entry.update { $0.failure = refusal }
            services.events.warning(pod, refusal.reason, refusal.message)
        } catch {
            services.log.warning(
                "a pod is taken without a look at the node's object",
                NodeLog.fields(pod, ["error": .string("\(error)")]))
        }
    }

    /// The other pods that hold something of this node.
    func holders(beside entry: PodEntry) -> [PodEntry] {
        entries.withLock { Array($0.values) }.filter { other in
            other.uid != entry.uid
                && other.read { !$0.isReleased && !$0.isOrphan && $0.failure == nil && !$0.pod.isTerminal }
        }
    }

    func podRemoved(_ object: JSON) {
        guard let uid = object["metadata"]["uid"].stringValue, let entry = entry(uid) else { return }
        entry.update { $0.isOrphan = true }
        enqueue(uid, 0)
    }

    /// Takes up what runs without an API object: it was deleted while the node was away.
    func adoptOrphans(_ sandboxes: [ObservedSandbox]) {
        for sandbox in sandboxes where entry(sandbox.podUID) == nil {
            let object: JSON = [
                "metadata": [
                    "name": .string(sandbox.name), "namespace": .string(sandbox.namespace),
                    "uid": .string(sandbox.podUID),
                ]
            ]
            guard let pod = Pod(object: object) else { continue }
            let entry = PodEntry(pod: pod, now: WallClock.now())
            entry.update { $0.isOrphan = true }
            entries.withLock { $0[pod.uid] = $0[pod.uid] ?? entry }
            enqueue(pod.uid, 0)
        }
    }

    /// Removes what a pod left on disk that neither the API nor the runtime knows any more.
    func removeLeftovers() throws {
        for uid in try Files.list(paths.pods) where entry(uid) == nil {
            try services.volumes.tearDown(podUID: uid)
            try services.volumes.remove(podUID: uid)
        }
        // NAMESPACE_NAME_UID: neither of the first two can hold an underscore.
        for name in try Files.list(paths.logs) {
            guard let uid = name.split(separator: "_").last, entry(String(uid)) == nil else { continue }
            try FileTree.remove("\(paths.logs)/\(name)")
        }
    }

    /// A ConfigMap or Secret changed.
    func objectChanged(_ key: String) {
        for uid in references.pods(key) {
            entry(uid)?.update { memory in
                memory.volumesAreStale = true
                // What could not be configured or mounted for lack of the object is tried again at once.
                memory.sandboxRetryAt = 0
                memory.retryConfigurations()
            }
            enqueue(uid, 0)
        }
    }

    // MARK: - The loop

    /// Brings one pod as near to its specification as can be now.
    func sync(_ uid: String) throws -> Requeue {
        guard let entry = entry(uid) else { return .done }
        considerResize(entry)
        var rounds = 0
        var progressed = true
        while progressed && rounds < 64 {
            rounds += 1
            progressed = false
            for action in plan(entry).actions {
                if action == .finalize {
                    try finalize(entry)
                    return .done
                }
                progressed = try perform(action, entry) || progressed
            }
        }
        supervise(entry)
        let renewal = refreshVolumes(entry)
        try writeStatus(entry)
        // What failed on the way has left a time to try again.
        let waits = [plan(entry).wakeAfter, renewal, secondsToImageBackOff(entry)].compactMap { $0 }
        guard let seconds = waits.min() else { return .done }
        return .after(nanoseconds: UInt64(max(seconds, 0.01) * 1e9))
    }

    private func plan(_ entry: PodEntry) -> PodPlan {
        PodPlanner.plan(entry.snapshot(runtimeState.pod(entry.uid), now: WallClock.now()))
    }

    /// Carries out one step; answers whether the state changed, so that planning again makes sense.
    private func perform(_ action: PodAction, _ entry: PodEntry) throws -> Bool {
        switch action {
        case .createSandbox(let attempt): return createSandbox(entry, attempt: attempt)
        case .startContainer(let name, let attempt): return startContainer(entry, name: name, attempt: attempt)
        case .stopContainer(let id, let name, let reason, let grace):
            stopContainer(entry, id: id, name: name, reason: reason, graceSeconds: grace)
            return false
        case .beginPreStop(let id, let name, let reason, let grace):
            beginPreStop(entry, id: id, name: name, reason: reason, graceSeconds: grace)
            return false
        case .applyResources: return applyResources(entry)
        case .removeContainer(let id): return try removeContainer(entry, id: id)
        case .stopSandbox(let id):
            try endSandbox(entry, id: id, removes: false)
            return false
        case .removeSandbox(let id):
            try endSandbox(entry, id: id, removes: true)
            return false
        case .releaseResources: return try releaseResources(entry)
        case .finalize: return false
        }
    }

    func forget(_ uid: String) {
        entries.withLock { _ = $0.removeValue(forKey: uid) }
        deferredResizes.withLock { _ = $0.remove(uid) }
        references.forget(uid)
    }

    func runtimeFacts(_ entry: PodEntry) -> PodRuntimeFacts {
        let facts = services.facts()
        let (addresses, hostNetwork) = entry.read { ($0.podIPs, $0.pod.hostNetwork) }
        return PodRuntimeFacts(
            podIPs: hostNetwork ? facts.addresses : addresses, hostIPs: facts.addresses, nodeName: facts.nodeName)
    }
}
