import Objects
import PluginKit
import Synchronization

/// Deletes the oldest of the pods that have ended when there are too many of them: whoever made them may never look at them
/// again.
final class FinishedPods: Controller {
    /// How many may stay, as in Kubernetes.
    static let limit = 12_500
    private static let key = "all"

    private let cluster: Cluster
    private let queue: ControllerQueue
    /// Uids of the pods that have ended.
    private let finished = Mutex<Set<String>>([])

    init(_ cluster: Cluster) throws {
        self.cluster = cluster
        let box = Unowned<FinishedPods>()
        queue = try cluster.queue("finished-pods", workers: 1) { _ in try box.value?.sync() ?? .done }
        box.value = self
        cluster.pods.onEvent { [unowned self] event in
            switch event {
            case .added(let pod): note(pod)
            case .updated(let old, let new):
                if old.uid != new.uid { forget(old) }
                note(new)
            case .deleted(let pod): forget(pod)
            case .synchronized: break
            }
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func note(_ pod: JSON) {
        guard PodState(pod).isFinished else { return }
        let count = finished.withLock { finished -> Int in
            finished.insert(pod.uid)
            return finished.count
        }
        if count > Self.limit { queue.add(Self.key) }
    }

    private func forget(_ pod: JSON) { finished.withLock { _ = $0.remove(pod.uid) } }

    private func sync() throws -> Requeue {
        for pod in Self.surplus(cluster.pods.list(), limit: Self.limit) {
            try cluster.writer.delete(.pods, pod, gracePeriodSeconds: 0)
        }
        return .done
    }

    /// The oldest of the pods that have ended, beyond so many of them.
    static func surplus(_ pods: [JSON], limit: Int) -> [JSON] {
        let ended = pods.filter { PodState($0).isFinished && !PodState($0).isTerminating }
        guard ended.count > limit else { return [] }
        let oldest = ended.sorted { ($0.creationTimestamp ?? "", $0.name) < ($1.creationTimestamp ?? "", $1.name) }
        return Array(oldest.prefix(ended.count - limit))
    }
}
