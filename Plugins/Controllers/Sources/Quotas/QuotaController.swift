import Objects
import PluginKit
import Quotas
import Synchronization

/// Keeps what ResourceQuotas say of their use. What is added, the API charges in the transaction that writes it; here is found
/// what is gone, has ended or asks for less, and what was there before the quota.
///
/// A count is of one revision of the store, and is written only if the quota was not charged since: so it never takes back
/// what a write has just used.
final class QuotaController: Controller {
    private let cluster: Cluster
    private let queue: ControllerQueue
    /// How many quotas a namespace has.
    private let namespaces = Mutex<[String: Int]>([:])

    init(_ cluster: Cluster, _ observer: StoreObserver) throws {
        self.cluster = cluster
        let counter = QuotaCounter(store: cluster.store, writer: cluster.writer)
        queue = try cluster.queue("quotas", workers: 1) { try counter.sync($0) }
        cluster.resourceQuotas.onEvent { [weak self] in self?.quotaChanged($0) }
        observer.onEvent { [weak self] event in
            guard let namespace = event.namespaceOfEnd else { return }
            self?.changed(namespace)
        }
        cluster.pods.onEvent { [weak self] event in
            guard case .updated(let old, let new) = event else { return }
            let hasEnded = old["status"]["phase"] != new["status"]["phase"]
            if hasEnded || (old.deletionTimestamp == nil) != (new.deletionTimestamp == nil)
                || old["spec"] != new["spec"]
            {
                self?.changed(new.namespace)
            }
        }
        cluster.services.onEvent { [weak self] event in
            if case .updated(let old, let new) = event, old["spec"] != new["spec"] { self?.changed(new.namespace) }
        }
        cluster.volumeClaims.onEvent { [weak self] event in
            guard case .updated(let old, let new) = event else { return }
            let counted = ["allocatedResources", "currentVolumeAttributesClassName", "modifyVolumeStatus"]
            if old["spec"] != new["spec"] || counted.contains(where: { old["status"][$0] != new["status"][$0] }) {
                self?.changed(new.namespace)
            }
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func quotaChanged(_ event: InformerEvent) {
        switch event {
        case .added(let quota):
            namespaces.withLock { $0[quota.namespace, default: 0] += 1 }
            queue.add(quota.namespace)
        case .updated(let old, let new):
            if old["spec"] != new["spec"] || !QuotaStatus.isCounted(new) { queue.add(new.namespace) }
        case .deleted(let quota):
            namespaces.withLock { counts in
                let left = (counts[quota.namespace] ?? 1) - 1
                counts[quota.namespace] = left > 0 ? left : nil
            }
        case .synchronized: break
        }
    }

    private func changed(_ namespace: String) {
        if namespaces.withLock({ $0[namespace] != nil }) { queue.add(namespace) }
    }
}

/// Counts a namespace and writes what has changed.
private struct QuotaCounter: Sendable {
    let store: StoreClient
    let writer: Writer

    func sync(_ namespace: String) throws -> Requeue {
        let page = try store.list(prefix: "resourcequotas/\(namespace)/")
        let now = Timestamp.now()
        var again: Int64?
        var known: [String: [JSON]] = [:]
        for record in page.records {
            let quota = try record.object()
            var status = QuotaStatus(of: quota)
            for resource in status.resources {
                guard let evaluator = QuotaEvaluator(resource: resource) else { continue }
                let objects =
                    try known[resource] ?? all("\(resource)/\(namespace)/", at: page.revision)
                known[resource] = objects
                for object in objects { status.count(object, evaluator, now: now) }
                guard resource == "pods" else { continue }
                let ends = objects.compactMap { QuotaEvaluator.secondsUntilOver($0, now: now) }
                again = ([again].compactMap { $0 } + ends).min()
            }
            let isNew = ResourceList(quota["status"]["hard"]) != status.hard
            guard isNew || ResourceList(quota["status"]["used"]) != status.used else { continue }
            try writer.updateStatus(.resourceQuotas, quota, status: status.json)
            // Until now nothing was charged to it: what came in between is found by looking once more.
            if isNew { again = min(again ?? 1, 1) }
        }
        return .afterSeconds(again)
    }

    private func all(_ prefix: String, at revision: UInt64) throws -> [JSON] {
        var objects: [JSON] = []
        var after = ""
        while true {
            let page = try store.list(
                prefix: prefix, revision: revision, limit: Self.pageSize, after: after)
            objects += try page.records.map { try $0.object() }
            guard page.hasMore, let last = page.records.last else { return objects }
            after = last.key
        }
    }

    private static let pageSize: UInt64 = 500
}
