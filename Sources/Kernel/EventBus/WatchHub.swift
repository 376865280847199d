import CStateStore
import PluginAPI
import Synchronization

/// Brings committed events to the watches that want them. See README.md.
final class WatchHub: PoolJob, @unchecked Sendable {
    // SAFETY: Tables are behind `tables`, what waits for routing behind `monitor`.

    /// How long after a change watches without an event of their own learn of its revision.
    static let progressNanoseconds: UInt64 = 5_000_000_000

    /// How long a watch of everything waits for more, after it delivered and before its thread sleeps, in nanoseconds: all writes
    /// concern it, and many would wake the thread one by one. Set before there are watches.
    var gathering: UInt64 = 1_000_000

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
    /// Watches of everything, which may have selectors too.
    private var everything = WatchRoutes()
    /// All watches, in the order in which they are told progress.
    private var ring: [Watch] = []
    private var progressCursor = 0
    private var progressLeft = 0
    private var progressRevision: UInt64 = 0
    private var nextHandle: UInt64 = 1
    private var isClosed = false
    private let watchCount = Atomic<Int>(0)
    private let promptCount = Atomic<Int>(0)

    private let monitor = Monitor()
    private var pending: [Batch] = []
    private var isRouting = false
    private let routed = Atomic<UInt64>(0)
    private let resyncs = Atomic<Int>(0)
    private let overflows = Atomic<Int>(0)
    private let queued = Atomic<Int>(0)
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

    /// What a publication leaves to the dispatchers.
    enum Undelivered {
        case nothing
        case batch
        case watches([Watch])
    }

    /// So many events, and watches that they concern, are few: the committer serves them itself.
    private static let fewEvents = 4
    private static let fewWatches = 4
    /// Events times watches that the committer routes itself, since that takes less time than to wake a thread for it.
    private static let littleRouting = 1024

    /// Takes a batch of events that can be read already. Never waits for a watch. Of a few events it delivers to a few watches
    /// whose sinks return promptly, which saves them the change to another thread; the rest is for `deliver`. [committer]
    func publish(_ events: [Event], upTo revision: UInt64) -> Undelivered {
        let watching = watchCount.load(ordering: .sequentiallyConsistent)
        let isWatched = watching > 0
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
        guard schedule else { return .nothing }
        let areFew = events.count <= Self.fewEvents && promptCount.load(ordering: .relaxed) > 0
        guard areFew || events.count * watching <= Self.littleRouting else { return .batch }
        return .watches(serveSome(delivers: areFew))
    }

    /// Has the dispatchers do what `publish` has left, once those are told who wait for the write itself. [committer]
    func deliver(_ undelivered: Undelivered) {
        switch undelivered {
        case .nothing: break
        case .batch: dispatchers.submit(self)
        case .watches(let watches): for watch in watches { dispatchers.submit(watch) }
        }
    }

    /// Routes what waits, and serves the watches whose sinks return promptly if they are few and up to date. The others.
    private func serveSome(delivers: Bool) -> [Watch] {
        var left: [Watch] = []
        while let batches = takePending() {
            let watches = route(batches).filter { $0.claimSchedule() }
            let prompt = delivers ? watches.filter(\.canBeServedPromptly) : []
            guard !prompt.isEmpty, prompt.count <= Self.fewWatches else {
                left += watches
                continue
            }
            left += watches.filter { watch in !prompt.contains { $0 === watch } }
            for watch in prompt { watch.run() }
        }
        return left
    }

    /// What waits for routing; nil when nothing does, and then whoever brings more has it routed.
    private func takePending() -> [Batch]? {
        monitor.locked {
            defer { pending = [] }
            if pending.isEmpty { isRouting = false }
            return pending.isEmpty ? nil : pending
        }
    }

    /// [dispatcher] Routes what waits; then delivers to one of the watches itself, so that a single watch gets its event
    /// without another change of threads.
    func run() {
        var last: Watch?
        while let batches = takePending() {
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
                var shared: SharedEvent?
                if !everything.isEmpty { everything.visit(event) { offer(event, &shared, to: $0, &touched) } }
                let resource = Hash.of(
                    UnsafeRawBufferPointer(rebasing: event.record.key[..<StoreKey.resourceSize(event.record.key)]))
                routes[resource]?.visit(event) { offer(event, &shared, to: $0, &touched) }
            }
            routed.store(batch.upTo, ordering: .releasing)
        }
        tables.unlock()
        for batch in batches { for event in batch.events { event.release() } }
        for watch in touched { watch.isTouched = false }
        return touched
    }

    private func offer(_ event: Event, _ shared: inout SharedEvent?, to watch: Watch, _ touched: inout [Watch]) {
        if watch.ordinal == ordinal { return }
        watch.ordinal = ordinal
        guard let flags = watch.interest(in: event) else { return }
        let isOffered = watch.offer(event, flags: flags, limit: queueLimit) {
            if let shared { return shared }
            let made = SharedEvent(event)
            shared = made
            return made
        }
        if isOffered, !watch.isTouched {
            watch.isTouched = true
            touched.append(watch)
        }
    }

    // MARK: Progress

    /// Watches that are told in one round at most; more when they would not all have had their turn within twelve rounds,
    /// which is a minute.
    private static let progressBudget = 512
    private static let progressRounds = 12

    /// Tells watches that had no event for a while how far the store is: all within a minute, and without work for the
    /// caller. Returns whether some are left for the next round. [committer]
    @discardableResult
    func tellProgress() -> Bool {
        let (turn, isMore) = tables.locked {
            let revision = routedRevision
            if revision != progressRevision {
                progressRevision = revision
                progressLeft = ring.count
            }
            let budget = max(Self.progressBudget, (ring.count + Self.progressRounds - 1) / Self.progressRounds)
            let count = min(budget, progressLeft, ring.count)
            let turn = (0..<count).map { ring[(progressCursor + $0) % ring.count] }
            progressCursor = ring.isEmpty ? 0 : (progressCursor + count) % ring.count
            progressLeft -= count
            return (turn, progressLeft > 0 && !ring.isEmpty)
        }
        // A few at a time, so that a sink that dawdles holds up only those with it.
        for start in stride(from: 0, to: turn.count, by: ProgressRound.size) {
            dispatchers.submit(ProgressRound(Array(turn[start..<min(start + ProgressRound.size, turn.count)])))
        }
        return isMore
    }

    // MARK: Accounts

    func noteResync() { resyncs.wrappingAdd(1, ordering: .relaxed) }
    func noteOverflow() { overflows.wrappingAdd(1, ordering: .relaxed) }
    func account(queuedBytes: Int) { queued.wrappingAdd(queuedBytes, ordering: .relaxed) }

    /// Watches that were told to list again; that fell back to reading the history; bytes that wait in all queues.
    var accounts: (resyncs: Int, overflows: Int, queuedBytes: Int) {
        (resyncs.load(ordering: .relaxed), overflows.load(ordering: .relaxed), queued.load(ordering: .relaxed))
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
            // With the tables: the watch may end, and be counted off, before this call returns.
            watchCount.add(1, ordering: .sequentiallyConsistent)
            return watch
        }
        if watch.claimSchedule() { dispatchers.submit(watch) }
        return watch.handle
    }

    /// See `hostd_store_1.watch_promptly`.
    func setPrompt(_ handle: UInt64) {
        tables.locked {
            guard let watch = watches[handle], !watch.isPrompt else { return }
            watch.isPrompt = true
            promptCount.add(1, ordering: .relaxed)
        }
    }

    /// Whether a watch has come to rest: until then whoever delivers for it also delivers what comes meanwhile.
    func isAtRest(_ handle: UInt64) -> Bool { tables.locked { watches[handle] }?.isAtRest ?? true }

    private func insert(_ watch: Watch) {
        watch.ringPosition = ring.count
        ring.append(watch)
        guard !watch.prefix.isEmpty else { return everything.insert(watch) }
        watch.prefix.withUnsafeBytes { prefix in
            let resource = Hash.of(UnsafeRawBufferPointer(rebasing: prefix[..<StoreKey.resourceSize(prefix)]))
            routes[resource, default: WatchRoutes()].insert(watch)
        }
    }

    /// Takes a watch out of the tables.
    func forget(_ watch: Watch) {
        let wasKnown = tables.locked {
            guard watches.removeValue(forKey: watch.handle) != nil else { return false }
            if watch.isPrompt { promptCount.subtract(1, ordering: .relaxed) }
            let last = ring.removeLast()
            if last !== watch {
                ring[watch.ringPosition] = last
                last.ringPosition = watch.ringPosition
            }
            guard !watch.prefix.isEmpty else {
                everything.remove(watch)
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
                let wants = { (event: Event) in watch.interest(in: event) != nil }
                if prefix.isEmpty { return tree.events(in: nil, after: revision, limit: limit, wants: wants) }
                guard let partition = tree.partition(of: prefix) else {
                    return HistoryPiece(events: [], upTo: max(revision, tree.revision), isEnd: true)
                }
                return tree.events(in: partition, after: revision, limit: limit, wants: wants)
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
                everything = WatchRoutes()
                ring = []
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

/// A few watches that are to learn how far the store is.
private final class ProgressRound: PoolJob {
    static let size = 64
    private let watches: [Watch]

    init(_ watches: [Watch]) { self.watches = watches }

    func run() {
        for watch in watches where watch.claimSchedule(progress: true) { watch.run() }
    }
}
