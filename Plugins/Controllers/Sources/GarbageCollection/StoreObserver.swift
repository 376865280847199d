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
        case eventGone(String)
        case gone(key: String, uid: ObjectUID)

        /// Where an object has gone; nil for what is no end.
        var namespaceOfEnd: String? {
            switch self {
            case .put, .eventPut: nil
            case .eventGone(let key), .gone(let key, _): String(ObjectHead.namespace(of: key))
            }
        }
    }

    /// What a handler has been told of and not of its end; asked only when the observer has missed something.
    typealias Known = @Sendable () -> [(key: String, uid: ObjectUID)]

    private static let pageSize: UInt64 = 500
    private static let eventPrefix = Array("events/".utf8)

    private let host: Host
    private let store: StoreClient
    private struct State {
        var handlers: [@Sendable (Event) -> Void] = []
        var known: [Known] = []
        var knownEvents: [@Sendable () -> [String]] = []
        var subscription: Subscription?
        var hasStarted = false
        var isStopped = false
        var retry: Timer?
    }
    private let state = Mutex(State())

    init(_ host: Host) throws {
        self.host = host
        store = try host.store()
    }

    /// To be added before `start`. Handlers run serially.
    /// - Parameters:
    ///   - known: the objects that the handler keeps something of.
    ///   - knownEvents: the keys of the Events that it keeps something of.
    func onEvent(
        known: @escaping Known = { [] }, knownEvents: @escaping @Sendable () -> [String] = { [] },
        _ handler: @escaping @Sendable (Event) -> Void
    ) {
        state.withLock {
            $0.handlers.append(handler)
            $0.known.append(known)
            $0.knownEvents.append(knownEvents)
        }
    }

    /// Delivers what is there, then every change.
    func start() throws {
        // What is there is noted only where something may have gone that was there before.
        var seen: [String: ObjectUID?]? = state.withLock { state in
            defer { state.hasStarted = true }
            return state.hasStarted ? [:] : nil
        }
        var revision: UInt64 = 0
        var after = ""
        while true {
            let page = try store.list(prefix: "", revision: revision, limit: Self.pageSize, after: after)
            revision = page.revision
            for record in page.records {
                let uid = put(record)
                seen?[record.key] = .some(uid)
            }
            guard page.hasMore, let last = page.records.last else { break }
            after = last.key
        }
        if let seen { endMissing(seen) }
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

    /// Tells the end of what handlers know and is not there any more.
    private func endMissing(_ seen: [String: ObjectUID?]) {
        let (known, events) = state.withLock { ($0.known, $0.knownEvents) }
        for (key, uid) in Self.ended(known.flatMap { $0() }, seen) { tell(.gone(key: key, uid: uid)) }
        for key in Set(events.flatMap { $0() }) where seen[key] == nil { tell(.eventGone(key)) }
    }

    /// Of the objects that were known, each once, those that are not there any more, or are others under the same name.
    /// - Parameter seen: what is there, by keys; nil for what has no uid.
    static func ended(
        _ known: [(key: String, uid: ObjectUID)], _ seen: [String: ObjectUID?]
    ) -> [(key: String, uid: ObjectUID)] {
        var ended: Set<ObjectUID> = []
        return known.filter { seen[$0.key] != .some($0.uid) && ended.insert($0.uid).inserted }
    }

    private func handle(_ message: StoreWatchMessage) {
        switch message {
        case .events(let events):
            for event in events {
                if event.isDelete {
                    guard tellEnd(event) else { return restart("it was not told what was deleted") }
                } else {
                    put(event.record)
                }
            }
        case .progress: break
        case .resync: restart("it fell behind")
        case .ended(let reason): restart(reason)
        }
    }

    private func tell(_ event: Event) {
        for handler in state.withLock({ $0.handlers }) { handler(event) }
    }

    /// - Returns: the uid of what is no Event.
    @discardableResult
    private func put(_ record: StoreRecord) -> ObjectUID? {
        let key = record.key
        if key.utf8.starts(with: Self.eventPrefix) {
            tell(.eventPut(key))
            return nil
        }
        guard let head = Self.head(of: record, key) else { return nil }
        tell(.put(head))
        return head.uid
    }

    private static func head(of record: StoreRecord, _ key: String) -> ObjectHead? {
        record.withValue { ObjectHead(key: key, value: $0, revision: record.revision) }
    }

    /// False when it cannot be known what is gone.
    private func tellEnd(_ event: StoreEvent) -> Bool {
        let key = event.record.key
        if key.utf8.starts(with: Self.eventPrefix) {
            tell(.eventGone(key))
            return true
        }
        guard ObjectHead.hasThreeParts(key) else { return true }
        guard let previous = event.previous else { return false }
        if let head = Self.head(of: previous, key) { tell(.gone(key: key, uid: head.uid)) }
        return true
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
