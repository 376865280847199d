import CStateStore
import PluginAPI
import Synchronization

/// Brings committed events to the watches that want them. See README.md.
final class WatchHub: PoolJob, @unchecked Sendable {
    // SAFETY: Tables are behind `tables`, what waits for routing behind `monitor`.

    /// How long after a change watches without an event of their own learn of its revision.
    static let progressNanoseconds: UInt64 = 5_000_000_000

    private struct Batch {
        var events: [Event]
        var upTo: UInt64
    }

    private let tree: StateTree
    private let lock: ReadWriteLock
    private let dispatchers: WorkerPool
    private let queueLimit: Int

    private let tables = Monitor()
    private var watches: [UInt64: Watch] = [:]
    private var routes: [UInt64: WatchRoutes] = [:]
    private var everything: [Watch] = []
    private var nextHandle: UInt64 = 1
    private var isClosed = false
    private let watchCount = Atomic<Int>(0)

    private let monitor = Monitor()
    private var pending: [Batch] = []
    private var isRouting = false
    private let routed = Atomic<UInt64>(0)
    /// Counts events; the router's.
    private var ordinal: UInt64 = 0

    init(tree: StateTree, lock: ReadWriteLock, dispatchers: WorkerPool, queueLimit: Int) {
        self.tree = tree
        self.lock = lock
        self.dispatchers = dispatchers
        self.queueLimit = queueLimit
    }

    /// All events up to this revision are in the queues of the live watches.
    var routedRevision: UInt64 { routed.load(ordering: .acquiring) }

    func submit(_ watch: Watch) { dispatchers.submit(watch) }

    // MARK: Publishing

    /// To be called once, before the first commit.
    func begin(at revision: UInt64) { routed.store(revision, ordering: .releasing) }

    /// Takes a batch of events that can be read already. Never waits for a watch. [committer]
    func publish(_ events: [Event], upTo revision: UInt64) {
        let isWatched = watchCount.load(ordering: .sequentiallyConsistent) > 0
        if isWatched { for event in events { event.retain() } }
        let schedule = monitor.locked {
            // Without a watch there is nothing to route, but a batch that still waits comes first.
            if !isWatched && pending.isEmpty && !isRouting {
                routed.store(revision, ordering: .releasing)
                return false
            }
            pending.append(Batch(events: isWatched ? events : [], upTo: revision))
            defer { isRouting = true }
            return !isRouting
        }
        if schedule { dispatchers.submit(self) }
    }

    /// [dispatcher] Routes what waits; then delivers to one of the watches itself, so that a single watch gets its event
    /// without another change of threads.
    func run() {
        var last: Watch?
        while true {
            let batches = monitor.locked {
                defer { pending = [] }
                if pending.isEmpty { isRouting = false }
                return pending
            }
            if batches.isEmpty { break }
            for watch in route(batches) where watch.claimSchedule() {
                if let last { dispatchers.submit(last) }
                last = watch
            }
        }
        last?.run()
    }

    private func route(_ batches: [Batch]) -> [Watch] {
        var touched: [Watch] = []
        tables.lock()
        for batch in batches {
            for event in batch.events {
                ordinal += 1
                for watch in everything { offer(event, to: watch, &touched) }
                let resource = Hash.of(
                    UnsafeRawBufferPointer(rebasing: event.record.key[..<StoreKey.resourceSize(event.record.key)]))
                routes[resource]?.visit(event) { offer(event, to: $0, &touched) }
            }
            routed.store(batch.upTo, ordering: .releasing)
        }
        tables.unlock()
        for batch in batches { for event in batch.events { event.release() } }
        for watch in touched { watch.isTouched = false }
        return touched
    }

    private func offer(_ event: Event, to watch: Watch, _ touched: inout [Watch]) {
        if watch.ordinal == ordinal { return }
        watch.ordinal = ordinal
        if watch.wants(event), watch.offer(event, limit: queueLimit), !watch.isTouched {
            watch.isTouched = true
            touched.append(watch)
        }
    }

    /// Tells watches that had no event for a while how far the store is.
    func tellProgress() {
        let all = tables.locked { Array(watches.values) }
        for watch in all where watch.claimSchedule(progress: true) { dispatchers.submit(watch) }
    }

    // MARK: Watches

    /// Begins a watch. Throws COMPACTED when the history does not go back to `from`.
    func watch(
        prefix: UnsafeRawBufferPointer, selector: IndexSelector, from: UInt64, sink: @escaping Watch.Sink
    ) throws(StoreError) -> UInt64 {
        let start = try lock.reading { () throws(StoreError) in
            // From now on even when nothing was ever written: revision 0 cannot be told from "now" later.
            try from == 0 ? tree.revision : tree.readable(from) + (planted(.watchStartsLate) ? 1 : 0)
        }
        let watch = try tables.locked { () throws(StoreError) in
            guard !isClosed else {
                throw StoreError(HOSTD_ERROR_UNAVAILABLE, "the store is closing", retryable: true, retryDelay: 1000)
            }
            let watch = Watch(
                handle: nextHandle, prefix: Array(prefix), selector: selector, from: start, hub: self, sink: sink)
            nextHandle += 1
            watches[watch.handle] = watch
            insert(watch)
            return watch
        }
        watchCount.add(1, ordering: .sequentiallyConsistent)
        if watch.claimSchedule() { dispatchers.submit(watch) }
        return watch.handle
    }

    private func insert(_ watch: Watch) {
        guard !watch.prefix.isEmpty else { return everything.append(watch) }
        watch.prefix.withUnsafeBytes { prefix in
            let resource = Hash.of(UnsafeRawBufferPointer(rebasing: prefix[..<StoreKey.resourceSize(prefix)]))
            routes[resource, default: WatchRoutes()].insert(watch)
        }
    }

    /// Takes a watch out of the tables.
    func forget(_ watch: Watch) {
        let wasKnown = tables.locked {
            guard watches.removeValue(forKey: watch.handle) != nil else { return false }
            guard !watch.prefix.isEmpty else {
                everything.removeAll { $0 === watch }
                return true
            }
            watch.prefix.withUnsafeBytes { prefix in
                let resource = Hash.of(UnsafeRawBufferPointer(rebasing: prefix[..<StoreKey.resourceSize(prefix)]))
                routes[resource]?.remove(watch)
                if routes[resource]?.isEmpty == true { routes[resource] = nil }
            }
            return true
        }
        if wasKnown { watchCount.subtract(1, ordering: .sequentiallyConsistent) }
    }

    /// See `hostd_store_1.watch_cancel`.
    func cancel(_ handle: UInt64) {
        guard let watch = tables.locked({ watches[handle] }) else { return }
        forget(watch)
        watch.cancel()
    }

    /// A piece of history for a watch; nil when it is no longer kept. References are retained.
    func history(of watch: Watch, after revision: UInt64, limit: Int) -> HistoryPiece? {
        lock.reading {
            guard revision >= tree.compactedRevision else { return nil }
            return watch.prefix.withUnsafeBytes { prefix in
                if prefix.isEmpty { return tree.events(in: nil, after: revision, limit: limit, wants: watch.wants) }
                guard let partition = tree.partition(of: prefix) else {
                    return HistoryPiece(events: [], upTo: max(revision, tree.revision), isEnd: true)
                }
                return tree.events(in: partition, after: revision, limit: limit, wants: watch.wants)
            }
        }
    }

    var count: Int { watchCount.load(ordering: .relaxed) }

    /// Ends all watches; their sinks get END.
    func close() {
        let all = tables.locked {
            isClosed = true
            defer {
                watches = [:]
                routes = [:]
                everything = []
            }
            return Array(watches.values)
        }
        for watch in all { watch.end("the store was closed") }
        let left = monitor.locked {
            defer { pending = [] }
            return pending
        }
        for batch in left { for event in batch.events { event.release() } }
    }
}
