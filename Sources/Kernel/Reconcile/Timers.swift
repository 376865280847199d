import PluginAPI

/// One-shot and repeating timers on the monotonic clock: `hostd.timers/1`. One thread waits for the earliest deadline;
/// callbacks run on the worker pool. Without a timer there is no thread.
public final class Timers: @unchecked Sendable {  // All state is behind `monitor`; timers have their own lock.
    private let workers: WorkerPool
    private let monitor = Monitor()
    private var heap = DeadlineHeap<RunningTimer>()
    private var timers: [UInt64: RunningTimer] = [:]
    private var nextHandle: UInt64 = 1
    private var thread: KernelThread?
    private var isClosed = false
    private var table: InterfaceTable<hostd_timers_1>?

    public init(workers: WorkerPool) {
        self.workers = workers
    }

    /// Starts a timer; see the header. Returns its handle.
    func start(
        delay: UInt64, period: UInt64, action: @escaping RunningTimer.Action
    ) throws(StoreError) -> UInt64 {
        try monitor.locked { () throws(StoreError) in
            guard !isClosed else {
                throw StoreError(HOSTD_ERROR_WRONG_STATE, "the host is stopping: no timer can be started")
            }
            try startThread()
            let timer = RunningTimer(handle: nextHandle, period: period, owner: self, action: action)
            nextHandle += 1
            timers[timer.handle] = timer
            insert(timer, at: time(monotonicNow(), plus: delay))
            return timer.handle
        }
    }

    private func startThread() throws(StoreError) {
        guard thread == nil else { return }
        thread = try KernelThread(name: "hostd-timers") { [unowned self] in wait() }
    }

    private func insert(_ timer: RunningTimer, at deadline: UInt64) {
        timer.deadline = deadline
        let isEarliest = heap.earliest.map { deadline < $0 } ?? true
        heap.insert(timer, at: deadline)
        if isEarliest { monitor.signal() }
    }

    /// Called by a timer after its run.
    fileprivate func again(_ timer: RunningTimer, at deadline: UInt64) {
        monitor.locked {
            if timers[timer.handle] != nil && !isClosed { insert(timer, at: deadline) }
        }
    }

    fileprivate func remove(_ handle: UInt64) {
        monitor.locked { _ = timers.removeValue(forKey: handle) }
    }

    private func wait() {
        monitor.lock()
        while !isClosed {
            while let (deadline, timer) = heap.popDue(monotonicNow()) {
                if timers[timer.handle] != nil && timer.deadline == deadline { workers.submit(timer) }
            }
            if let earliest = heap.earliest { monitor.wait(until: earliest) } else { monitor.wait() }
        }
        monitor.unlock()
    }

    /// Ends a timer; when it returns the callback is not running, unless called from it. Idempotent.
    func cancel(_ handle: UInt64) {
        let timer = monitor.locked { timers.removeValue(forKey: handle) }
        timer?.cancel()
    }

    /// Ends a timer without waiting for a run of it.
    func forgetSoon(_ handle: UInt64) {
        monitor.locked { _ = timers.removeValue(forKey: handle) }
    }

    /// Ends all timers and the thread. Idempotent.
    public func close() {
        monitor.lock()
        isClosed = true
        let all = Array(timers.values)
        timers = [:]
        let thread = self.thread
        self.thread = nil
        monitor.signal()
        monitor.unlock()
        thread?.join()
        for timer in all { timer.cancel() }
    }

    /// The table `hostd.timers/1`: same address at each call, valid as long as this object.
    public func makeInterface() -> UnsafePointer<hostd_interface> {
        monitor.locked {
            if let table { return table.interface }
            let new = InterfaceTable(id: HOSTD_TIMERS_1, slots: HOSTD_TIMERS_1_SLOTS, owner: self) {
                Self.makeTable($0)
            }
            table = new
            return new.interface
        }
    }

    private static func makeTable(_ head: hostd_interface) -> hostd_timers_1 {
        hostd_timers_1(
            interface: head,
            start: { this, delay, period, callback, context, timer, error in
                answering(error) { () throws(StoreError) in
                    let callback = try present(callback)
                    let context = CallbackContext(pointer: context)
                    timer.pointee = try owner(this, as: Timers.self).start(delay: delay, period: period) { again in
                        withUnsafePointer(to: UInt8(0)) { callback(context.pointer, $0, 0, &again) }
                    }
                }
            },
            cancel: { this, timer, _ in
                owner(this, as: Timers.self).cancel(timer)
                return HOSTD_OK
            })
    }
}

/// The context pointer of a callback, to be handed back and never looked at.
struct CallbackContext: @unchecked Sendable {  // The ABI says that callbacks come from any thread.
    let pointer: UnsafeMutableRawPointer?
}

/// One timer: a job that the pool runs at each deadline.
final class RunningTimer: PoolJob, @unchecked Sendable {
    // SAFETY: `deadline` is behind the owner's lock, the rest behind `monitor`.

    /// Result negative = failed; the argument asks for another run after so many nanoseconds.
    typealias Action = @Sendable (inout UInt64) -> Int32

    let handle: UInt64
    private let period: UInt64
    private unowned let owner: Timers
    private let action: Action
    private let monitor = Monitor()
    private var runner: UInt?
    private var isCancelled = false
    private var failures = 0
    /// The deadline that counts; other heap entries are void.
    var deadline: UInt64 = 0

    init(handle: UInt64, period: UInt64, owner: Timers, action: @escaping Action) {
        self.handle = handle
        self.period = period
        self.owner = owner
        self.action = action
    }

    func run() {
        let proceed = monitor.locked {
            if isCancelled { return false }
            runner = KernelThread.current
            return true
        }
        guard proceed else { return }
        let due = deadline
        var again: UInt64 = 0
        let status = action(&again)
        failures = status < 0 ? failures + 1 : 0
        let next = nextDeadline(due: due, again: again)
        let cancelled = monitor.locked {
            runner = nil
            monitor.broadcast()
            return isCancelled
        }
        if cancelled { return }
        if let next { owner.again(self, at: next) } else { owner.remove(handle) }
    }

    private func nextDeadline(due: UInt64, again: UInt64) -> UInt64? {
        let now = monotonicNow()
        if failures > 0 && period == 0 { return time(now, plus: Backoff.delay(failures: failures)) }
        if period > 0 { return max(time(due, plus: period), now) }
        return again > 0 ? time(now, plus: again) : nil
    }

    func cancel() {
        monitor.lock()
        isCancelled = true
        while let runner, runner != KernelThread.current { monitor.wait() }
        monitor.unlock()
    }
}

/// Checks a callback that the ABI requires: C can pass NULL where Swift's import says that there is a function.
func present<Function>(_ function: Function) throws(StoreError) -> Function {
    guard unsafeBitCast(function, to: UInt.self) != 0 else { throw .invalid("the callback is NULL; pass a function") }
    return function
}
