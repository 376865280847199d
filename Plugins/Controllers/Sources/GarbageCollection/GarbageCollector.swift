import Objects
import PluginKit
import Synchronization

/// Deletes what its owners left behind, and carries foreground deletion and orphaning through.
final class GarbageCollector: Controller {
    /// Seconds between two looks at what other servers keep: nobody tells of changes there.
    static let period: Int64 = 30

    private let cluster: Cluster
    private let graph = Mutex(OwnershipGraph())
    private let queue: ControllerQueue

    init(_ cluster: Cluster, _ observer: StoreObserver) throws {
        self.cluster = cluster
        let box = Unowned<GarbageCollector>()
        queue = try cluster.queue("garbage", workers: 4) { try box.value?.collect($0) ?? .done }
        box.value = self
        observer.onEvent(known: { [unowned self] in graph.withLock { $0.known } }, { [unowned self] in handle($0) })
        cluster.apiServices.onObject { [queue] in if $0["spec"]["service"].exists { queue.add(Self.elsewhere) } }
    }

    /// The key of the objects that other servers keep; no uid is empty.
    private static let elsewhere = ""

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func handle(_ event: StoreObserver.Event) {
        let affected = graph.withLock { graph -> Set<ObjectUID> in
            switch event {
            case .put(let head): graph.put(head)
            // They neither own nor are owned.
            case .eventPut, .eventGone: []
            case .gone(_, let uid): graph.remove(uid)
            }
        }
        for uid in affected { queue.add(uid.text) }
    }

    private func collect(_ key: String) throws -> Requeue {
        if key == Self.elsewhere { return try collectElsewhere() }
        let uid = ObjectUID(key)
        let present = try ownersElsewhere(of: uid)
        let action = graph.withLock { $0.action(for: uid, elsewhere: present) }
        do {
            try carryOut(action)
        } catch let error as APIError where error.isNotFound {
            // It is gone already: the watch tells.
        } catch let error as APIError where error.code == 409 {
            // It changed since: its new state is on the way, and decides anew.
            return .after(nanoseconds: 50_000_000)
        }
        return present.isEmpty ? .done : .afterSeconds(Self.period)
    }

    // MARK: - Other servers' objects

    /// The owners of an object that other servers keep and that are there.
    /// - Throws: when one of them cannot be asked for; nothing is decided then.
    private func ownersElsewhere(of uid: ObjectUID) throws -> Set<ObjectUID> {
        let (missing, namespace) = graph.withLock { $0.missingOwners(of: uid) }
        guard !missing.isEmpty else { return [] }
        let aggregated = cluster.aggregated
        var present: Set<ObjectUID> = []
        for owner in missing.map({ AggregatedAPIs.Reference($0, namespace: namespace) })
        where aggregated.contains(owner.apiVersion) {
            if try aggregated.isPresent(owner) { present.insert(ObjectUID(owner.uid)) }
        }
        return present
    }

    /// Deletes objects of other servers whose owners are gone.
    private func collectElsewhere() throws -> Requeue {
        let aggregated = cluster.aggregated
        guard !aggregated.versions.isEmpty else { return .done }
        for version in aggregated.versions {
            do {
                try AggregatedGarbage(aggregated).collect(version) { uid in
                    graph.withLock { $0.contains(ObjectUID(uid)) }
                }
            } catch {
                // Discovery says why to whoever asks; the others are looked at all the same.
                cluster.host.log.debug(
                    "objects of an aggregated API cannot be looked at",
                    ["api": .string(version), "reason": .string("\(error)")])
            }
        }
        return .afterSeconds(Self.period)
    }

    // MARK: - Carrying out

    private func carryOut(_ action: OwnershipGraph.Action) throws {
        switch action {
        case .none: return
        case .delete(let head, let propagation):
            let options: JSON = [
                "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": .string(propagation),
                "preconditions": ["uid": .string(head.uid.text), "resourceVersion": .string("\(head.revision)")],
            ]
            try cluster.writer.api.request("DELETE", path(head), body: options)
        case .disown(let head, let keep): try patch(head, "ownerReferences", keep.isEmpty ? .null : .array(keep))
        case .unfinalize(let head, _, let rest): try patch(head, "finalizers", rest.isEmpty ? .null : JSON(rest))
        }
    }

    /// A merge patch of one list in the metadata, at the state that was decided by.
    private func patch(_ head: ObjectHead, _ member: String, _ value: JSON) throws {
        let metadata: JSON = [
            "uid": .string(head.uid.text), "resourceVersion": .string("\(head.revision)"),
        ]
        try cluster.writer.api.request(
            "PATCH application/merge-patch+json", path(head), body: ["metadata": metadata.with(member, value)])
    }

    private func path(_ head: ObjectHead) -> String {
        APIPath.object(head.apiVersion, String(head.plural), String(head.namespace), String(head.name))
    }
}
