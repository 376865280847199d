import PluginAPI

/// Something that a `WorkerPool` runs once each time it is submitted.
protocol PoolJob: AnyObject, Sendable {
    /// [worker thread] May block.
    func run()
    /// What it works for, as a log names it: "watch of pods/".
    var subject: String { get }
}

extension PoolJob {
    var subject: String { "\(Self.self)" }
}

/// Threads for callbacks that may block. It starts one when a job finds none idle, up to a bound, and lets each go that
/// had nothing to do for ten seconds, except the last. Jobs start in the order of submission.
///
/// With `StuckJobs`, a job that does not return while others wait loses its place to another thread, until it returns.
public final class WorkerPool: @unchecked Sendable {  // All state is behind `monitor`.
    private static let idleNanoseconds: UInt64 = 10_000_000_000

    /// What becomes of jobs that do not return.
    struct StuckJobs: Sendable {
        /// Most threads in the place of stuck ones; then the others wait.
        static let limit = 64
        /// Nanoseconds that a job may run while others wait.
        var patience: UInt64
        /// Is told once of each. [any-thread]
        var report: @Sendable (_ subject: String) -> Void
    }

    /// What one thread does.
    private struct Place {
        var job: (any PoolJob)?
        /// Counts its jobs.
        var serial: UInt64 = 0
        var isStuck = false
        var isFree = false
    }

    private let name: String
    private let maximum: Int
    private let stuckJobs: StuckJobs?
    private let isPrompt: Bool
    private let monitor = Monitor()
    private var jobs = RingBuffer<any PoolJob>()
    private var threads = 0
    /// Threads that wait, those that were signalled and have not woken yet included.
    private var idle = 0
    /// Whether a signal may still be on its way. As long as it is, nobody else is woken: who wakes up finds all that has come
    /// meanwhile, and wakes another thread if there is more than it takes itself. So a burst of short jobs is done by the
    /// threads that run already, and long ones still get a thread each.
    private var isWaking = false
    private var stuck = 0
    private var places: [Place] = []
    private var isGuarded = false
    private var isClosed = false
    /// Wakes the guard when the pool is closed; `isOver` is behind it.
    private let end = Monitor()
    private var isOver = false

    /// `maximum` bounds the threads. No thread is started yet.
    public convenience init(name: String, maximum: Int) { self.init(name: name, maximum: maximum, stuckJobs: nil) }

    /// - Parameter isPrompt: whether jobs are short and others wait for what they hand on.
    init(name: String, maximum: Int, isPrompt: Bool = false, stuckJobs: StuckJobs?) {
        self.name = name
        self.isPrompt = isPrompt
        self.maximum = max(1, maximum)
        self.stuckJobs = stuckJobs
    }

    /// How many threads there are now.
    var threadCount: Int { monitor.locked { threads } }

    private var limit: Int { maximum + stuck }

    /// Runs `job` soon. After `close` it is dropped. When no thread can be had at all, the job runs here, on the caller's.
    func submit(_ job: any PoolJob) {
        monitor.lock()
        guard !isClosed else { return monitor.unlock() }
        jobs.append(job)
        let wakes = isToWake()
        let isShort = jobs.count > idle
        let starts = isShort && threads < limit
        if starts { threads += 1 }
        let needsGuard = isShort && !starts && stuckJobs != nil && !isGuarded
        if needsGuard { isGuarded = true }
        monitor.unlock()
        // Only now: who wakes up would wait for the lock.
        if wakes { monitor.signal() }
        if starts { startThread() }
        if needsGuard { startGuard() }
    }

    /// Whether a thread is to be signalled for the jobs that wait, once the lock is free. The lock is held.
    private func isToWake() -> Bool {
        guard !isWaking, idle > 0, !jobs.isEmpty else { return false }
        isWaking = true
        return true
    }

    private func startThread() {
        do throws(StoreError) {
            try KernelThread(name: name) { [self] in
                if isPrompt { ThreadPriority.takeShortTurns() }
                work()
            }.detach()
        } catch {
            monitor.lock()
            threads -= 1
            let job = threads == 0 ? jobs.popFirst() : nil
            monitor.unlock()
            job?.run()
        }
    }

    private func work() {
        monitor.lock()
        let place = takePlace()
        while true {
            if let job = jobs.popFirst() {
                run(job, at: place)
                // Back from being stuck, when there are enough without it.
                if threads > limit { break }
            } else if isClosed || !waitForJob() {
                break
            }
        }
        places[place].isFree = true
        threads -= 1
        monitor.broadcast()
        monitor.unlock()
    }

    private func takePlace() -> Int {
        if let free = places.firstIndex(where: \.isFree) {
            places[free].isFree = false
            return free
        }
        places.append(Place())
        return places.count - 1
    }

    /// The lock is held, and given up meanwhile.
    private func run(_ job: any PoolJob, at place: Int) {
        places[place].job = job
        places[place].serial &+= 1
        let wakes = isToWake()
        monitor.unlock()
        if wakes { monitor.signal() }
        job.run()
        monitor.lock()
        places[place].job = nil
        if places[place].isStuck {
            places[place].isStuck = false
            stuck -= 1
        }
    }

    /// Waits with the lock held. Returns false when this thread has been idle long enough to go.
    private func waitForJob() -> Bool {
        idle += 1
        defer { idle -= 1 }
        let deadline = monotonicNow() + Self.idleNanoseconds
        while jobs.isEmpty && !isClosed {
            // Whoever wakes up may be the one that was signalled: it looks at the jobs before it sleeps again or goes, and a
            // signal too many does no harm.
            defer { isWaking = false }
            if threads == 1 {
                monitor.wait()
            } else if !monitor.wait(until: deadline) && jobs.isEmpty && threads > 1 {
                return false
            }
        }
        return true
    }

    /// Drops the jobs that have not started, and returns when no thread is left. Not to be called from a job. Idempotent.
    public func close() {
        end.locked {
            isOver = true
            end.broadcast()
        }
        monitor.lock()
        isClosed = true
        while jobs.popFirst() != nil {}
        monitor.broadcast()
        while threads > 0 || isGuarded { monitor.wait() }
        monitor.unlock()
    }

    // MARK: Stuck jobs

    /// Looks after the threads as long as jobs wait for one; so a pool with enough of them costs nothing.
    private func startGuard() {
        do throws(StoreError) {
            try KernelThread(name: "\(name)-guard") { [self] in watchThreads() }.detach()
        } catch {
            // The next job that finds no thread tries again.
            monitor.locked { isGuarded = false }
        }
    }

    private func watchThreads() {
        guard let stuckJobs else { return }
        var seen: [UInt64] = []
        while true {
            let (subjects, starts, isDone) = monitor.locked { () -> ([String], Int, Bool) in
                let subjects = findStuck(seen)
                seen = places.map(\.serial)
                let starts = max(0, min(limit - threads, jobs.count - idle))
                threads += starts
                let isDone = isClosed || jobs.isEmpty
                if isDone {
                    isGuarded = false
                    monitor.broadcast()
                }
                return (subjects, starts, isDone)
            }
            for subject in subjects { stuckJobs.report(subject) }
            for _ in 0..<starts { startThread() }
            if isDone { return }
            let deadline = monotonicNow() + stuckJobs.patience
            end.locked { while !isOver, end.wait(until: deadline) {} }
        }
    }

    /// Marks the jobs that were at work at the last look already. The lock is held.
    private func findStuck(_ seen: [UInt64]) -> [String] {
        var subjects: [String] = []
        for (place, serial) in seen.enumerated() where stuck < StuckJobs.limit {
            guard let job = places[place].job, places[place].serial == serial, !places[place].isStuck else { continue }
            places[place].isStuck = true
            stuck += 1
            subjects.append(job.subject)
        }
        return subjects
    }
}
