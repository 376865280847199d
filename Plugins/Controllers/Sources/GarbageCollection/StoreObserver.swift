import Objects
import PluginKit
import Synchronization

/// One watch of the whole store, for the parts that must know of every kind of object: garbage collection, the end of
/// namespaces, the expiry of events. Only heads of objects are parsed.
final class StoreObserver: Sendable {
    enum Event: Sendable {
        case put(ObjectHead)
        /// The key of a core/v1 Event, of which there are many: nobody needs to know more of one.
        case eventPut(String)
        /// The key of an object that is gone.
        case gone(String)
    }

    private static let pageSize: UInt64 = 500
    private static let eventPrefix = Array("events/".utf8)

    private let host: Host
    private let store: StoreClient
    private struct State {
        var handlers: [@Sendable (Event) -> Void] = []
        var subscription: Subscription?
        var keys: Set<String> = []
        var isStopped = false
        var retry: Timer?
    }
    private let state = Mutex(State())

    init(_ host: Host) throws {
        self.host = host
        store = try host.store()
    }

    /// To be added before `start`. Handlers run serially.
    func onEvent(_ handler: @escaping @Sendable (Event) -> Void) { state.withLock { $0.handlers.append(handler) } }

    /// Delivers what is there, then every change.
    func start() throws {
        var seen: Set<String> = []
        var revision: UInt64 = 0
        var after = ""
        while true {
            let page = try store.list(prefix: "", revision: revision, limit: Self.pageSize, after: after)
            revision = page.revision
            for record in page.records {
                seen.insert(record.key)
                put(record)
            }
            guard page.hasMore, let last = page.records.last else { break }
            after = last.key
        }
        for key in state.withLock({ $0.keys.subtracting(seen) }) { gone(key) }
        let subscription = try store.watch(prefix: "", from: revision) { [weak self] in self?.handle($0) }
        let isStopped = state.withLock { state -> Bool in
            if !state.isStopped { state.subscription = subscription }
            return state.isStopped
        }
        if isStopped { subscription.cancel() }
    }

    func stop() {
        let (subscription, retry) = state.withLock { state -> (Subscription?, Timer?) in
            state.isStopped = true
            return (state.subscription, state.retry)
        }
        subscription?.cancel()
        retry?.cancel()
    }

    private func handle(_ message: StoreWatchMessage) {
        switch message {
        case .events(let events):
            for event in events {
                if event.isDelete { gone(event.record.key) } else { put(event.record) }
            }
        case .progress: break
        case .resync: restart("it fell behind")
        case .ended(let reason): restart(reason)
        }
    }

    private func put(_ record: StoreRecord) {
        let key = record.key
        let event: Event
        if key.utf8.starts(with: Self.eventPrefix) {
            event = .eventPut(key)
        } else if let head = record.withValue({ ObjectHead(key: key, value: $0, revision: record.revision) }) {
            event = .put(head)
        } else {
            return
        }
        let handlers = state.withLock { state in
            state.keys.insert(key)
            return state.handlers
        }
        for handler in handlers { handler(event) }
    }

    private func gone(_ key: String) {
        let handlers = state.withLock { state in state.keys.remove(key) == nil ? [] : state.handlers }
        for handler in handlers { handler(.gone(key)) }
    }

    private func restart(_ reason: String) {
        let old = state.withLock { state -> Subscription? in
            defer { state.subscription = nil }
            return state.isStopped ? nil : state.subscription
        }
        old?.cancel()
        if state.withLock({ $0.isStopped }) { return }
        host.log.warning("the watch of the whole store starts again: \(reason)")
        do {
            try start()
        } catch let failure {
            host.log.warning("the store could not be listed and is tried again in 1 s: \(failure)")
            do {
                let timer = try host.timers().start(delay: 1_000_000_000) { [weak self] in self?.restart("retry") }
                state.withLock { $0.retry = timer }
            } catch {
                host.log.error("no timer for a retry: \(error)")
            }
        }
    }
}
