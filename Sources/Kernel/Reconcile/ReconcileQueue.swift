import PluginAPI

/// One keyed queue: `KeyedWork` behind a lock, worked on by jobs of the pool. See README.md.
final class ReconcileQueue: PoolJob, @unchecked Sendable {  // All state is behind `monitor`.
    typealias Priority = FairQueue.Priority
    /// Result negative = failed. The second argument asks for another run after so many nanoseconds. The key is borrowed.
    typealias Action = @Sendable (_ key: UnsafeBufferPointer<UInt8>, _ again: inout UInt64) -> Int32
    static let maximumKeySize: UInt64 = 4096

    enum Life { case open, draining, destroyed }

    let name: String
    private let limit: Int
    private let pool: WorkerPool
    private let timers: Timers
    private let action: Action
    private let monitor = Monitor()
    private var work = KeyedWork()
    private var life = Life.open
    /// Whether it was drained: then it refuses keys until it is destroyed, and does not just drop them.
    private var isDrained = false
    private var wakeUp: (handle: UInt64, at: UInt64)?
    /// Jobs in the pool, waiting or running.
    private var active = 0
    private var runners: [UInt] = []

    init(name: String, limit: Int, pool: WorkerPool, timers: Timers, action: @escaping Action) {
        self.name = name
        self.limit = limit
        self.pool = pool
        self.timers = timers
        self.action = action
    }

    /// Looks at the work with the lock held.
    func inspect<Result>(_ body: (inout KeyedWork, Life) -> Result) -> Result { monitor.locked { body(&work, life) } }

    // MARK: Adding

    /// Asks for a run of `key` after `delay` nanoseconds. `group` is whom it takes its turns with; nil = what stands before
    /// the last slash of the key. Throws WRONG_STATE when the queue drains. [any-thread]
    func add(
        _ key: UnsafeBufferPointer<UInt8>, group: UnsafeBufferPointer<UInt8>? = nil, priority: Priority = .interactive,
        delay: UInt64 = 0
    ) throws(StoreError) {
        let now = monotonicNow()
        monitor.lock()
        guard life == .open else {
            let isDraining = life == .draining || isDrained
            monitor.unlock()
            guard isDraining else { return }
            throw StoreError(HOSTD_ERROR_WRONG_STATE, "queue \(name) is being drained and takes no keys")
        }
        work.add(key, group: group, priority: priority, delay: delay, now: now)
        if delay > 0 { planWakeUp(now) }
        let starts = claimWorker()
        monitor.unlock()
        if starts { pool.submit(self) }
    }

    /// Sees to it that the next key that is due is noticed. The lock is held.
    private func planWakeUp(_ now: UInt64) {
        guard life == .open, let due = work.nextDeadline, wakeUp.map({ due < $0.at }) ?? true else { return }
        if let wakeUp { timers.forgetSoon(wakeUp.handle) }
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
            guard life == .open else { return }
            let now = monotonicNow()
            while work.releaseDue(now: now) {
                if claimWorker() { jobs += 1 }
            }
            planWakeUp(now)
        }
        for _ in 0..<jobs { pool.submit(self) }
    }

    // MARK: Working

    /// Whether one more job is to be submitted; counts it. The lock is held.
    private func claimWorker() -> Bool {
        guard active < limit, active < work.readyCount + runners.count else { return false }
        active += 1
        return true
    }

    func run() {
        let thread = KernelThread.current
        monitor.lock()
        runners.append(thread)
        var now = monotonicNow()
        while life != .destroyed, let number = work.begin(now: now) {
            let key = work.bytes(of: number)
            monitor.unlock()
            var again: UInt64 = 0
            let status = action(key, &again)
            now = monotonicNow()
            monitor.lock()
            if life == .destroyed {
                work.finishAbandoned(number, now: now)
            } else {
                work.finish(number, failed: status < 0, again: again, now: now)
                if status < 0 || again > 0 { planWakeUp(now) }
            }
        }
        if let place = runners.firstIndex(of: thread) { runners.remove(at: place) }
        active -= 1
        monitor.broadcast()
        monitor.unlock()
    }

    /// Forgets the failures of a key.
    func forget(_ key: UnsafeBufferPointer<UInt8>) {
        monitor.locked { if life == .open { work.forget(key) } }
    }

    // MARK: Ending

    /// Takes no more keys, and returns when all ready ones have run, or at `deadline` (monotonic nanoseconds). What waits for
    /// its time does not run. Nothing runs afterwards but what runs then. Called from the queue's own callback it does not
    /// wait for that.
    func drain(until deadline: UInt64) -> DrainedQueue {
        monitor.lock()
        defer { monitor.unlock() }
        guard life != .destroyed else { return DrainedQueue() }
        life = .draining
        isDrained = true
        let own = runners.contains(KernelThread.current) ? 1 : 0
        while !planted(.drainDropsReady), life == .draining, work.readyCount > 0 || work.running.count > own,
            monotonicNow() < deadline
        {
            monitor.wait(until: deadline)
        }
        return life == .draining ? stop() : DrainedQueue()
    }

    /// Drops what waits and returns when nothing runs, except the caller's own run.
    func destroy() {
        monitor.lock()
        if life != .destroyed { _ = stop() }
        let own = runners.contains(KernelThread.current) ? 1 : 0
        while runners.count > own { monitor.wait() }
        monitor.unlock()
    }

    /// The lock is held.
    private func stop() -> DrainedQueue {
        life = .destroyed
        if let wakeUp { timers.forgetSoon(wakeUp.handle) }
        wakeUp = nil
        monitor.broadcast()
        return work.abandon()
    }
}
