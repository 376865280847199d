import Objects
import PluginKit
import Synchronization

/// Deletes Event objects an hour after their last change. After a restart they live their full time once more.
final class EventExpiry: Controller {
    /// Nanoseconds.
    static let lifetime: UInt64 = 3_600_000_000_000
    /// So many are deleted at once.
    private static let group = 32
    /// The one key of the queue.
    private static let next = "next"

    private let queue: ControllerQueue
    private let deadlines = Mutex(EventDeadlines(lifetime: EventExpiry.lifetime))

    init(_ cluster: Cluster, _ observer: StoreObserver) throws {
        let writer = cluster.writer
        let box = Unowned<EventExpiry>()
        queue = try cluster.queue("event-expiry", workers: 1) { _ in try box.value?.expire(writer) ?? .done }
        box.value = self
        observer.onEvent(knownEvents: { [unowned self] in deadlines.withLock { $0.keys } }) { [unowned self] event in
            switch event {
            case .eventPut(let key):
                let isFirst = deadlines.withLock { $0.renew(key, now: monotonicNanoseconds()) }
                if isFirst { queue.add(Self.next, afterSeconds: Int64(Self.lifetime / 1_000_000_000)) }
            case .eventGone(let key): deadlines.withLock { $0.forget(key) }
            case .put, .gone: break
            }
        }
    }

    func start() { queue.open() }
    func stop() { queue.stop() }

    private func expire(_ writer: Writer) throws -> Requeue {
        while true {
            let now = monotonicNanoseconds()
            let due = deadlines.withLock { $0.due(now: now, limit: Self.group) }
            if due.isEmpty {
                guard let first = deadlines.withLock({ $0.first() }) else { return .done }
                return .after(nanoseconds: first > now ? first - now : 1)
            }
            let answers = writer.all(due.map(Self.deletion))
            for (key, answer) in zip(due, answers) {
                do {
                    _ = try answer.get()
                } catch let error as APIError where error.isNotFound {
                    // Someone else was faster.
                }
                deadlines.withLock { $0.forget(key) }
            }
        }
    }

    private static func deletion(of key: String) -> APIClient.Request {
        let parts = key.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        return (
            "DELETE", APIPath.object("v1", "events", String(parts[1]), String(parts[2])),
            ["apiVersion": "v1", "kind": "DeleteOptions"]
        )
    }
}
