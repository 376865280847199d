import Objects
import PluginKit

/// Keeps the numbered pods of each StatefulSet, in order, with their own claims.
final class StatefulSetController: Controller {
    private let cluster: Cluster
    private let pods: PodManager
    private let history: ControllerHistory
    private let backoff = FailedPodBackoff()
    private let queue: ControllerQueue

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        pods = PodManager(cluster, component: "statefulset-controller", owner: .statefulSets)
        history = ControllerHistory(cluster, owner: .statefulSets)
        let box = Unowned<StatefulSetController>()
        queue = try cluster.queue("statefulset") { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.statefulSets.onObject { [queue] in queue.add(objectKey($0)) }
        pods.onPod(of: cluster.statefulSets) { [queue] in queue.add($0) }
        cluster.controllerRevisions.onEvent { [queue] event in
            guard case .deleted(let revision) = event, let owner = ControllerReference(controlling: revision),
                owner.kind == "StatefulSet"
            else { return }
            queue.add("\(revision.namespace)/\(owner.name)")
        }
        // A pod that has not started may wait for a claim that is gone.
        cluster.volumeClaims.onEvent { [queue] event in
            guard case .deleted(let claim) = event else { return }
            for set in cluster.statefulSets.list(claim.namespace)
            where StatefulSetPlan.ordinal(ofClaim: claim.name, of: set) != nil {
                queue.add(objectKey(set))
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
        let owned = try pods.claimed(by: set, key) { StatefulSetPlan.ordinal($0, of: set) != nil }
        let plan = StatefulSetPlan(set, pods: owned, labels: revisions.labels, now: now)
        try retainClaims(set, owned)
        let failed = plan.delete.filter { PodState($0).phase == "Failed" }
        let (due, after) = backoff.due(failed, now: now) { "\(set.uid)/\($0.name)" }
        try pods.delete(plan.delete.filter { PodState($0).phase != "Failed" } + due, of: set, key)
        for ordinal in StatefulSetPlan.pending(set, pods: owned) + plan.create { try createClaims(set, ordinal) }
        let failure = pods.create(plan.create.map { pod(set, $0, revisions) }, for: set, key)
        let status = StatefulSetPlan.status(set, pods: owned, revisions: revisions, now: now)
        try cluster.writer.updateStatus(.statefulSets, set, status: status)
        if let failure { throw failure }
        return .afterSeconds([plan.recheckAfter, after].compactMap { $0 }.min())
    }

    /// Below the partition a pod is made from the revision that the set ran before.
    private func pod(_ set: JSON, _ ordinal: Int64, _ revisions: ControllerHistory.Revisions) -> JSON {
        let current = set["status"]["currentRevision"].stringValue ?? revisions.update
        let isOld = ordinal < StatefulSetPlan.partition(set) && current != revisions.update
        if isOld, let revision = revisions.all.first(where: { $0.name == current }) {
            var template = revision["data"]["spec"]["template"]
            template.removeValue(forKey: "$patch")
            return StatefulSetPlan.pod(
                set, ordinal: ordinal, template: template, label: history.label(of: revision, set))
        }
        return StatefulSetPlan.pod(set, ordinal: ordinal, template: set["spec"]["template"], label: revisions.label)
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

    /// Gives the claims of existing pods the owners with which they are to go, before any of these pods goes.
    private func retainClaims(_ set: JSON, _ owned: [JSON]) throws {
        let templates = set["spec"]["volumeClaimTemplates"].arrayValue
        if templates.isEmpty { return }
        let retention = ClaimRetention(set)
        let wanted = StatefulSetPlan.ordinals(set)
        for pod in owned {
            guard let ordinal = StatefulSetPlan.ordinal(pod, of: set) else { continue }
            for template in templates {
                let name = StatefulSetPlan.claimName(template, set: set, ordinal: ordinal)
                guard let claim = cluster.volumeClaims.get(set.namespace, name),
                    let owners = retention.owners(of: claim, pod: pod, isCondemned: !wanted.contains(ordinal))
                else { continue }
                try cluster.writer.patch(
                    .volumeClaims, claim,
                    [
                        "metadata": [
                            "resourceVersion": .string(claim.resourceVersion), "ownerReferences": .array(owners),
                        ]
                    ])
            }
        }
    }
}
