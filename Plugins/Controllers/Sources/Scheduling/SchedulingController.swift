import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Drives the scheduler role: keeps it told of nodes and placed pods, asks it for each waiting pod, binds.
///
/// Informer handlers put changes into a mailbox; one worker empties it and then tries waiting pods, so that the role's
/// calls are serial. Bindings are written in the background, many at a time. Where pods were placed is remembered here and
/// not by the scheduler alone: whatever becomes of the provider, a pod on its way to a node is told again, never tried again.
final class SchedulingController: Controller {
    static let schedulerName = "default-scheduler"

    enum Change: Sendable {
        case node(JSON)
        case nodeGone(String)
        case pod(JSON)
        case podGone(JSON)
        case storage
        /// Resource claims, slices or classes of devices changed.
        case devices
        /// The claims of a pod tell of devices that have to get ready before it is bound.
        case devicesReserved(JSON)
        /// Namespaces came, went, or have other labels.
        case namespaces
        /// The caches are full, and changes are told from now on.
        case started
        /// Another provider took over, or the role has none at the moment.
        case providerChanged
        case bindingFailed(JSON, SchedulingQueue.Item, message: String)
        /// A pod that was to make room does not go.
        case preemptionFailed(victim: String, message: String)
    }

    /// A pod that was given a node and does not show it yet.
    struct Assumed {
        var pod: JSON
        var node: String
        var item: SchedulingQueue.Item
        /// Nil when nothing keeps it from being bound. Else claims that were seen to carry the node's name; one that loses
        /// it again was given up for this node.
        var awaitedClaims: Set<String>?
        /// The devices that it claims; nil for a pod that claims none.
        var devices: DevicePlan?
        /// Whether it has them and they are not ready for its node.
        var awaitsDevices = false
    }

    struct State {
        var queue = SchedulingQueue()
        var scheduler: CountedScheduler
        /// The pods that show their node.
        var bound = PlacedPods()
        /// The kinds of pods that found no others to push out since the nodes last changed.
        var hopeless = HopelessPreemptions()
        /// By the uids of the pods that wait for others to end.
        var preemptions: [String: Preemption] = [:]
        /// Uids of the pods that are to end for others: the scheduler counts them no more.
        var victims: Set<String> = []
        var assumed: [String: Assumed] = [:]
        /// By uid, the placed pods whose affinity chooses namespaces by labels.
        var namespaceChoosers: [String: JSON] = [:]
        var places = NodePlaces()
        var outage = SchedulerOutage()
        var heldDevices = HeldDevices()
        /// When pods that wait for their devices are looked at again, in monotonic nanoseconds; nil while there are none.
        var devicesDue: UInt64?
        /// The scheduler was not there: no pod is tried for a moment.
        var isPaused = false
        /// Uids of pods that are not to be tried yet.
        var gated: Set<String> = []

        func isPlaced(_ uid: String) -> Bool { bound.contains(uid) || assumed[uid] != nil }
        /// Whether no pod waits for anything that pods may do.
        var isIdle: Bool { queue.count == 0 && preemptions.isEmpty && victims.isEmpty }
    }

    let cluster: Cluster
    let drivers: VolumeDrivers
    let metrics: SchedulingMetrics
    let selection = DeviceSelection()
    private let mailbox = Mutex(SchedulingMailbox())
    private let state: Mutex<State>
    private let queue: ControllerQueue
    private let roles = Mutex<Subscription?>(nil)

    init(_ cluster: Cluster, scheduler: any SchedulerProvider, _ drivers: VolumeDrivers) throws {
        self.cluster = cluster
        self.drivers = drivers
        metrics = SchedulingMetrics(metrics: cluster.metrics)
        state = Mutex(State(scheduler: CountedScheduler(scheduler)))
        let box = Unowned<SchedulingController>()
        queue = try cluster.queue("scheduling", workers: 1) { _ in box.value?.run() ?? .done }
        box.value = self
        cluster.nodes.onEvent { [unowned self] in nodeEvent($0) }
        cluster.pods.onEvent { [unowned self] in podEvent($0) }
        for cache in [cluster.volumeClaims, cluster.volumes, cluster.storageClasses] {
            cache.onObject { [unowned self] _ in post(.storage) }
        }
        for cache in [cluster.resourceClaims, cluster.resourceSlices, cluster.deviceClasses] {
            cache.onObject { [unowned self] _ in post(.devices) }
        }
        cluster.namespaces.onEvent { [unowned self] event in
            switch event {
            case .added, .deleted: post(.namespaces)
            case .updated(let old, let new): if old.labels != new.labels { post(.namespaces) }
            case .synchronized: break
            }
        }
    }

    func start() throws {
        mailbox.withLock { $0.start(with: [.started, .providerChanged]) }
        queue.open()
        queue.add("run")
        let subscription = try cluster.host.roles().watch { [weak self] change in
            if change.role == HOSTD_SCHEDULER_1 { self?.post(.providerChanged) }
        }
        roles.withLock { $0 = subscription }
    }

    func stop() {
        roles.withLock { $0 }?.cancel()
        queue.stop()
    }

    // MARK: Events

    func post(_ change: Change) {
        if mailbox.withLock({ $0.put(change) }) { queue.add("run") }
    }

    private func nodeEvent(_ event: InformerEvent) {
        switch event {
        case .added(let node): post(.node(node))
        case .updated(let old, let new): if !SchedulerInput.isSameNode(old, new) { post(.node(new)) }
        case .deleted(let node): post(.nodeGone(node.name))
        case .synchronized: break
        }
    }

    private func podEvent(_ event: InformerEvent) {
        switch event {
        case .added(let pod): post(.pod(pod))
        case .updated(let old, let new):
            if old.uid != new.uid { post(.podGone(old)) }
            if old.uid != new.uid || !SchedulerInput.isSamePod(old, new) { post(.pod(new)) }
        case .deleted(let pod): post(.podGone(pod))
        case .synchronized: break
        }
    }

    // MARK: Worker

    private func run() -> Requeue {
        state.withLock { state in
            state.isPaused = false
            while true {
                takeMail(&state)
                lookAtDevices(&state)
                if !state.scheduler.isFed { feed(&state) }
                guard state.scheduler.isFed, !state.isPaused, let item = state.queue.take(now: monotonicNanoseconds())
                else { break }
                attempt(item, &state)
            }
            metrics.show(&state.queue, gated: state.gated.count)
            let now = monotonicNanoseconds()
            guard state.scheduler.isFed, !state.isPaused else {
                explainOutage(&state, now: now)
                return .after(nanoseconds: SchedulerOutage.retryDelay)
            }
            if state.isIdle { mailbox.withLock { $0.rest() } }
            guard let due = [state.queue.nextDue, state.devicesDue].compactMap({ $0 }).min() else { return .done }
            return .after(nanoseconds: due > now ? due - now : 1)
        }
    }

    private func takeMail(_ state: inout State) {
        for change in mailbox.withLock({ $0.take() }) {
            do {
                try apply(change, &state)
            } catch let failure {
                let error = PluginError(failure)
                if error.isRetryable {
                    outageBegan(&state, error)
                } else {
                    cluster.host.log.error("the scheduler refused what it was told: \(error)")
                }
            }
        }
    }

    private func apply(_ change: Change, _ state: inout State) throws {
        switch change {
        case .started:
            for node in cluster.nodes.list() { state.places.insert(node) }
            for pod in cluster.pods.list() { try podChanged(pod, &state) }
        case .providerChanged:
            // Another scheduler may see a place where the last one saw none.
            state.hopeless.forget()
            if try state.scheduler.providerChanged() { state.queue.wake(.any) }
        case .node(let node):
            state.places.insert(node)
            state.queue.wake(.node)
            state.hopeless.forget()
            if state.scheduler.isFed { try tell(node: node, &state.scheduler) }
        case .nodeGone(let name):
            state.places.remove(name)
            if state.scheduler.isFed { try state.scheduler.tell { try $0.nodeRemove(name) } }
        case .pod(let pod): try podChanged(pod, &state)
        case .podGone(let pod): try podGone(pod, &state)
        case .storage: try storageChanged(&state)
        case .devices:
            state.heldDevices.settle { self.stored($0, $1, pod: $2) }
            state.queue.wake(.devices)
            state.devicesDue = 0
        case .devicesReserved(let pod): devicesReserved(pod, &state)
        case .namespaces: try namespacesChanged(&state)
        case .bindingFailed(let pod, let item, let message): try bindingFailed(pod, item, message, &state)
        case .preemptionFailed(let victim, let message):
            for (uid, preemption) in state.preemptions where preemption.victims.contains(victim) {
                try abandonPreemption(by: uid, &state)
                try bindingFailed(preemption.pod, preemption.item, message, &state)
            }
        }
    }

    /// Tells a provider that does not know them of all nodes and placed pods.
    private func feed(_ state: inout State) {
        let began = monotonicNanoseconds()
        do {
            let (nodes, pods) = (cluster.nodes.list(), cluster.pods.list())
            let (assumed, victims) = (state.assumed, state.victims)
            try state.scheduler.feed { scheduler in
                for node in nodes { try tell(node: node, &scheduler) }
                for pod in pods {
                    let facts = PodState(pod)
                    if facts.nodeName.isEmpty || facts.isFinished || victims.contains(pod.uid) { continue }
                    try tell(pod: pod, on: facts.nodeName, &scheduler)
                }
                for pod in assumed.values { try tell(pod: pod.pod, on: pod.node, &scheduler) }
            }
            state.queue.wake(.any)
            state.outage.ended()
            cluster.host.log.info(
                "the scheduler was told everything anew",
                [
                    "nodes": .integer(Int64(nodes.count)), "pods": .integer(Int64(pods.count)),
                    "milliseconds": .number(Double((monotonicNanoseconds() - began) / 10_000) / 100),
                ])
        } catch let failure {
            outageBegan(&state, PluginError(failure))
        }
    }

    func outageBegan(_ state: inout State, _ error: PluginError) {
        guard state.outage.began(now: monotonicNanoseconds(), error) else { return }
        cluster.host.log.info("the scheduler does not answer: \(error)")
    }

    private func tell(node: JSON, _ scheduler: inout CountedScheduler) throws {
        do {
            let input = try SchedulerInput.node(node)
            try node.serialized().withUnsafeBytes { object in
                try scheduler.tell { try $0.nodeSet(input, name: node.name, object: object) }
            }
        } catch let failure {
            try passRetryable(failure, "a node cannot be scheduled to", node)
        }
    }

    func tell(pod: JSON, on node: String, _ scheduler: inout CountedScheduler) throws {
        do {
            let counted = SchedulerInput.counted(pod)
            let input = try SchedulerInput.pod(counted)
            try resolved(counted).serialized().withUnsafeBytes { object in
                try scheduler.tell { try $0.podSet(input, uid: pod.uid, node: node, object: object) }
            }
        } catch let failure {
            try passRetryable(failure, "a placed pod is not counted", pod)
        }
    }

    /// One object that the scheduler refuses must not keep it from the others.
    private func passRetryable(_ failure: any Error, _ consequence: String, _ object: JSON) throws {
        let error = PluginError(failure)
        if error.isRetryable { throw error }
        cluster.host.log.warning("\(consequence): \(error)", ["object": .string(objectKey(object))])
    }

    /// The pod as a scheduler is told of it: with the names of the namespaces that its affinity chooses.
    func resolved(_ pod: JSON) throws -> JSON {
        try NamespaceTerms.resolved(pod) { self.cluster.namespaces.list() }
    }

    /// Pods that choose namespaces by labels may mean others now.
    private func namespacesChanged(_ state: inout State) throws {
        state.queue.wake(.podPlaced)
        state.hopeless.forget()
        guard state.scheduler.isFed else { return }
        for pod in state.namespaceChoosers.values where !state.victims.contains(pod.uid) {
            try tell(pod: pod, on: PodState(pod).nodeName, &state.scheduler)
        }
    }

    private func podChanged(_ pod: JSON, _ state: inout State) throws {
        let facts = PodState(pod)
        if facts.isFinished { return try podGone(pod, &state) }
        guard facts.nodeName.isEmpty else { return try podPlaced(pod, on: facts.nodeName, &state) }
        let isOurs = (pod["spec"]["schedulerName"].stringValue ?? Self.schedulerName) == Self.schedulerName
        if facts.isTerminating || !isOurs { return try podGone(pod, &state) }
        if state.isPlaced(pod.uid) { return }
        if !pod["spec"]["schedulingGates"].arrayValue.isEmpty {
            state.gated.insert(pod.uid)
            explain(pod, .gated)
            return
        }
        state.gated.remove(pod.uid)
        state.queue.add(key: objectKey(pod), uid: pod.uid, priority: pod["spec"]["priority"].integerValue ?? 0)
    }

    private func podPlaced(_ pod: JSON, on node: String, _ state: inout State) throws {
        let uid = pod.uid
        state.queue.remove(uid: uid)
        let assumed = state.assumed.removeValue(forKey: uid)
        state.bound.insert(pod, on: node, priority: PreemptionPlan.priority(of: pod))
        state.hopeless.forget()
        state.queue.wake(.podPlaced)
        let choosesNamespaces = NamespaceTerms.areUsed(by: pod)
        if choosesNamespaces { state.namespaceChoosers[uid] = pod }
        guard state.scheduler.isFed, !state.victims.contains(uid) else { return }
        // What the scheduler has decided itself it knows, unless namespaces have changed since.
        if let assumed, assumed.node == node, !choosesNamespaces, SchedulerInput.isSamePlaced(assumed.pod, pod) {
            return
        }
        try tell(pod: pod, on: node, &state.scheduler)
    }

    private func podGone(_ pod: JSON, _ state: inout State) throws {
        state.gated.remove(pod.uid)
        state.queue.remove(uid: pod.uid)
        try abandonPreemption(by: pod.uid, &state)
        try free(pod.uid, &state)
        victimEnded(pod.uid, &state)
    }

    /// Takes a pod off its node, for the scheduler too.
    private func free(_ uid: String, _ state: inout State) throws {
        let wasAssumed = state.assumed.removeValue(forKey: uid) != nil
        state.namespaceChoosers[uid] = nil
        state.heldDevices.release(pod: uid, isOutcome: false)
        guard state.bound.remove(uid) || wasAssumed else { return }
        state.hopeless.forget()
        state.queue.wake(.podGone)
        if state.scheduler.isFed { try state.scheduler.tell { try $0.podRemove(uid) } }
    }

    private func bindingFailed(
        _ pod: JSON, _ item: SchedulingQueue.Item, _ message: String, _ state: inout State
    ) throws {
        state.heldDevices.release(pod: pod.uid, isOutcome: true)
        // What became of the binding of a pod that shows a node by now, or was given up since, does not matter.
        guard state.assumed[pod.uid] != nil else { return }
        record(pod, .warning, "FailedScheduling", message)
        let current = cluster.pods.get(pod.namespace, pod.name)
        if let current, current.uid == pod.uid, PodState(current).nodeName.isEmpty { state.queue.retry(item) }
        try free(pod.uid, &state)
    }

    /// Looks at the pods that wait for volumes, and wakes those that waited for storage.
    private func storageChanged(_ state: inout State) throws {
        state.queue.wake(.storage)
        for (uid, var assumed) in state.assumed {
            guard var marked = assumed.awaitedClaims else { continue }
            let namespace = assumed.pod.namespace
            let claims = PodVolumes.claimNames(assumed.pod).compactMap { cluster.volumeClaims.get(namespace, $0) }
            let open = claims.filter { $0["status"]["phase"].stringValue != "Bound" }
            if open.isEmpty {
                state.assumed[uid]?.awaitedClaims = nil
                bind(assumed.pod, to: assumed.node, assumed.item, assumed.devices, &state)
                continue
            }
            let carrying = Set(open.filter { $0.annotations[PodVolumes.selectedNode].exists }.map(\.name))
            if let lost = open.first(where: { marked.contains($0.name) && !carrying.contains($0.name) }) {
                let message = "volume for claim \"\(lost.name)\" could not be made on node \(assumed.node)"
                try bindingFailed(assumed.pod, assumed.item, message, &state)
                continue
            }
            marked.formUnion(carrying)
            assumed.awaitedClaims = marked
            state.assumed[uid] = assumed
        }
    }
}
