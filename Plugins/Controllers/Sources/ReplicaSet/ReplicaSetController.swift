import Objects
import PluginKit

/// Keeps the pods of each ReplicaSet at the number that it asks for.
final class ReplicaSetController: Controller {
    private let cluster: Cluster
    private let pods: PodManager
    private let queue: ControllerQueue

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        pods = PodManager(cluster, component: "replicaset-controller", owner: .replicaSets)
        let box = Unowned<ReplicaSetController>()
        queue = try cluster.queue("replicaset", workers: 4) { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.replicaSets.onObject { [queue] in queue.add(objectKey($0)) }
        cluster.pods.onObject { [unowned self] in podChanged($0) }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func podChanged(_ pod: JSON) {
        if let owner = ControllerReference(controlling: pod) {
            if owner.kind == "ReplicaSet" { queue.add("\(pod.namespace)/\(owner.name)") }
            return
        }
        // An orphan may be anyone's: ask those whose selector matches.
        for set in cluster.replicaSets.list(pod.namespace) {
            if set.selects(pod.labels) {
                queue.add(objectKey(set))
            }
        }
    }

    private func sync(_ key: String) throws -> Requeue {
        guard let set = cluster.replicaSets.get(key: key) else {
            pods.forget(key)
            return .done
        }
        // What was written last must be seen before anything is counted; its event brings the key back.
        guard pods.isSettled(key) else { return .after(nanoseconds: 1_000_000_000) }
        let selector = try LabelSelector(object: set["spec"]["selector"])
        let all = cluster.pods.list(set.namespace)
        var claim = Claim(all.filter { !PodState($0).isFinished }, owner: set, selector: selector)
        try settle(&claim, of: set)
        let now = Timestamp.now()
        let plan = ReplicaSetPlan(set, pods: claim.owned, related: related(to: set, in: all), now: now)
        let owner = ControllerReference(.replicaSets, set)
        let pod = ReplicaSetPlan.pod(from: set["spec"]["template"], owner: owner, namespace: set.namespace)
        var failure = pods.create(Array(repeating: pod, count: plan.create), for: set, key)
        var reason = "FailedCreate"
        do {
            try pods.delete(plan.delete, of: set, key)
        } catch {
            failure = error
            reason = "FailedDelete"
        }
        let shown = failure.map { (reason: reason, message: "\($0)") }
        try cluster.writer.updateStatus(
            .replicaSets, set, status: ReplicaSetPlan.status(set, pods: claim.owned, failure: shown, now: now))
        if let failure { throw failure }
        return .afterSeconds(plan.recheckAfter)
    }

    /// Adopts and releases pods.
    private func settle(_ claim: inout Claim, of set: JSON) throws {
        let owner = ControllerReference(.replicaSets, set)
        for pod in claim.adopt {
            claim.owned.append(try cluster.writer.patch(.pods, pod, Claim.adoption(of: pod, by: owner)))
        }
        for pod in claim.release {
            do {
                try cluster.writer.patch(.pods, pod, Claim.releasing(pod, from: owner.uid))
            } catch let error as APIError where error.isNotFound {
                // The pod is gone, and with it the reference.
            }
        }
    }

    private func related(to set: JSON, in pods: [JSON]) -> [JSON] {
        guard let owner = ControllerReference(controlling: set) else { return pods }
        let siblings = cluster.replicaSets.list(set.namespace).filter {
            ControllerReference(controlling: $0)?.uid == owner.uid
        }
        let uids = Set(siblings.map(\.uid))
        return pods.filter { pod in ControllerReference(controlling: pod).map { uids.contains($0.uid) } ?? false }
    }
}
