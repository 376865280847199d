import Objects
import PluginKit

/// Runs one pod of each DaemonSet on every node that fits.
final class DaemonSetController: Controller {
    private let cluster: Cluster
    private let pods: PodManager
    private let history: ControllerHistory
    private let backoff = FailedPodBackoff()
    private let queue: ControllerQueue

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        pods = PodManager(cluster, component: "daemonset-controller", owner: .daemonSets)
        history = ControllerHistory(cluster, owner: .daemonSets)
        let box = Unowned<DaemonSetController>()
        queue = try cluster.queue("daemonset") { try box.value?.sync($0) ?? .done }
        box.value = self
        cluster.daemonSets.onObject { [queue] in queue.add(objectKey($0)) }
        pods.onPod(of: cluster.daemonSets) { [queue] in queue.add($0) }
        cluster.controllerRevisions.onEvent { [queue] event in
            guard case .deleted(let revision) = event, let owner = ControllerReference(controlling: revision),
                owner.kind == "DaemonSet"
            else { return }
            queue.add("\(revision.namespace)/\(owner.name)")
        }
        cluster.nodes.onEvent { [queue] event in
            if case .updated(let old, let new) = event, old.labels == new.labels, old["spec"] == new["spec"] { return }
            for set in cluster.daemonSets.list() { queue.add(objectKey(set), priority: .background) }
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func sync(_ key: String) throws -> Requeue {
        guard let set = cluster.daemonSets.get(key: key) else {
            pods.forget(key)
            return .done
        }
        if set.deletionTimestamp != nil { return .done }
        guard pods.isSettled(key) else { return .after(nanoseconds: 1_000_000_000) }
        let revisions = try history.sync(set)
        let now = Timestamp.now()
        let owned = try pods.claimed(by: set, key)
        let nodes = cluster.nodes.list().sorted { $0.name < $1.name }
        let changes = DaemonPlan.changes(set, nodes: nodes, pods: owned, labels: revisions.labels, now: now)
        let (due, after) = backoff.due(changes.failed, now: now) { "\(set.uid)/\(DaemonPlan.node(of: $0))" }
        let waiting = Set(changes.failed.map(\.uid)).subtracting(due.map(\.uid))
        for pod in due {
            pods.record(
                set, .warning, "FailedDaemonPod",
                "Found failed daemon pod \(objectKey(pod)) on node \(DaemonPlan.node(of: pod)), will try to kill it")
        }
        try pods.delete(changes.delete.filter { !waiting.contains($0.uid) }, of: set, key)
        let failure = pods.create(
            changes.create.map { DaemonPlan.pod(set, node: $0, label: revisions.label) }, for: set, key)
        let status = DaemonPlan.status(set, nodes: nodes, pods: owned, labels: revisions.labels, now: now)
        try cluster.writer.updateStatus(.daemonSets, set, status: status)
        if let failure { throw failure }
        let ready = DaemonPlan.recheck(set, pods: owned, now: now)
        return .afterSeconds([ready, after].compactMap { $0 }.min())
    }
}
