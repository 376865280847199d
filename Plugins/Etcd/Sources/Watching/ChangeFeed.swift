import Glibc
import Objects
import PluginAPI
import PluginKit

/// Follows all changes of the store with one watch of etcd's, and hands them to any number of watches of its own.
///
///     etcd ──► follower (one thread) ──► History ──► dispatchers ──► sinks
///                                          ▲ older than that: a watch of etcd's for the one that asks, until it is here
///
/// A mark, written at the start, gives the history a beginning that is an event: who catches up from before sees it.
final class ChangeFeed: @unchecked Sendable {
    // SAFETY: everything that changes is behind `monitor`; threads are written in the initialiser alone.
    private static let dispatcherCount = 4
    static let batchSize = 256 << 10
    /// How long after a change those whom it does not concern learn of its revision. Nanoseconds.
    private static let progressDelay: UInt64 = 5_000_000_000
    private static let retryDelays: ClosedRange<UInt64> = 100_000_000...5_000_000_000

    let client: EtcdClient
    let keys: KeySpace
    private let report: @Sendable (String) -> Void
    let monitor = Monitor()
    var history: History
    private let historySize: Int
    private var watches: [UInt64: FeedWatch] = [:]
    /// Handles by the resource of their prefix.
    private var routes: [ArraySlice<UInt8>: Set<UInt64>] = [:]
    private var nextHandle: UInt64 = 1
    private var jobs: [FeedWatch] = []
    private var upstream: EtcdStream?
    private(set) var isClosed = false
    private var hasUntold = false
    private var threads: [PluginThread] = []

    init(
        client: EtcdClient, keys: KeySpace, historySize: Int, report: @escaping @Sendable (String) -> Void
    ) throws(PluginError) {
        self.client = client
        self.keys = keys
        self.report = report
        self.historySize = historySize
        history = History(limit: historySize, at: try Self.mark(client, keys))
        do {
            threads.append(try PluginThread(name: "etcd-follower") { [self] in follow() })
            for _ in 0..<Self.dispatcherCount {
                threads.append(try PluginThread(name: "etcd-dispatch") { [self] in dispatch() })
            }
        } catch {
            close()
            throw error
        }
    }

    /// Makes an event, and tells its revision.
    private static func mark(_ client: EtcdClient, _ keys: KeySpace) throws(PluginError) -> UInt64 {
        var request = TransactionRequest()
        request.effects.append(.put(key: keys.mark, value: [], lease: 0))
        return keys.revision(try client.transaction(request).revision)
    }

    var revision: UInt64 { monitor.locked { history.last } }

    // MARK: Watches

    /// - Throws: COMPACTED or INVALID_ARGUMENT for a revision that cannot be followed from.
    func watch(prefix: [UInt8], selector: String, from: UInt64, sink: StoreSink) throws(PluginError) -> UInt64 {
        try KeySpace.check(prefix: prefix)
        let selector = try IndexSelector(parsing: selector)
        let (floor, last) = monitor.locked { (history.floor, history.last) }
        var start = from
        if from == 0 || from < floor || from > last {
            // Etcd knows whether it has this revision.
            let present = try client.range(
                RangeRequest(key: keys.mark, revision: try keys.etcd(from), countsOnly: true))
            if from == 0 { start = keys.revision(present.revision) }
        }
        return try monitor.locked { () throws(PluginError) in
            guard !isClosed else { throw .unavailable("the etcd plugin is not active") }
            let watch = FeedWatch(
                handle: nextHandle, prefix: prefix, selector: selector, sink: sink, from: start)
            nextHandle += 1
            watches[watch.handle] = watch
            routes[watch.resource, default: []].insert(watch.handle)
            schedule(watch)
            return watch.handle
        }
    }

    /// When it returns the sink is not running, unless this is called from it, and will not run again.
    func cancel(_ handle: UInt64) {
        monitor.lock()
        guard let watch = watches[handle] else { return monitor.unlock() }
        forget(watch)
        let stream = watch.catchUp
        monitor.unlock()
        stream?.close()
        monitor.lock()
        while let runner = watch.runner, pthread_equal(runner, pthread_self()) == 0 { monitor.wait() }
        monitor.unlock()
    }

    /// The lock is held.
    func forget(_ watch: FeedWatch) {
        watch.isOver = true
        watches[watch.handle] = nil
        routes[watch.resource]?.remove(watch.handle)
        if routes[watch.resource]?.isEmpty == true { routes[watch.resource] = nil }
    }

    /// Gives a watch to the dispatchers, unless it is there. The lock is held.
    private func schedule(_ watch: FeedWatch) {
        if watch.isScheduled || watch.isOver { return }
        watch.isScheduled = true
        jobs.append(watch)
        monitor.broadcast()
    }

    /// Ends every watch; when it returns no thread is left.
    func close() {
        monitor.lock()
        isClosed = true
        let streams = [upstream] + watches.values.map(\.catchUp)
        monitor.broadcast()
        monitor.unlock()
        for stream in streams { stream?.close() }
        for thread in threads { thread.join() }
        let left = monitor.locked {
            defer { watches = [:] }
            return watches.values.filter { !$0.isOver }
        }
        for watch in left { watch.sink.end("the store is closed") }
    }

    // MARK: Following

    private func follow() {
        var delay = Self.retryDelays.lowerBound
        while !(monitor.locked { isClosed }) {
            do throws(PluginError) {
                try followOnce { delay = Self.retryDelays.lowerBound }
            } catch {
                if monitor.locked({ isClosed }) { return }
                report("the changes of etcd are not followed at the moment: \(error.message)")
                let deadline = monotonicNanoseconds() + delay
                monitor.locked { while !isClosed, monitor.wait(until: deadline) {} }
                delay = min(delay * 2, Self.retryDelays.upperBound)
            }
        }
    }

    /// Follows one stream to its end, which is always an error.
    private func followOnce(_ started: () -> Void) throws(PluginError) {
        let from = try keys.etcd(revision) + 1
        let range = keys.all
        let stream = try client.stream(
            "/etcdserverpb.Watch/Watch", WatchRequest.create(key: range.key, end: range.end, from: from))
        defer { stream.close() }
        let isClosed = monitor.locked {
            upstream = stream
            return self.isClosed
        }
        if isClosed { return }
        while true {
            let deadline = monitor.locked { hasUntold } ? monotonicNanoseconds() + Self.progressDelay : 0
            switch stream.next(deadline: deadline) {
            case .timeout: tellProgress()
            case .end(let error): throw error
            case .message(let message):
                started()
                try take(message)
            }
        }
    }

    private func take(_ message: [UInt8]) throws(PluginError) {
        let response: WatchResponse
        do { response = try WatchResponse(message[...]) } catch { throw EtcdError.malformed("a watch response") }
        if response.isCancelled {
            guard response.compactRevision > 0 else {
                throw .unavailable("etcd ended the watch: \(response.reason)")
            }
            // What is missing cannot be had any more: begin anew; those who have not been told all must list again.
            let start = try Self.mark(client, keys)
            monitor.locked { history = History(limit: historySize, at: start) }
            for watch in monitor.locked({ Array(watches.values) }) { monitor.locked { schedule(watch) } }
            throw .unavailable("etcd was compacted while its changes were not followed: \(response.reason)")
        }
        var changes: [Change] = []
        var last: UInt64 = 0
        for event in response.events {
            last = max(last, keys.revision(event.keyValue.modRevision))
            if let change = try Change(event, keys) { changes.append(change) }
        }
        guard last > 0 else { return }
        monitor.locked {
            history.add(changes, upTo: last)
            hasUntold = true
            var wanted = routes[[]] ?? []
            for resource in Set(changes.map { FeedWatch.resource(of: $0.key) }) {
                wanted.formUnion(routes[resource] ?? [])
            }
            for handle in wanted { if let watch = watches[handle] { schedule(watch) } }
        }
    }

    private func tellProgress() {
        monitor.locked {
            hasUntold = false
            for watch in watches.values where watch.told < history.last { schedule(watch) }
        }
    }

    // MARK: Delivering

    private func dispatch() {
        monitor.lock()
        while !isClosed {
            guard !jobs.isEmpty else {
                monitor.wait()
                continue
            }
            let watch = jobs.removeFirst()
            guard !watch.isOver else { continue }
            watch.runner = pthread_self()
            let isDone = deliver(to: watch)
            watch.runner = nil
            watch.isScheduled = false
            if !isDone { schedule(watch) }
            monitor.broadcast()
        }
        monitor.unlock()
    }

    /// One turn for a watch; true when it has all there is. The lock is held, and given up meanwhile.
    private func deliver(to watch: FeedWatch) -> Bool {
        if watch.position < history.floor { return catchUp(watch) }
        let (changes, upTo) = history.changes(after: watch.position, limit: Self.batchSize)
        let isEnd = upTo >= history.last
        monitor.unlock()
        let isDelivered = send(changes, to: watch)
        monitor.lock()
        watch.position = max(watch.position, upTo)
        if watch.isOver { return true }
        guard isEnd else { return false }
        // Events tell their revision themselves; only that the beginning is reached is said beside them.
        let isNews = watch.told == 0 || !isDelivered && watch.told < watch.position
        watch.told = watch.position
        if isNews {
            let revision = watch.position
            monitor.unlock()
            watch.sink.progress(revision)
            monitor.lock()
        }
        return watch.position >= history.last
    }

    /// True when there was something for the watch. Without the lock.
    func send(_ changes: [Change], to watch: FeedWatch) -> Bool {
        var batch = StoreRecordWriter()
        for change in changes where watch.concerns(change) { _ = change.add(to: &batch, watch.selector) }
        if batch.bytes.isEmpty { return false }
        batch.bytes.withUnsafeBytes { watch.sink.records($0) }
        return true
    }
}
