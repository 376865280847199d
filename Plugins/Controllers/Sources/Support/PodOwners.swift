import Objects
import Synchronization

/// Tells the controllers that keep pods which of their objects a pod concerns: once for all of them, since every pod of the
/// cluster comes by, and most are nobody's or one's.
final class PodOwners: Sendable {
    private struct Kind {
        var type: ResourceType
        var objects: ObjectCache
        var handler: @Sendable (_ key: String) -> Void
    }
    private let kinds = Mutex<[Kind]>([])

    /// To be added before the cache of pods is started.
    init(_ pods: ObjectCache) { pods.onObject { [unowned self] in podChanged($0) } }

    /// Hears of pods, by the keys of the objects of a kind that control them or, of pods without an owner, that select them.
    /// To be added before the caches are started.
    func add(_ type: ResourceType, _ objects: ObjectCache, _ handler: @escaping @Sendable (_ key: String) -> Void) {
        kinds.withLock { $0.append(Kind(type: type, objects: objects, handler: handler)) }
    }

    private func podChanged(_ pod: JSON) {
        let kinds = kinds.withLock { $0 }
        if let reference = ControllerReference(controlling: pod) {
            let key = "\(pod.namespace)/\(reference.name)"
            for kind in kinds where kind.type.kind == reference.kind { kind.handler(key) }
            return
        }
        // An orphan may be anyone's: ask those whose selector matches.
        for kind in kinds where !kind.objects.isEmpty {
            for object in kind.objects.list(pod.namespace) where kind.type.selects(object, pod.labels) {
                kind.handler(objectKey(object))
            }
        }
    }
}
