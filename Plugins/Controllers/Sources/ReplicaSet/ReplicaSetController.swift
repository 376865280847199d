import Objects
import PluginKit

/// Keeps the pods of each ReplicaSet at the number that it asks for.
final class ReplicaSetController: Controller {
    private let cluster: Cluster
    private let barrier = WriteBarrier()
    private let queue: ControllerQueue

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        let box = Unowned<ReplicaSetController>()
        queue = try ControllerQueue(cluster.host, name: "replicaset", workers: 4) { try box.value?.sync($0) ?? .done }
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
            if let selector = try? LabelSelector(object: set["spec"]["selector"]), selector.matches(labels: pod.labels) {
                queue.add(objectKey(set))
            }
        }
    }

    private func sync(_ key: String) throws -> Requeue {
        guard let set = cluster.replicaSets.get(key: key) else {
            barrier.forget(key)
            return .done
        }
        // What was written last must be seen before anything is counted; its event brings the key back.
        guard barrier.isSatisfied(key, cluster.pods) else { return .after(nanoseconds: 1_000_000_000) }
        let selector = try LabelSelector(object: set["spec"]["selector"])
        let all = cluster.pods.list(set.namespace)
        var claim = Claim(all.filter { !PodState($0).isFinished }, owner: set, selector: selector)
        try settle(&claim, of: set)
        let now = Timestamp.now()
        let plan = ReplicaSetPlan(set, pods: claim.owned, related: related(to: set, in: all), now: now)
        var failure: (reason: String, message: String)?
        if plan.create > 0 { failure = create(plan.create, for: set, key) }
        if !plan.delete.isEmpty { failure = delete(plan.delete, of: set, key) }
        let status = ReplicaSetPlan.status(set, pods: claim.owned, failure: failure, now: now)
        try cluster.writer.updateStatus(.replicaSets, set, status: status)
        if let failure { throw PluginError.unavailable("\(failure.reason): \(failure.message)") }
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

    /// Creates pods in growing batches and stops at the first batch that fails.
    private func create(_ count: Int, for set: JSON, _ key: String) -> (reason: String, message: String)? {
        let owner = ControllerReference(.replicaSets, set)
        let pod = ReplicaSetPlan.pod(from: set["spec"]["template"], owner: owner, namespace: set.namespace)
        for size in ReplicaSetPlan.batches(of: count) {
            var failure: (reason: String, message: String)?
            for result in cluster.writer.createAll(.pods, Array(repeating: pod, count: size)) {
                switch result {
                case .success(let created):
                    barrier.wrote(created, for: key)
                    record(set, .normal, "SuccessfulCreate", "Created pod: \(created.name)")
                case .failure(let error):
                    // A namespace that is being deleted takes no pods: nothing to tell, nothing to try.
                    if let error = error as? APIError, error.isNamespaceTerminating { return nil }
                    failure = ("FailedCreate", "\(error)")
                    record(set, .warning, "FailedCreate", "Error creating: \(error)")
                }
            }
            if failure != nil { return failure }
        }
        return nil
    }

    private func delete(_ pods: [JSON], of set: JSON, _ key: String) -> (reason: String, message: String)? {
        let requests = pods.map { pod -> (method: String, path: String, body: JSON) in
            ("DELETE", APIPath.object("v1", "pods", pod.namespace, pod.name), DeleteOptions.of(pod))
        }
        var failure: (reason: String, message: String)?
        for (pod, result) in zip(pods, cluster.writer.all(requests)) {
            switch result {
            case .success:
                barrier.deleted(pod, for: key)
                record(set, .normal, "SuccessfulDelete", "Deleted pod: \(pod.name)")
            case .failure(let error):
                if let error = error as? APIError, error.isNotFound || error.isConflict {
                    barrier.deleted(pod, for: key)
                    continue
                }
                failure = ("FailedDelete", "\(error)")
                record(set, .warning, "FailedDelete", "Error deleting: \(error)")
            }
        }
        return failure
    }

    private func record(_ set: JSON, _ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        let subject = set.typed(.replicaSets)
        cluster.recorder.record(subject, kind, reason: reason, message: message, component: "replicaset-controller")
    }
}
