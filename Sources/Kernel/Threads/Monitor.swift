#if !SIMULATION
    import Glibc

    /// A mutex with a condition on the monotonic clock. Memory at a fixed address, as pthread asks for.
    final class Monitor: @unchecked Sendable {  // The two pthread objects are made for use from any thread.
        private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

        init() {
            mutex.initialize(to: pthread_mutex_t())
            pthread_mutex_init(mutex, nil)
            condition.initialize(to: pthread_cond_t())
            var attributes = pthread_condattr_t()
            pthread_condattr_init(&attributes)
            pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
            pthread_cond_init(condition, &attributes)
            pthread_condattr_destroy(&attributes)
        }

        deinit {
            pthread_cond_destroy(condition)
            pthread_mutex_destroy(mutex)
            condition.deallocate()
            mutex.deallocate()
        }

        @inline(__always) func lock() { pthread_mutex_lock(mutex) }
        @inline(__always) func unlock() { pthread_mutex_unlock(mutex) }

        @inline(__always) func locked<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure)
            -> Result
        {
            lock()
            defer { unlock() }
            return try body()
        }

        /// Waits for a signal; the caller holds the lock and checks its condition in a loop.
        func wait() { pthread_cond_wait(condition, mutex) }

        /// Waits for a signal or until `deadline` (monotonic nanoseconds). Returns false when the time is over.
        @discardableResult
        func wait(until deadline: UInt64) -> Bool {
            var time = timespec(tv_sec: Int(clamping: deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
            return pthread_cond_timedwait(condition, mutex, &time) != ETIMEDOUT
        }

        func signal() { pthread_cond_signal(condition) }
        func broadcast() { pthread_cond_broadcast(condition) }
    }
#endif
