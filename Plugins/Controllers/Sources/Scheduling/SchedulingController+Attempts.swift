import Objects
import PluginAPI
import PluginKit

/// One pod at a time: its volumes, the scheduler's decision, and what follows from it.
extension SchedulingController {
    func attempt(_ item: SchedulingQueue.Item, _ state: inout State) {
        let (namespace, name) = splitKey(item.key)
        guard let pod = cluster.pods.get(namespace, name), pod.uid == item.uid, PodState(pod).nodeName.isEmpty else {
            state.queue.remove(uid: item.uid)
            return
        }
        let began = monotonicNanoseconds()
        let volumes = PodVolumes(
            pod, claim: { self.cluster.volumeClaims.get(namespace, $0) },
            volume: { self.cluster.volumes.get("", $0) }, storageClass: { self.cluster.storageClasses.get("", $0) },
            isInUse: { isInUse($0, by: pod, state) })
        switch volumes {
        case .blocked(let reason, let helping):
            let message = SchedulingMessage.text(nodes: cluster.nodes.list().count, blocked: reason)
            refuse(pod, item, message, helping, &state)
            metrics.attempted(.unschedulable, since: began)
        case .ready(var affinity, let unbound):
            for name in unbound {
                switch reach(ofClaim: namespace, name) {
                case .everywhere: break
                case .nodes(let terms): affinity.append(terms)
                case .nowhere:
                    let nodes = cluster.nodes.list().count
                    let reason = "\(nodes) node(s) didn't find available persistent volumes to bind"
                    refuse(pod, item, SchedulingMessage.text(nodes: nodes, blocked: reason), .storage, &state)
                    return metrics.attempted(.unschedulable, since: began)
                }
            }
            let devices: DevicePlan?
            switch self.devices(of: pod, state) {
            case .none: devices = nil
            case .blocked(let reason):
                let message = SchedulingMessage.text(nodes: cluster.nodes.list().count, blocked: reason)
                refuse(pod, item, message, [.devices, .node], &state)
                return metrics.attempted(.unschedulable, since: began)
            case .ready(let plan):
                if let refusal = plan.refusal {
                    refuse(pod, item, plan, refusal, &state)
                    return metrics.attempted(.unschedulable, since: began)
                }
                if let terms = plan.terms { affinity.append(terms) }
                devices = plan
            }
            let own = devices?.extended?.reduced(pod) ?? pod
            let wish = Wish(pod: pod, constrained: PodVolumes.constrain(own, to: affinity), unbound, devices)
            decide(wish, item, &state)
        }
    }

    /// Whether a pod beside `pod` that has its node, or is about to be given one, uses a claim.
    private func isInUse(_ claim: String, by pod: JSON, _ state: State) -> Bool {
        cluster.pods.list(pod.namespace).contains { other in
            let facts = PodState(other)
            return other.uid != pod.uid && !facts.isFinished
                && (!facts.nodeName.isEmpty || state.assumed[other.uid] != nil)
                && PodVolumes.claimNames(other).contains(claim)
        }
    }

    /// What cannot be told keeps no pod from being tried: the claim's controller reports it.
    private func reach(ofClaim namespace: String, _ name: String) -> ClaimReach {
        guard let claim = cluster.volumeClaims.get(namespace, name),
            let storageClass = cluster.storageClasses.get("", VolumeMatch.className(claim))
        else { return .everywhere }
        let driver = storageClass["provisioner"].stringValue ?? ""
        do {
            return try ClaimReach(
                claim, storageClass: storageClass, volumes: cluster.volumes.list(),
                driver: try drivers.reach(of: driver))
        } catch {
            cluster.host.log.warning("the reach of a claim is unknown: \(error)", ["claim": .string(objectKey(claim))])
            return .everywhere
        }
    }

    private func decide(_ wanted: Wish, _ item: SchedulingQueue.Item, _ state: inout State) {
        let (pod, began) = (wanted.pod, monotonicNanoseconds())
        do {
            let input = try SchedulerInput.pod(pod)
            let wish = try resolved(spread(wanted.constrained, over: state.places.keys))
            guard let decision = try state.scheduler.schedule(input, uid: pod.uid, object: wish)
            else {
                // It was decided by a scheduler that does not know everything; once fed it decides again.
                return state.queue.putBack(item)
            }
            state.outage.ended()
            switch decision {
            case .place(let node):
                metrics.ended("Filter", "Success", since: began)
                place(wanted, on: node, item, &state)
                metrics.attempted(.scheduled, since: began)
                metrics.placed(attempts: item.attempts)
            case .refuse(let nodes, let refusals):
                // Where the volumes are, or can be, was among the pod's conditions.
                var always: ClusterChanges = wanted.unbound.isEmpty ? .node : [.node, .storage]
                if wanted.devices != nil { always.formUnion(.devices) }
                let helping = refusals.reduce(always) { $0.union(.helping($1.reason)) }
                let message = SchedulingMessage.text(nodes: nodes, refusals: refusals)
                metrics.ended("Filter", "Unschedulable", since: began)
                defer { metrics.attempted(.unschedulable, since: began) }
                if helping.contains(.podGone),
                    try preempt(wanted, reasons: refusals.map(\.reason), item, &state)
                {
                    record(pod, .warning, "FailedScheduling", message)
                    explain(pod, .unschedulable(message))
                } else {
                    refuse(pod, item, message, helping, &state)
                }
            }
        } catch let failure {
            metrics.attempted(.error, since: began)
            let error = PluginError(failure)
            if error.isRetryable {
                outageBegan(&state, error)
                waitForScheduler(item, error, &state)
            } else {
                // Nothing but a change of the pod itself, or another scheduler, can help.
                refuse(pod, item, "\(error)", [], &state)
            }
        }
    }

    /// The pod with the constraints of those that say nothing of spread.
    private func spread(_ pod: JSON, over keys: [String]) -> JSON {
        guard !keys.isEmpty, pod["spec"]["topologySpreadConstraints"].isEmpty else { return pod }
        let owner = ControllerReference(controlling: pod).flatMap { reference -> JSON? in
            let caches: [(ResourceType, ObjectCache)] = [
                (.replicaSets, cluster.replicaSets), (.statefulSets, cluster.statefulSets),
                (.replicationControllers, cluster.replicationControllers),
            ]
            return caches.first { $0.0.kind == reference.kind && $0.0.apiVersion == reference.apiVersion }
                .flatMap { type, cache in cache.get(pod.namespace, reference.name)?.typed(type) }
        }
        return DefaultSpread.applied(
            to: pod, services: cluster.services.list(pod.namespace), owner: owner, keys: keys)
    }

    /// Without a provider no pod can be tried; any other trouble may be this pod's alone.
    private func waitForScheduler(_ item: SchedulingQueue.Item, _ error: PluginError, _ state: inout State) {
        if error.code == HOSTD_ERROR_UNAVAILABLE {
            state.isPaused = true
            state.queue.putBack(item)
        } else {
            state.queue.retry(item)
            explainOutage(&state, now: monotonicNanoseconds())
        }
    }

    func refuse(
        _ pod: JSON, _ item: SchedulingQueue.Item, _ message: String, _ helping: ClusterChanges, _ state: inout State
    ) {
        state.queue.park(item, helping: helping)
        record(pod, .warning, "FailedScheduling", message)
        explain(pod, .unschedulable(message))
    }

    /// Tells the waiting pods that the scheduler does not answer, once that has lasted.
    func explainOutage(_ state: inout State, now: UInt64) {
        guard let reason = state.outage.reason(now: now) else { return }
        for item in state.queue.items where state.outage.mustTell(item.uid) {
            let (namespace, name) = splitKey(item.key)
            guard let pod = cluster.pods.get(namespace, name), pod.uid == item.uid else { continue }
            if explain(pod, .schedulerError(reason)) { record(pod, .warning, "FailedScheduling", reason) }
        }
    }

    /// Writes why a pod waits into its condition; false when it is there already.
    @discardableResult
    func explain(_ pod: JSON, _ reason: PendingReason) -> Bool {
        guard let patch = reason.patch(of: pod, now: .now()) else { return false }
        let log = cluster.host.log
        cluster.writer.send(
            "PATCH application/strategic-merge-patch+json",
            APIPath.object("v1", "pods", pod.namespace, pod.name, "status"), body: patch
        ) { result in
            if case .failure(let error) = result, !((error as? APIError)?.isNotFound ?? false) {
                log.warning("a pod's condition could not be written: \(error)", ["pod": .string(objectKey(pod))])
            }
        }
        return true
    }

    func place(_ wish: Wish, on node: String, _ item: SchedulingQueue.Item, _ state: inout State) {
        let (pod, unbound) = (wish.pod, wish.unbound)
        state.queue.remove(uid: pod.uid)
        state.assumed[pod.uid] = Assumed(
            pod: pod, node: node, item: item, awaitedClaims: unbound.isEmpty ? nil : [], devices: wish.devices)
        if let devices = wish.devices { state.heldDevices.hold(devices, for: pod, on: node) }
        if unbound.isEmpty { return bind(pod, to: node, item, wish.devices, &state) }
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

    /// Binds a pod once its claims have their devices.
    func bind(
        _ pod: JSON, to node: String, _ item: SchedulingQueue.Item, _ devices: DevicePlan?, _ state: inout State
    ) {
        guard let devices else { return bind(pod, to: node, item) }
        state.heldDevices.beginWriting(for: pod.uid)
        reserve(devices, for: pod, on: node) { [weak self] failure in
            guard let self else { return }
            if let failure {
                post(.bindingFailed(pod, item, message: failure))
            } else if devices.areAwaited(on: node) {
                post(.devicesReserved(pod))
            } else {
                bind(pod, to: node, item)
            }
        }
    }

    func bind(_ pod: JSON, to node: String, _ item: SchedulingQueue.Item) {
        let body: JSON = [
            "apiVersion": "v1", "kind": "Binding",
            "metadata": ["name": .string(pod.name), "namespace": .string(pod.namespace), "uid": .string(pod.uid)],
            "target": ["apiVersion": "v1", "kind": "Node", "name": .string(node)],
        ]
        let path = APIPath.object("v1", "pods", pod.namespace, pod.name, "binding")
        let began = monotonicNanoseconds()
        cluster.writer.send("POST", path, body: body) { [weak self, metrics] result in
            if case .success = result {
                metrics.ended("Bind", "Success", since: began)
            } else {
                metrics.ended("Bind", "Error", since: began)
            }
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

    func record(_ pod: JSON, _ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        cluster.recorder.record(
            pod.typed(.pods), kind, reason: reason, message: message, component: Self.schedulerName)
    }
}
