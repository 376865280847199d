import PluginKit
import Synchronization

/// A work queue that holds its keys back until every cache is filled: a controller must not act on half a picture.
final class ControllerQueue: Sendable {
    private let queue: WorkQueue
    private struct Waiting {
        var keys: Set<String> = []
        var isOpen = false
    }
    private let waiting = Mutex(Waiting())

    init(
        _ host: Host, name: String, workers: Int = 2, handler: @escaping @Sendable (String) throws -> Requeue
    ) throws {
        queue = try WorkQueue(host, name: name, workers: workers, handler: handler)
    }

    /// Adds a key, `afterSeconds` from now.
    func add(_ key: String, afterSeconds seconds: Int64 = 0) {
        let isOpen = waiting.withLock { waiting -> Bool in
            if !waiting.isOpen { waiting.keys.insert(key) }
            return waiting.isOpen
        }
        if isOpen { queue.add(key, delay: UInt64(max(0, seconds)) * 1_000_000_000) }
    }

    /// Lets the keys through.
    func open() {
        let keys = waiting.withLock { waiting -> Set<String> in
            defer { waiting.keys = [] }
            waiting.isOpen = true
            return waiting.keys
        }
        for key in keys { queue.add(key) }
    }

    func stop() { queue.stop() }
}

extension Requeue {
    /// Again after so many seconds; `done` for nil.
    static func afterSeconds(_ seconds: Int64?) -> Requeue {
        seconds.map { .after(nanoseconds: UInt64(max(0, $0)) * 1_000_000_000) } ?? .done
    }
}
