import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Drives the scheduler role: keeps it told of nodes and placed pods, asks it for each waiting pod, binds.
///
/// Informer handlers put changes into a mailbox; one worker empties it and then tries waiting pods, so that the role's
/// calls are serial. Bindings are written in the background, many at a time.
final class SchedulingController: Controller {
    static let schedulerName = "default-scheduler"

    private enum Change: Sendable {
        case node(JSON)
        case nodeGone(String)
        case pod(JSON)
        case podGone(JSON)
        case storage
        /// Another provider took over: it knows nothing.
        case providerChanged
        case bindingFailed(JSON, SchedulingQueue.Item, message: String)
    }

    private struct Mailbox {
        var changes: [Change] = []
        var isStarted = false
    }

    /// A pod that has a node and waits for its volumes there.
    private struct Assumed {
        var pod: JSON
        var node: String
        var item: SchedulingQueue.Item
        /// Claims that were seen to carry the node's name; one that loses it again was given up for this node.
        var marked: Set<String> = []
    }

    private struct State {
        var queue = SchedulingQueue()
        /// Uids of the pods that the scheduler counts as placed.
        var placed: Set<String> = []
        var awaitingVolumes: [String: Assumed] = [:]
        /// Whether the provider knows the cluster.
        var isFed = false
    }

    private let cluster: Cluster
    private let scheduler: any SchedulerProvider
    private let drivers: VolumeDrivers
    private let mailbox = Mutex(Mailbox())
    private let state = Mutex(State())
    private let queue: ControllerQueue
    private let roles = Mutex<Subscription?>(nil)

    init(_ cluster: Cluster, scheduler: any SchedulerProvider, _ drivers: VolumeDrivers) throws {
        self.cluster = cluster
        self.drivers = drivers
        self.scheduler = scheduler
        let box = Unowned<SchedulingController>()
        queue = try ControllerQueue(cluster.host, name: "scheduling", workers: 1) { _ in box.value?.run() ?? .done }
        box.value = self
        cluster.nodes.onEvent { [unowned self] in nodeEvent($0) }
        cluster.pods.onEvent { [unowned self] in podEvent($0) }
        for cache in [cluster.volumeClaims, cluster.volumes, cluster.storageClasses] {
            cache.onObject { [unowned self] _ in post(.storage) }
        }
    }

    func start() throws {
        mailbox.withLock {
            $0.isStarted = true
            $0.changes = [.providerChanged]
        }
        queue.open()
        queue.add("run")
        let subscription = try cluster.host.roles().watch { [weak self] change in
            if change.role == HOSTD_SCHEDULER_1 && change.isActive { self?.post(.providerChanged) }
        }
        roles.withLock { $0 = subscription }
    }

    func stop() {
        roles.withLock { $0 }?.cancel()
        queue.stop()
    }

    // MARK: Events

    private func post(_ change: Change) {
        let isStarted = mailbox.withLock { mailbox -> Bool in
            if mailbox.isStarted { mailbox.changes.append(change) }
            return mailbox.isStarted
        }
        if isStarted { queue.add("run") }
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
            while true {
                takeMail(&state)
                guard state.isFed, let item = state.queue.take(now: monotonicNanoseconds()) else { break }
                attempt(item, &state)
            }
            guard state.isFed, let due = state.queue.nextDue else { return .done }
            let now = monotonicNanoseconds()
            return .after(nanoseconds: due > now ? due - now : 1)
        }
    }

    private func takeMail(_ state: inout State) {
        let changes = mailbox.withLock { mailbox -> [Change] in
            defer { mailbox.changes.removeAll(keepingCapacity: mailbox.changes.count < 256) }
            return mailbox.changes
        }
        for change in changes {
            do {
                try apply(change, &state)
            } catch let failure {
                let error = PluginError(failure)
                if error.code == HOSTD_ERROR_UNAVAILABLE {
                    // Without a provider nothing is lost: the next one is told everything anew.
                    state.isFed = false
                } else {
                    cluster.host.log.error("the scheduler refused what it was told: \(error)")
                }
            }
        }
    }

    private func apply(_ change: Change, _ state: inout State) throws {
        switch change {
        case .providerChanged: try feed(&state)
        case .node(let node):
            guard state.isFed else { return }
            try tell(node: node)
            state.queue.wake(.node)
        case .nodeGone(let name): if state.isFed { try scheduler.nodeRemove(name) }
        case .pod(let pod): try podChanged(pod, &state)
        case .podGone(let pod): try podGone(pod, &state)
        case .storage: try storageChanged(&state)
        case .bindingFailed(let pod, let item, let message): try bindingFailed(pod, item, message, &state)
        }
    }

    /// Tells a provider that knows nothing of everything that the caches show.
    private func feed(_ state: inout State) throws {
        state.isFed = false
        state.placed = []
        try scheduler.reset()
        for node in cluster.nodes.list() { try tell(node: node) }
        state.isFed = true
        // Pods that waited for volumes on a node start over.
        state.awaitingVolumes = [:]
        for pod in cluster.pods.list() { try podChanged(pod, &state) }
        state.queue.wake(.any)
    }

    private func tell(node: JSON) throws {
        let input: hostd_scheduler_node
        do {
            input = try SchedulerInput.node(node)
        } catch {
            cluster.host.log.warning("a node's amounts cannot be read: \(error)", ["node": .string(node.name)])
            return
        }
        try node.serialized().withUnsafeBytes { try scheduler.nodeSet(input, name: node.name, object: $0) }
    }

    private func podChanged(_ pod: JSON, _ state: inout State) throws {
        let facts = PodState(pod)
        if facts.isFinished { return try podGone(pod, &state) }
        guard facts.nodeName.isEmpty else {
            state.queue.remove(uid: pod.uid)
            state.awaitingVolumes[pod.uid] = nil
            guard state.isFed else { return }
            let input = try SchedulerInput.pod(pod)
            try pod.serialized().withUnsafeBytes {
                try scheduler.podSet(input, uid: pod.uid, node: facts.nodeName, object: $0)
            }
            state.placed.insert(pod.uid)
            state.queue.wake(.podPlaced)
            return
        }
        let isOurs = (pod["spec"]["schedulerName"].stringValue ?? Self.schedulerName) == Self.schedulerName
        if facts.isTerminating || !isOurs { return try podGone(pod, &state) }
        // A placed pod without a node name is on its way there.
        if state.placed.contains(pod.uid) || !pod["spec"]["schedulingGates"].arrayValue.isEmpty { return }
        state.queue.add(key: objectKey(pod), uid: pod.uid, priority: pod["spec"]["priority"].integerValue ?? 0)
    }

    private func podGone(_ pod: JSON, _ state: inout State) throws {
        state.queue.remove(uid: pod.uid)
        state.awaitingVolumes[pod.uid] = nil
        guard state.isFed, state.placed.remove(pod.uid) != nil else { return }
        try scheduler.podRemove(pod.uid)
        state.queue.wake(.podGone)
    }

    private func bindingFailed(
        _ pod: JSON, _ item: SchedulingQueue.Item, _ message: String, _ state: inout State
    ) throws {
        state.awaitingVolumes[pod.uid] = nil
        let wasPlaced = state.placed.remove(pod.uid) != nil
        if state.isFed && wasPlaced { try scheduler.podRemove(pod.uid) }
        state.queue.wake(.podGone)
        record(pod, .warning, "FailedScheduling", message)
        let current = cluster.pods.get(pod.namespace, pod.name)
        if let current, current.uid == pod.uid, PodState(current).nodeName.isEmpty { state.queue.retry(item) }
    }

    // MARK: Attempts

    private func attempt(_ item: SchedulingQueue.Item, _ state: inout State) {
        let (namespace, name) = splitKey(item.key)
        guard let pod = cluster.pods.get(namespace, name), pod.uid == item.uid, PodState(pod).nodeName.isEmpty else {
            state.queue.remove(uid: item.uid)
            return
        }
        let volumes = PodVolumes(
            pod, claim: { self.cluster.volumeClaims.get(namespace, $0) },
            volume: { self.cluster.volumes.get("", $0) }, storageClass: { self.cluster.storageClasses.get("", $0) })
        switch volumes {
        case .blocked(let reason):
            let message = SchedulingMessage.text(nodes: cluster.nodes.list().count, blocked: reason)
            refuse(pod, item, message, .storage, &state)
        case .ready(let affinity, let unbound):
            let reaches = unbound.compactMap { reach(ofClaim: namespace, $0) }
            decide(PodVolumes.constrain(pod, to: affinity + reaches), pod, unbound: unbound, item, &state)
        }
    }

    /// Where the volume of a claim can be made; nil when anywhere, or when only its provisioner can tell.
    private func reach(ofClaim namespace: String, _ name: String) -> [JSON]? {
        let className = cluster.volumeClaims.get(namespace, name)?["spec"]["storageClassName"].stringValue ?? ""
        guard let driver = cluster.storageClasses.get("", className)?["provisioner"].stringValue else { return nil }
        do {
            let terms = try drivers.reach(of: driver)
            return terms.isEmpty ? nil : terms
        } catch {
            cluster.host.log.warning("the reach of a volume driver is unknown: \(error)", ["driver": .string(driver)])
            return nil
        }
    }

    private func decide(
        _ constrained: JSON, _ pod: JSON, unbound: [String], _ item: SchedulingQueue.Item, _ state: inout State
    ) {
        do {
            let input = try SchedulerInput.pod(pod)
            let decision = try constrained.serialized().withUnsafeBytes {
                try scheduler.schedule(input, uid: pod.uid, object: $0, deadline: 0)
            }
            switch decision {
            case .place(let node): place(pod, on: node, unbound: unbound, item, &state)
            case .refuse(let nodes, let refusals):
                let helping = refusals.reduce(ClusterChanges.node) { $0.union(.helping($1.reason)) }
                refuse(pod, item, SchedulingMessage.text(nodes: nodes, refusals: refusals), helping, &state)
            }
        } catch let failure {
            let error = PluginError(failure)
            if error.code == HOSTD_ERROR_UNAVAILABLE { state.isFed = false }
            if error.isRetryable {
                state.queue.retry(item)
            } else {
                // Nothing but a change of the pod itself can help.
                refuse(pod, item, "\(error)", [], &state)
            }
        }
    }

    private func refuse(
        _ pod: JSON, _ item: SchedulingQueue.Item, _ message: String, _ helping: ClusterChanges, _ state: inout State
    ) {
        state.queue.park(item, helping: helping)
        record(pod, .warning, "FailedScheduling", message)
        guard let patch = SchedulingMessage.condition(pod, message: message, now: .now()) else { return }
        let log = cluster.host.log
        cluster.writer.send(
            "PATCH application/strategic-merge-patch+json",
            APIPath.object("v1", "pods", pod.namespace, pod.name, "status"), body: patch
        ) { result in
            if case .failure(let error) = result, !((error as? APIError)?.isNotFound ?? false) {
                log.warning("a pod's condition could not be written: \(error)", ["pod": .string(objectKey(pod))])
            }
        }
    }

    private func place(
        _ pod: JSON, on node: String, unbound: [String], _ item: SchedulingQueue.Item, _ state: inout State
    ) {
        state.queue.remove(uid: pod.uid)
        state.placed.insert(pod.uid)
        if unbound.isEmpty { return bind(pod, to: node, item) }
        state.awaitingVolumes[pod.uid] = Assumed(pod: pod, node: node, item: item)
        let patch: JSON = ["metadata": ["annotations": .object([PodVolumes.selectedNode: .string(node)])]]
        for name in unbound {
            cluster.writer.send(
                "PATCH application/merge-patch+json",
                APIPath.object("v1", "persistentvolumeclaims", pod.namespace, name), body: patch
            ) { [weak self] result in
                if case .failure(let error) = result {
                    self?.post(.bindingFailed(pod, item, message: "selecting node \(node) for claim \(name): \(error)"))
                }
            }
        }
    }

    /// Looks at the pods that wait for volumes, and wakes those that waited for storage.
    private func storageChanged(_ state: inout State) throws {
        for (uid, var assumed) in state.awaitingVolumes {
            let namespace = assumed.pod.namespace
            let claims = PodVolumes.claimNames(assumed.pod).compactMap { cluster.volumeClaims.get(namespace, $0) }
            let open = claims.filter { $0["status"]["phase"].stringValue != "Bound" }
            if open.isEmpty {
                state.awaitingVolumes[uid] = nil
                bind(assumed.pod, to: assumed.node, assumed.item)
                continue
            }
            let marked = Set(open.filter { $0.annotations[PodVolumes.selectedNode].exists }.map(\.name))
            if let lost = open.first(where: { assumed.marked.contains($0.name) && !marked.contains($0.name) }) {
                let message = "volume for claim \"\(lost.name)\" could not be made on node \(assumed.node)"
                try bindingFailed(assumed.pod, assumed.item, message, &state)
                continue
            }
            assumed.marked.formUnion(marked)
            state.awaitingVolumes[uid] = assumed
        }
        state.queue.wake(.storage)
    }

    private func bind(_ pod: JSON, to node: String, _ item: SchedulingQueue.Item) {
        let body: JSON = [
            "apiVersion": "v1", "kind": "Binding",
            "metadata": ["name": .string(pod.name), "namespace": .string(pod.namespace), "uid": .string(pod.uid)],
            "target": ["apiVersion": "v1", "kind": "Node", "name": .string(node)],
        ]
        let path = APIPath.object("v1", "pods", pod.namespace, pod.name, "binding")
        cluster.writer.send("POST", path, body: body) { [weak self] result in
            switch result {
            case .success:
                self?.record(
                    pod, .normal, "Scheduled", "Successfully assigned \(pod.namespace)/\(pod.name) to \(node)")
            case .failure(let error):
                if let error = error as? APIError, error.isNotFound {
                    self?.post(.podGone(pod))
                } else {
                    self?.post(.bindingFailed(pod, item, message: "binding to node \(node) failed: \(error)"))
                }
            }
        }
    }

    private func record(_ pod: JSON, _ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        cluster.recorder.record(
            pod.typed(.pods), kind, reason: reason, message: message, component: Self.schedulerName)
    }
}
