import Objects
import PluginKit

/// Keeps the pods of each ReplicaSet, or of each ReplicationController, at the number that it asks for.
final class ReplicaSetController: Controller {
    private let cluster: Cluster
    private let type: ResourceType
    private let sets: ObjectCache
    private let pods: PodManager
    private let queue: ControllerQueue

    /// - Parameters:
    ///   - sets: the cache of the kind that this controller keeps.
    ///   - name: of its queue.
    ///   - component: the source of its events.
    init(_ cluster: Cluster, _ sets: ObjectCache, name: String, component: String) throws {
        self.cluster = cluster
        self.sets = sets
        type = sets.type
        pods = PodManager(cluster, component: component, owner: sets.type)
        let box = Unowned<ReplicaSetController>()
        queue = try cluster.queue(name, workers: 4) { try box.value?.sync($0) ?? .done }
        box.value = self
        sets.onObject { [queue] in queue.add(objectKey($0)) }
        pods.onPod(of: sets) { [queue] in queue.add($0) }
    }

    static func replicaSets(_ cluster: Cluster) throws -> ReplicaSetController {
        try ReplicaSetController(
            cluster, cluster.replicaSets, name: "replicaset", component: "replicaset-controller")
    }

    static func replicationControllers(_ cluster: Cluster) throws -> ReplicaSetController {
        try ReplicaSetController(
            cluster, cluster.replicationControllers, name: "replicationcontroller",
            component: "replication-controller")
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func sync(_ key: String) throws -> Requeue {
        guard let set = sets.get(key: key) else {
            pods.forget(key)
            return .done
        }
        // What was written last must be seen before anything is counted; its event brings the key back.
        guard pods.isSettled(key) else { return .after(nanoseconds: 1_000_000_000) }
        let owned = try pods.claimed(by: set, key) { !PodState($0).isFinished }
        let now = Timestamp.now()
        let plan = ReplicaSetPlan(set, pods: owned, related: related(to: set), now: now)
        let owner = ControllerReference(type, set)
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
            type, set,
            status: ReplicaSetPlan.status(
                set, pods: owned, failure: shown, countsTerminating: type == .replicaSets, now: now))
        if let failure { throw failure }
        return .afterSeconds(plan.recheckAfter)
    }

    private func related(to set: JSON) -> [JSON] {
        let pods = cluster.pods.list(set.namespace)
        guard let owner = ControllerReference(controlling: set) else { return pods }
        let siblings = sets.list(set.namespace).filter { ControllerReference(controlling: $0)?.uid == owner.uid }
        let uids = Set(siblings.map(\.uid))
        return pods.filter { pod in ControllerReference(controlling: pod).map { uids.contains($0.uid) } ?? false }
    }
}
