import Glibc
import Synchronization

/// Threads for requests that must wait: extensions, deletions of collections. They come when needed, up to a bound, and
/// go when there has been nothing to do for a while.
final class WorkerPool: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): all state is guarded by `lock`.
    private static let idleSeconds = 10
    private let limit: Int
    private let queueLimit: Int
    private var lock = pthread_mutex_t()
    private var condition = pthread_cond_t()
    private struct Item {
        var work: @Sendable () -> Void
        var dropped: @Sendable () -> Void
    }
    private var queue: [Item] = []
    private var threads = 0
    private var idle = 0
    private var isStopping = false

    init(limit: Int, queueLimit: Int = 4096) {
        self.limit = limit
        self.queueLimit = queueLimit
        pthread_mutex_init(&lock, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(&condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_mutex_destroy(&lock)
        pthread_cond_destroy(&condition)
    }

    /// Runs `work` on one of the threads; false when too much waits already or the pool has stopped.
    /// - Parameters:
    ///   - isOwn: for work of the server's own, of which there is a little at most: it waits however much does.
    ///   - dropped: called instead when the pool stops before it is the work's turn, so that who waits for it waits no longer.
    func run(
        isOwn: Bool = false, dropped: @escaping @Sendable () -> Void = {}, _ work: @escaping @Sendable () -> Void
    ) -> Bool {
        pthread_mutex_lock(&lock)
        guard !isStopping, isOwn || queue.count < queueLimit else {
            pthread_mutex_unlock(&lock)
            return false
        }
        queue.append(Item(work: work, dropped: dropped))
        let mustStart = idle < queue.count && threads < limit
        if mustStart { threads += 1 } else { pthread_cond_signal(&condition) }
        pthread_mutex_unlock(&lock)
        if mustStart { startThread() }
        return true
    }

    /// Lets what runs finish, drops what waits. [blocking]
    func stop() {
        pthread_mutex_lock(&lock)
        isStopping = true
        let left = queue
        queue = []
        pthread_cond_broadcast(&condition)
        pthread_mutex_unlock(&lock)
        // A thread of this pool may be one that waits for it.
        for item in left { item.dropped() }
        pthread_mutex_lock(&lock)
        while threads > 0 { pthread_cond_wait(&condition, &lock) }
        pthread_mutex_unlock(&lock)
    }

    /// Undoes `stop`.
    func restart() {
        pthread_mutex_lock(&lock)
        isStopping = false
        pthread_mutex_unlock(&lock)
    }

    private func startThread() {
        do {
            let thread = try LoopThread(name: "api-worker", stackSize: 1 << 20) { [self] in serve() }
            thread.detach()
        } catch {
            // No thread to be had: others take the work, and when there is none, the next request tries again.
            pthread_mutex_lock(&lock)
            threads -= 1
            pthread_mutex_unlock(&lock)
        }
    }

    private func serve() {
        pthread_mutex_lock(&lock)
        while true {
            if !queue.isEmpty {
                var item: Item? = queue.removeFirst()
                pthread_mutex_unlock(&lock)
                item?.work()
                // What the work holds is let go without the lock: that may have to run something here.
                item = nil
                pthread_mutex_lock(&lock)
                continue
            }
            if isStopping { break }
            var until = timespec()
            clock_gettime(CLOCK_MONOTONIC, &until)
            until.tv_sec += Self.idleSeconds
            idle += 1
            let status = pthread_cond_timedwait(&condition, &lock, &until)
            idle -= 1
            if status == ETIMEDOUT, queue.isEmpty { break }
        }
        threads -= 1
        pthread_cond_broadcast(&condition)
        pthread_mutex_unlock(&lock)
    }
}
