import PluginAPI

/// One keyed queue. A key waits for its time, is ready, or runs; see README.md.
final class ReconcileQueue: PoolJob, @unchecked Sendable {  // All state is behind `monitor`.
    /// Result negative = failed. The second argument asks for another run after so many nanoseconds.
    typealias Action = @Sendable (_ key: [UInt8], _ again: inout UInt64) -> Int32
    static let maximumKeySize: UInt64 = 4096

    private enum Place { case resting, ready, running }

    private struct Item {
        var place = Place.resting
        /// Asked for again while it ran.
        var isDirty = false
        /// When it becomes ready; nil = not asked for.
        var due: UInt64?
        var failures = 0
        var readySince: UInt64 = 0
    }

    private let limit: Int
    private let pool: WorkerPool
    private let timers: Timers
    private let numbers: QueueMetrics
    private let action: Action
    private let monitor = Monitor()
    private var items: [[UInt8]: Item] = [:]
    private var ready = RingBuffer<[UInt8]>()
    private var delayed = DeadlineHeap<[UInt8]>()
    private var wakeUp: (handle: UInt64, at: UInt64)?
    /// Jobs in the pool, waiting or running.
    private var active = 0
    private var runners: Set<UInt> = []
    private var isDestroyed = false

    init(limit: Int, pool: WorkerPool, timers: Timers, numbers: QueueMetrics, action: @escaping Action) {
        self.limit = limit
        self.pool = pool
        self.timers = timers
        self.numbers = numbers
        self.action = action
    }

    /// Asks for a run of `key` after `delay` nanoseconds.
    func add(_ key: [UInt8], delay: UInt64) {
        numbers.record(numbers.adds, 1)
        let starts = monitor.locked {
            guard !isDestroyed else { return false }
            var item = items.removeValue(forKey: key) ?? Item()
            if delay == 0 { ask(&item, key) } else { postpone(&item, key, until: time(monotonicNow(), plus: delay)) }
            items[key] = item
            return claimWorker()
        }
        if starts { pool.submit(self) }
    }

    /// Makes a resting key ready now, or marks a running one. The lock is held.
    private func ask(_ item: inout Item, _ key: [UInt8]) {
        item.due = nil
        switch item.place {
        case .ready: break
        case .running: item.isDirty = !planted(.reconcileAddLost)
        case .resting:
            item.place = .ready
            item.readySince = monotonicNow()
            ready.append(key)
            numbers.record(numbers.depth, Double(ready.count))
        }
    }

    /// Plans a run at `due` unless an earlier one is planned. The lock is held.
    private func postpone(_ item: inout Item, _ key: [UInt8], until due: UInt64) {
        if item.place == .ready || item.isDirty { return }
        if let planned = item.due, planned <= due { return }
        item.due = due
        delayed.insert(key, at: due)
        if wakeUp.map({ due < $0.at }) ?? true { planWakeUp(at: due) }
    }

    private func planWakeUp(at due: UInt64) {
        if let wakeUp { timers.forgetSoon(wakeUp.handle) }
        let now = monotonicNow()
        do throws(StoreError) {
            let handle = try timers.start(delay: due > now ? due - now : 0, period: 0) { [weak self] _ in
                self?.releaseDue()
                return HOSTD_OK
            }
            wakeUp = (handle, due)
        } catch {
            // The timers are closed: the host is stopping and nothing will run any more.
            wakeUp = nil
        }
    }

    /// [worker thread] Makes ready what is due.
    private func releaseDue() {
        var jobs = 0
        monitor.locked {
            wakeUp = nil
            guard !isDestroyed else { return }
            let now = monotonicNow()
            while let (due, key) = delayed.popDue(now) {
                guard var item = items[key], item.due == due else { continue }
                ask(&item, key)
                items[key] = item
                if claimWorker() { jobs += 1 }
            }
            if let next = delayed.earliest { planWakeUp(at: next) }
        }
        for _ in 0..<jobs { pool.submit(self) }
    }

    /// Whether one more job is to be submitted; counts it. The lock is held.
    private func claimWorker() -> Bool {
        guard active < limit, active < ready.count + runners.count else { return false }
        active += 1
        return true
    }

    func run() {
        let thread = KernelThread.current
        monitor.lock()
        runners.insert(thread)
        while !isDestroyed, let key = ready.popFirst() {
            let started = monotonicNow()
            items[key]?.place = .running
            items[key]?.isDirty = false
            let since = items[key]?.readySince ?? started
            numbers.record(numbers.depth, Double(ready.count))
            numbers.record(numbers.running, Double(runners.count))
            monitor.unlock()
            numbers.record(numbers.waited, Double(started - min(since, started)) / 1e9)
            var again: UInt64 = 0
            let status = action(key, &again)
            numbers.record(numbers.worked, Double(monotonicNow() - started) / 1e9)
            monitor.lock()
            finish(key, failed: status < 0, again: again)
        }
        runners.remove(thread)
        active -= 1
        numbers.record(numbers.running, Double(runners.count))
        monitor.broadcast()
        monitor.unlock()
    }

    /// Decides what becomes of a key after its run. The lock is held.
    private func finish(_ key: [UInt8], failed: Bool, again: UInt64) {
        guard var item = items.removeValue(forKey: key), !isDestroyed else { return }
        item.place = .resting
        item.failures = failed ? item.failures + 1 : 0
        if item.isDirty {
            item.isDirty = false
            ask(&item, key)
        } else if failed {
            numbers.record(numbers.retries, 1)
            postpone(&item, key, until: time(monotonicNow(), plus: Backoff.delay(failures: item.failures)))
        } else if again > 0 {
            postpone(&item, key, until: time(monotonicNow(), plus: again))
        }
        if item.place == .ready || item.due != nil || item.failures > 0 { items[key] = item }
    }

    /// Forgets the failures of a key.
    func forget(_ key: [UInt8]) {
        monitor.locked {
            guard var item = items[key] else { return }
            item.failures = 0
            items[key] = item.place == .resting && item.due == nil ? nil : item
        }
    }

    /// Drops what waits and returns when nothing runs, except the caller's own run.
    func destroy() {
        monitor.lock()
        isDestroyed = true
        items = [:]
        while ready.popFirst() != nil {}
        let wakeUp = self.wakeUp
        self.wakeUp = nil
        let own = runners.contains(KernelThread.current) ? 1 : 0
        while runners.count > own { monitor.wait() }
        numbers.record(numbers.depth, 0)
        monitor.unlock()
        if let wakeUp { timers.cancel(wakeUp.handle) }
    }
}
