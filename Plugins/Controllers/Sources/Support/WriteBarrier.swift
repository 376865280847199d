import Objects
import Synchronization

/// Keeps a controller from acting on a cache that does not show its own last writes, which would make it create or
/// delete twice. What was written is compared with what the cache shows; nothing is counted, so nothing can leak.
final class WriteBarrier: Sendable {
    private struct Pending {
        /// The cache must show this store revision.
        var revision: UInt64 = 0
        /// Objects ("NAMESPACE/NAME" to uid) that must be gone or going.
        var deletions: [String: String] = [:]
    }
    private let pending = Mutex<[String: Pending]>([:])

    /// Notes a write on behalf of `key`, by the object that came back.
    func wrote(_ object: JSON, for key: String) {
        guard let revision = UInt64(object.resourceVersion) else { return }
        pending.withLock { $0[key, default: Pending()].revision = max($0[key]?.revision ?? 0, revision) }
    }

    /// Notes that an object was asked to be deleted on behalf of `key`.
    func deleted(_ object: JSON, for key: String) {
        pending.withLock { $0[key, default: Pending()].deletions[objectKey(object)] = object.uid }
    }

    func forget(_ key: String) { pending.withLock { _ = $0.removeValue(forKey: key) } }

    /// Whether a cache at `revision` shows all that was written for `key`.
    /// - Parameter lookup: the cached object at "NAMESPACE/NAME".
    func isSatisfied(_ key: String, revision: UInt64, lookup: (String) -> JSON?) -> Bool {
        guard let waiting = pending.withLock({ $0[key] }) else { return true }
        guard revision >= waiting.revision else { return false }
        for (object, uid) in waiting.deletions {
            guard let cached = lookup(object), cached.uid == uid else { continue }
            if cached.deletionTimestamp == nil { return false }
        }
        forget(key)
        return true
    }

    func isSatisfied(_ key: String, _ cache: ObjectCache) -> Bool {
        isSatisfied(key, revision: cache.revision, lookup: cache.get(key:))
    }
}
