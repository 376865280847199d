import Objects
import PluginKit
import Synchronization

/// Deletes Event objects an hour after their last change.
final class EventExpiry: Controller {
    /// Nanoseconds.
    static let lifetime: UInt64 = 3_600_000_000_000

    private let cluster: Cluster
    private let queue: ControllerQueue

    init(_ cluster: Cluster, _ observer: StoreObserver) throws {
        self.cluster = cluster
        let writer = cluster.writer
        let deadlines = Deadlines()
        queue = try cluster.queue("event-expiry", workers: 1) { key in
            if let left = deadlines.left(key) { return .after(nanoseconds: left) }
            try EventExpiry.expire(key, writer)
            return .done
        }
        observer.onEvent { [queue] event in
            switch event {
            case .put(let head):
                guard head.storeName == "events" else { return }
                let isNew = deadlines.renew(head.key)
                // A key that waits finds its later deadline when it comes up.
                if isNew { queue.add(head.key, afterSeconds: Int64(EventExpiry.lifetime / 1_000_000_000)) }
            case .gone(let key): deadlines.forget(key)
            }
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private static func expire(_ key: String, _ writer: Writer) throws {
        let parts = key.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        do {
            try writer.api.delete("v1", "events", namespace: String(parts[1]), name: String(parts[2]))
        } catch let error as APIError where error.isNotFound {
            // Someone else was faster.
        }
    }
}

/// When each event ends, in monotonic nanoseconds. After a restart events live their full time once more.
private final class Deadlines: Sendable {
    private let ends = Mutex<[String: UInt64]>([:])

    /// True when the key was not known.
    func renew(_ key: String) -> Bool {
        let end = monotonicNanoseconds() + EventExpiry.lifetime
        return ends.withLock { $0.updateValue(end, forKey: key) == nil }
    }

    func forget(_ key: String) { ends.withLock { _ = $0.removeValue(forKey: key) } }

    /// Nanoseconds that are left; nil when it is time.
    func left(_ key: String) -> UInt64? {
        let now = monotonicNanoseconds()
        return ends.withLock { ends in
            guard let end = ends[key], end > now else { return nil }
            return end - now
        }
    }
}
