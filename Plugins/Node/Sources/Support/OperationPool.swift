import CEpoll
import Glibc

/// Threads for work that blocks for long: stopping containers, hooks, exec probes. They are the node's own, so that a
/// hundred stubborn containers do not use up the host's workers. A thread without work ends after some seconds.
final class OperationPool: @unchecked Sendable {
    // SAFETY: all state is guarded by `mutex`, which lives as long as the object.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    /// There is work, or the pool was closed: for the pool's threads.
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// A thread has become idle or has ended: for who waits for that.
    private let quiet = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var waiting: [@Sendable () -> Void] = []
    private var threads = 0
    private var idle = 0
    private var isClosed = false
    private let maximum: Int
    private let idleSeconds: Int

    static let stackBytes = 512 << 10

    init(maximum: Int, idleSeconds: Int = 5) {
        self.maximum = maximum
        self.idleSeconds = idleSeconds
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
        pthread_cond_init(quiet, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_cond_destroy(quiet)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        quiet.deallocate()
        mutex.deallocate()
    }

    /// Runs `work` soon; a closed pool drops it.
    func run(_ work: @escaping @Sendable () -> Void) {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        if isClosed { return }
        waiting.append(work)
        if idle >= waiting.count {
            pthread_cond_signal(condition)
        } else if threads < maximum {
            threads += 1
            if !startThread() { threads -= 1 }
        }
    }

    /// Drops what waits and returns when nothing runs any more, or after `seconds`: what a thread waits for (a container
    /// that takes its time to stop) then outlives the pool, which changes nothing for the container.
    /// - Returns: whether all came to its end.
    @discardableResult
    func close(waitingSeconds seconds: Int = 3) -> Bool {
        var deadline = timespec()
        clock_gettime(CLOCK_REALTIME, &deadline)
        deadline.tv_sec += seconds
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        isClosed = true
        waiting.removeAll()
        pthread_cond_broadcast(condition)
        while threads > 0 {
            if pthread_cond_timedwait(quiet, mutex, &deadline) == ETIMEDOUT { return threads == 0 }
        }
        return true
    }

    /// Lets all that waits and runs come to its end, then closes.
    func finish() {
        pthread_mutex_lock(mutex)
        while !waiting.isEmpty || threads > idle { pthread_cond_wait(quiet, mutex) }
        pthread_mutex_unlock(mutex)
        close()
    }

    private func startThread() -> Bool {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, Self.stackBytes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let this = Unmanaged.passRetained(self)
        let result = pthread_create(
            &thread, &attributes,
            { context in
                guard let context else { return nil }
                Unmanaged<OperationPool>.fromOpaque(context).takeRetainedValue().work()
                return nil
            }, this.toOpaque())
        if result != 0 { this.release() }
        return result == 0
    }

    private func work() {
        pthread_setname_np(pthread_self(), "node-operation")
        pthread_mutex_lock(mutex)
        while true {
            if !waiting.isEmpty {
                let next = waiting.removeFirst()
                pthread_mutex_unlock(mutex)
                next()
                pthread_mutex_lock(mutex)
                continue
            }
            if isClosed { break }
            var deadline = timespec()
            clock_gettime(CLOCK_REALTIME, &deadline)
            deadline.tv_sec += idleSeconds
            idle += 1
            if idle == threads { pthread_cond_broadcast(quiet) }
            let result = pthread_cond_timedwait(condition, mutex, &deadline)
            idle -= 1
            if result == ETIMEDOUT && waiting.isEmpty { break }
        }
        threads -= 1
        pthread_cond_broadcast(quiet)
        pthread_mutex_unlock(mutex)
    }
}
