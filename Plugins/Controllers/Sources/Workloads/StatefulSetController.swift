import Objects
import PluginKit

/// Keeps the numbered pods of each StatefulSet, in order, with their own claims.
final class StatefulSetController: Controller {
    private let cluster: Cluster
    private let pods: PodManager
    private let history: ControllerHistory
    private let queue: ControllerQueue

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        pods = PodManager(cluster, component: "statefulset-controller", owner: .statefulSets)
        history = ControllerHistory(cluster, owner: .statefulSets)
        let box = Unowned<StatefulSetController>()
        queue = try cluster.queue("statefulset") { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.statefulSets.onObject { [queue] in queue.add(objectKey($0)) }
        cluster.pods.onObject { [queue] pod in
            if let owner = ControllerReference(controlling: pod), owner.kind == "StatefulSet" {
                queue.add("\(pod.namespace)/\(owner.name)")
            }
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func sync(_ key: String) throws -> Requeue {
        guard let set = cluster.statefulSets.get(key: key) else {
            pods.forget(key)
            return .done
        }
        if set.deletionTimestamp != nil { return .done }
        guard pods.isSettled(key) else { return .after(nanoseconds: 1_000_000_000) }
        let revisions = try history.sync(set)
        let now = Timestamp.now()
        let owned = pods.owned(by: set)
        let plan = StatefulSetPlan(set, pods: owned, hash: revisions.hash, now: now)
        try pods.delete(plan.delete, of: set, key)
        for ordinal in plan.create { try createClaims(set, ordinal) }
        let failure = pods.create(plan.create.map { pod(set, $0, revisions) }, for: set, key)
        let status = StatefulSetPlan.status(set, pods: owned, revisions: revisions, now: now)
        try cluster.writer.updateStatus(.statefulSets, set, status: status)
        if let failure { throw failure }
        return .afterSeconds(plan.recheckAfter)
    }

    /// Below the partition a pod is made from the revision that the set ran before.
    private func pod(_ set: JSON, _ ordinal: Int64, _ revisions: ControllerHistory.Revisions) -> JSON {
        let current = set["status"]["currentRevision"].stringValue ?? revisions.update
        let isOld = ordinal < StatefulSetPlan.partition(set) && current != revisions.update
        if isOld, let revision = revisions.all.first(where: { $0.name == current }) {
            var template = revision["data"]["spec"]["template"]
            template.removeValue(forKey: "$patch")
            let hash = String(current.dropFirst(set.name.count + 1))
            return StatefulSetPlan.pod(set, ordinal: ordinal, template: template, hash: hash)
        }
        return StatefulSetPlan.pod(set, ordinal: ordinal, template: set["spec"]["template"], hash: revisions.hash)
    }

    private func createClaims(_ set: JSON, _ ordinal: Int64) throws {
        for claim in StatefulSetPlan.claims(set, ordinal: ordinal)
        where cluster.volumeClaims.get(claim.namespace, claim.name) == nil {
            do {
                try cluster.writer.create(.volumeClaims, claim)
                pods.record(
                    set, .normal, "SuccessfulCreate",
                    "create Claim \(claim.name) Pod \(set.name)-\(ordinal) in StatefulSet \(set.name) success")
            } catch let error as APIError where error.isAlreadyExists {
                // The cache has not seen it yet.
            }
        }
    }
}
