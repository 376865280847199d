import PluginAPI

/// Something that a `WorkerPool` runs once each time it is submitted.
protocol PoolJob: AnyObject, Sendable {
    /// [worker thread] May block.
    func run()
}

/// Threads for callbacks that may block. It starts one when a job finds none idle, up to a bound, and lets each go that
/// had nothing to do for ten seconds, except the last. Jobs start in the order of submission.
public final class WorkerPool: @unchecked Sendable {  // All state is behind `monitor`.
    private static let idleNanoseconds: UInt64 = 10_000_000_000

    private let name: String
    private let maximum: Int
    private let monitor = Monitor()
    private var jobs = RingBuffer<any PoolJob>()
    private var threads = 0
    /// Threads that wait, those that were signalled and have not woken yet included.
    private var idle = 0
    private var isClosed = false

    /// `maximum` bounds the threads. No thread is started yet.
    public init(name: String, maximum: Int) {
        self.name = name
        self.maximum = max(1, maximum)
    }

    /// Runs `job` soon. After `close` it is dropped. When no thread can be had at all, the job runs here, on the caller's.
    func submit(_ job: any PoolJob) {
        monitor.lock()
        guard !isClosed else { return monitor.unlock() }
        jobs.append(job)
        if idle > 0 { monitor.signal() }
        if jobs.count > idle && threads < maximum {
            threads += 1
            monitor.unlock()
            return startThread()
        }
        monitor.unlock()
    }

    private func startThread() {
        do throws(StoreError) {
            try KernelThread(name: name) { [self] in work() }.detach()
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
        while true {
            if let job = jobs.popFirst() {
                monitor.unlock()
                job.run()
                monitor.lock()
            } else if isClosed || !waitForJob() {
                break
            }
        }
        threads -= 1
        monitor.broadcast()
        monitor.unlock()
    }

    /// Waits with the lock held. Returns false when this thread has been idle long enough to go.
    private func waitForJob() -> Bool {
        idle += 1
        defer { idle -= 1 }
        let deadline = monotonicNow() + Self.idleNanoseconds
        while jobs.isEmpty && !isClosed {
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
        monitor.lock()
        isClosed = true
        while jobs.popFirst() != nil {}
        monitor.broadcast()
        while threads > 0 { monitor.wait() }
        monitor.unlock()
    }
}
