import PluginKit
import Synchronization

/// A work queue that holds its keys back until every cache is filled: a controller must not act on half a picture.
final class ControllerQueue: Sendable {
    let name: String
    private let queue: WorkQueue
    private let log: Log
    private struct Waiting {
        /// With the delay, in nanoseconds, that they were added with.
        var keys: [String: UInt64] = [:]
        var isOpen = false
    }
    private let waiting = Mutex(Waiting())

    init(
        _ host: Host, name: String, workers: Int = 2, handler: @escaping @Sendable (String) throws -> Requeue
    ) throws {
        self.name = name
        log = host.log
        queue = try WorkQueue(host, name: name, workers: workers, handler: handler)
    }

    /// Adds a key, `afterSeconds` from now; in the background when nobody changed the object itself and everything is only
    /// looked at again.
    func add(_ key: String, priority: WorkPriority = .interactive, afterSeconds seconds: Int64 = 0) {
        let delay = UInt64(max(0, seconds)) * 1_000_000_000
        let isOpen = waiting.withLock { waiting -> Bool in
            if !waiting.isOpen { waiting.keys[key] = min(delay, waiting.keys[key] ?? .max) }
            return waiting.isOpen
        }
        if isOpen { queue.add(key, priority: priority, delay: delay) }
    }

    /// Lets the keys through: all that exists is looked at in the background, so that what is changed now goes before it.
    func open() {
        let keys = waiting.withLock { waiting -> [String: UInt64] in
            defer { waiting.keys = [:] }
            waiting.isOpen = true
            return waiting.keys
        }
        for (key, delay) in keys { queue.add(key, priority: .background, delay: delay) }
    }

    /// Takes no keys any more and returns when the ready ones were handled, or at the deadline (monotonic nanoseconds).
    /// - Returns: how many were not.
    func drain(until deadline: UInt64) -> Int {
        do { return try queue.drain(deadline: deadline).dropped } catch {
            log.error("a queue could not be drained: \(error)", ["queue": .string(name)])
            return 0
        }
    }

    func stop() { queue.stop() }
}

extension Requeue {
    /// Again after so many seconds; `done` for nil.
    static func afterSeconds(_ seconds: Int64?) -> Requeue {
        seconds.map { .after(nanoseconds: UInt64(max(0, $0)) * 1_000_000_000) } ?? .done
    }
}
