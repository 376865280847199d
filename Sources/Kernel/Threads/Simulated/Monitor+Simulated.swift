#if SIMULATION
    /// A mutex with a condition, as the scheduler of the simulation keeps them.
    final class Monitor: @unchecked Sendable {  // One thread runs at a time.
        private var mutex: UnsafeRawPointer { UnsafeRawPointer(Unmanaged.passUnretained(self).toOpaque()) }
        private var condition: UnsafeRawPointer { mutex + 1 }

        func lock() { simulatedThreads.lock(mutex) }
        func unlock() { simulatedThreads.unlock(mutex) }

        func locked<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
            lock()
            defer { unlock() }
            return try body()
        }

        func wait() { _ = simulatedThreads.wait(condition, mutex, until: .max) }

        @discardableResult
        func wait(until deadline: UInt64) -> Bool { simulatedThreads.wait(condition, mutex, until: deadline) }

        func signal() { simulatedThreads.signal(condition, all: false) }
        func broadcast() { simulatedThreads.signal(condition, all: true) }
    }

    /// Many readers or one writer; a waiting writer goes before new readers. Not recursive.
    final class ReadWriteLock: @unchecked Sendable {  // One thread runs at a time.
        private var address: UnsafeRawPointer { UnsafeRawPointer(Unmanaged.passUnretained(self).toOpaque()) }

        func reading<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
            simulatedThreads.lock(address, alone: false)
            defer { simulatedThreads.release(address) }
            return try body()
        }

        func writing<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
            simulatedThreads.lock(address, alone: true)
            defer { simulatedThreads.release(address) }
            return try body()
        }
    }

    /// A thread of the simulation.
    struct KernelThread: Sendable {
        private let identity: UInt

        init(name: String, stackSize: Int = 512 << 10, _ body: @escaping @Sendable () -> Void) throws(StoreError) {
            identity = simulatedThreads.start(name: name, body)
        }

        func join() { simulatedThreads.join(identity) }
        func detach() {}

        static var current: UInt { simulatedThreads.current }
    }
#endif
