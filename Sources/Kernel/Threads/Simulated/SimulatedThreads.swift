#if SIMULATION
    /// What stands in for the system under the kernel's threads, locks and clock. Exactly one thread runs between two calls,
    /// so the implementation needs no lock of its own. Addresses only tell one lock from another.
    package protocol SimulatedThreads: AnyObject, Sendable {
        /// Virtual nanoseconds.
        func now() -> UInt64
        func random() -> UInt64

        func lock(_ mutex: UnsafeRawPointer)
        func unlock(_ mutex: UnsafeRawPointer)
        /// Gives `mutex` up, waits for a signal or the deadline (`.max` = none), and takes it again. False after the deadline.
        /// May return without a signal.
        func wait(_ condition: UnsafeRawPointer, _ mutex: UnsafeRawPointer, until deadline: UInt64) -> Bool
        func signal(_ condition: UnsafeRawPointer, all: Bool)

        /// Takes a lock that many may share; one that waits to have it alone goes before those that come to share it.
        func lock(_ lock: UnsafeRawPointer, alone: Bool)
        func release(_ lock: UnsafeRawPointer)

        func sleep(on word: UnsafeRawPointer)
        func wake(_ word: UnsafeRawPointer, all: Bool)

        /// Starts a thread; the result names it to `join`.
        func start(name: String, _ body: @escaping @Sendable () -> Void) -> UInt
        func join(_ thread: UInt)
        var current: UInt { get }
    }

    /// Set once, before the first use of the kernel, by the simulation.
    package nonisolated(unsafe) var simulationOfThreads: (any SimulatedThreads)?

    /// The scheduler that all blocking operations ask.
    @inline(__always) var simulatedThreads: any SimulatedThreads { simulationOfThreads.unsafelyUnwrapped }
#endif
