import Objects
import PluginKit
import Synchronization

/// Deletes what its owners left behind, and carries foreground deletion and orphaning through.
final class GarbageCollector: Controller {
    private let cluster: Cluster
    private let graph = Mutex(OwnershipGraph())
    private let queue: ControllerQueue

    init(_ cluster: Cluster, _ observer: StoreObserver) throws {
        self.cluster = cluster
        let box = Unowned<GarbageCollector>()
        queue = try cluster.queue("garbage", workers: 4) { try box.value?.collect($0) ?? .done }
        box.value = self
        observer.onEvent { [unowned self] in handle($0) }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func handle(_ event: StoreObserver.Event) {
        let affected = graph.withLock { graph -> Set<String> in
            switch event {
            case .put(let head):
                // Events neither own nor are owned, and there are many.
                head.storeName == "events" || head.storeName.hasPrefix("events.") ? [] : graph.put(head)
            case .gone(let key): graph.remove(key: key)
            }
        }
        for uid in affected { queue.add(uid) }
    }

    private func collect(_ uid: String) throws -> Requeue {
        let action = graph.withLock { $0.action(for: uid) }
        do {
            try carryOut(action)
        } catch let error as APIError where error.isNotFound {
            // It is gone already: the watch tells.
        } catch let error as APIError where error.code == 409 {
            // It changed since: its new state is on the way, and decides anew.
            return .after(nanoseconds: 50_000_000)
        }
        return .done
    }

    private func carryOut(_ action: OwnershipGraph.Action) throws {
        switch action {
        case .none: return
        case .delete(let head, let propagation):
            let options: JSON = [
                "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": .string(propagation),
                "preconditions": ["uid": .string(head.uid), "resourceVersion": .string("\(head.revision)")],
            ]
            try cluster.writer.api.request("DELETE", path(head), body: options)
        case .disown(let head, let keep): try patch(head, "ownerReferences", keep.isEmpty ? .null : .array(keep))
        case .unfinalize(let head, _, let rest): try patch(head, "finalizers", rest.isEmpty ? .null : JSON(rest))
        }
    }

    /// A merge patch of one list in the metadata, at the state that was decided by.
    private func patch(_ head: ObjectHead, _ member: String, _ value: JSON) throws {
        let metadata: JSON = [
            "uid": .string(head.uid), "resourceVersion": .string("\(head.revision)"),
        ]
        try cluster.writer.api.request(
            "PATCH application/merge-patch+json", path(head), body: ["metadata": metadata.with(member, value)])
    }

    private func path(_ head: ObjectHead) -> String {
        APIPath.object(head.apiVersion, String(head.plural), String(head.namespace), String(head.name))
    }
}
