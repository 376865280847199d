import Objects
import PluginKit

/// Room for pods that matter more: pods of lower priority are asked to end, and when they have, the pod takes their place.
///
/// The scheduler is told right away that they are gone and decides for the pod, so that nobody else is given what they free;
/// the pod is bound when the last of them has ended.
extension SchedulingController {
    struct Preemption {
        var wish: Wish
        var node: String
        var item: SchedulingQueue.Item
        /// Uids of the pods that have not ended yet.
        var victims: Set<String>

        var pod: JSON { wish.pod }
    }

    /// How many nodes the scheduler is asked about for one pod.
    private static let attempts = 10

    /// Makes room for a pod that no node can take as it is; false when none can be made.
    /// - Parameter reasons: the scheduler's, for refusing it.
    func preempt(
        _ wish: Wish, reasons: [String], _ item: SchedulingQueue.Item, _ state: inout State
    ) throws -> Bool {
        let (pod, constrained) = (wish.pod, wish.constrained)
        let isAboveOthers =
            state.bound.hasAny(below: item.priority)
            || state.preemptions.values.contains { $0.item.priority < item.priority }
        guard PreemptionPlan.mayPreempt(pod), isAboveOthers else { return false }
        let kind = HopelessPreemptions.kind(of: constrained)
        if state.hopeless.contains(kind) { return false }
        let began = monotonicNanoseconds()
        let plan = try PreemptionPlan(
            for: pod, nodes: cluster.nodes.list(), placed: { try occupants(of: $0, &state) },
            budgets: cluster.disruptionBudgets.list(), isKeptAway: PreemptionPlan.isKeptAway(reasons))
        var candidates = plan.candidates
        for trial in plan.trials.prefix(Self.attempts) {
            if let candidate = try run(trial, pod, constrained, &state) { candidates.append(candidate) }
        }
        candidates.sort(by: PreemptionPlan.isBetter)
        for candidate in candidates.prefix(Self.attempts)
        where try takes(candidate, pod, constrained, &state) {
            begin(candidate, wish, item, &state)
            metrics.preempted(victims: candidate.victims.count)
            metrics.ended("PostFilter", "Success", since: began)
            return true
        }
        state.hopeless.insert(kind)
        metrics.preempted(victims: nil)
        metrics.ended("PostFilter", "Unschedulable", since: began)
        return false
    }

    /// Without pods that are about to go for another: what they free is taken already.
    private func occupants(of node: String, _ state: inout State) throws -> [PreemptionPlan.Occupant] {
        var occupants = try state.bound.pods(on: node)
        if !state.victims.isEmpty { occupants.removeAll { state.victims.contains($0.pod.uid) } }
        for assumed in state.assumed.values where assumed.node == node && !state.bound.contains(assumed.pod.uid) {
            occupants.append(
                PreemptionPlan.Occupant(
                    pod: assumed.pod, priority: PreemptionPlan.priority(of: assumed.pod), use: try NodeUse(assumed.pod))
            )
        }
        return occupants
    }

    /// Finds out of the scheduler which pods of a node keep this one away. It knows afterwards what it knew before.
    private func run(
        _ trial: PreemptionPlan.Trial, _ pod: JSON, _ constrained: JSON, _ state: inout State
    ) throws -> PreemptionPlan.Candidate? {
        var scheduler = state.scheduler
        defer { state.scheduler = scheduler }
        let found = try trial.candidate(
            remove: { gone in try scheduler.tell { try $0.podRemove(gone.uid) } },
            putBack: { try tell(pod: $0, on: trial.node, &scheduler) },
            fits: { try fits(on: trial.node, pod, constrained, &scheduler) })
        try scheduler.tell { try $0.podRemove(pod.uid) }
        return found
    }

    /// Whether the scheduler places the pod on this node; when it does, the pod counts there.
    private func fits(
        on node: String, _ pod: JSON, _ constrained: JSON, _ scheduler: inout CountedScheduler
    ) throws -> Bool {
        let here: JSON = ["key": "metadata.name", "operator": "In", "values": .array([.string(node)])]
        let decision = try scheduler.schedule(
            try SchedulerInput.pod(pod), uid: pod.uid,
            object: try resolved(PodVolumes.constrain(constrained, to: [[["matchFields": .array([here])]]])))
        return decision == .place(node: node)
    }

    /// Asks the scheduler whether the pod fits without the victims; when it does, it counts there from now on.
    private func takes(
        _ candidate: PreemptionPlan.Candidate, _ pod: JSON, _ constrained: JSON, _ state: inout State
    ) throws -> Bool {
        for victim in candidate.victims { try state.scheduler.tell { try $0.podRemove(victim.uid) } }
        if try fits(on: candidate.node, pod, constrained, &state.scheduler) { return true }
        for victim in candidate.victims { try tell(pod: victim, on: candidate.node, &state.scheduler) }
        return false
    }

    private func begin(
        _ candidate: PreemptionPlan.Candidate, _ wish: Wish, _ item: SchedulingQueue.Item, _ state: inout State
    ) {
        let pod = wish.pod
        var leaving: [JSON] = []
        var victims: Set<String> = []
        for victim in candidate.victims {
            if let awaited = displace(victim, &state) {
                victims.formUnion(awaited)
            } else {
                leaving.append(victim)
                victims.insert(victim.uid)
            }
        }
        state.hopeless.forget()
        state.queue.remove(uid: pod.uid)
        state.assumed[pod.uid] = Assumed(
            pod: pod, node: candidate.node, item: item, awaitedClaims: nil, devices: wish.devices)
        if let devices = wish.devices { state.heldDevices.hold(devices, for: pod, on: candidate.node) }
        state.victims.formUnion(victims)
        state.preemptions[pod.uid] = Preemption(
            wish: wish, node: candidate.node, item: item, victims: victims)
        nominate(pod, .string(candidate.node))
        for victim in leaving { end(victim, for: pod, on: candidate.node) }
    }

    /// Takes the place away from a pod that waits for others to end. It stays, and is tried again.
    /// - Returns: the uids of the pods that it waited for, which end for the one that matters more; nil when it has its node.
    private func displace(_ pod: JSON, _ state: inout State) -> Set<String>? {
        guard let preemption = state.preemptions.removeValue(forKey: pod.uid) else { return nil }
        state.assumed[pod.uid] = nil
        state.heldDevices.release(pod: pod.uid, isOutcome: true)
        state.queue.retry(preemption.item)
        nominate(pod, .null)
        return preemption.victims
    }

    private func nominate(_ pod: JSON, _ node: JSON) {
        cluster.writer.send(
            "PATCH application/merge-patch+json", APIPath.object("v1", "pods", pod.namespace, pod.name, "status"),
            body: ["metadata": ["uid": .string(pod.uid)], "status": ["nominatedNodeName": node]]
        ) { [weak self] result in
            guard case .failure(let error) = result, (error as? APIError)?.isNotFound != true else { return }
            self?.cluster.host.log.info("a pod's nomination could not be written: \(error)")
        }
    }

    /// Says why a pod is about to go, and deletes it.
    private func end(_ victim: JSON, for pod: JSON, on node: String) {
        record(
            victim, .normal, "Preempted", "Preempted by pod \(pod.uid) on node \(node)")
        let condition: JSON = [
            "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
            "message": "default-scheduler: preempting to accommodate a higher priority pod",
            "lastTransitionTime": .string(Timestamp.now().formatted(fraction: .none)),
        ]
        cluster.writer.send(
            "PATCH application/strategic-merge-patch+json",
            APIPath.object("v1", "pods", victim.namespace, victim.name, "status"),
            body: ["metadata": ["uid": .string(victim.uid)], "status": ["conditions": .array([condition])]]
        ) { [weak self] _ in
            // Whether it could be said or not, the pod goes.
            self?.cluster.writer.send(
                "DELETE", APIPath.object("v1", "pods", victim.namespace, victim.name), body: DeleteOptions.of(victim)
            ) { [weak self] result in
                guard case .failure(let error) = result else { return }
                if let error = error as? APIError, error.isNotFound || error.isConflict { return }
                let message = "preempting pod \(objectKey(victim)) failed: \(error)"
                self?.post(.preemptionFailed(victim: victim.uid, message: message))
            }
        }
    }

    /// A pod has ended, or is gone: whoever waits for it alone has its place now.
    func victimEnded(_ uid: String, _ state: inout State) {
        guard state.victims.remove(uid) != nil else { return }
        for (waiting, var preemption) in state.preemptions where preemption.victims.remove(uid) != nil {
            guard preemption.victims.isEmpty else {
                state.preemptions[waiting] = preemption
                continue
            }
            state.preemptions[waiting] = nil
            place(preemption.wish, on: preemption.node, preemption.item, &state)
        }
    }

    /// The pod that others go for is gone or given up: those that are still there count again.
    func abandonPreemption(by uid: String, _ state: inout State) throws {
        guard let preemption = state.preemptions.removeValue(forKey: uid) else { return }
        state.victims.subtract(preemption.victims)
        state.hopeless.forget()
        guard state.scheduler.isFed else { return }
        for pod in cluster.pods.list() where preemption.victims.contains(pod.uid) && !PodState(pod).isFinished {
            try tell(pod: pod, on: preemption.node, &state.scheduler)
        }
    }
}
