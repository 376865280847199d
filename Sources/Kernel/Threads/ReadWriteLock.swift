#if !SIMULATION
    import CStateStore

    /// Many readers or one writer; a waiting writer goes before new readers. Not recursive.
    final class ReadWriteLock: @unchecked Sendable {  // The lock is made for use from any thread.
        private let lock: UnsafeMutableRawPointer

        init() {
            // SAFETY: fails only when a few dozen bytes cannot be had, at start.
            lock = store_lock_make()!
        }

        deinit { store_lock_free(lock) }

        @inline(__always)
        func reading<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
            store_lock_read(lock)
            defer { store_lock_release(lock) }
            return try body()
        }

        @inline(__always)
        func writing<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
            store_lock_write(lock)
            defer { store_lock_release(lock) }
            return try body()
        }
    }
#endif
