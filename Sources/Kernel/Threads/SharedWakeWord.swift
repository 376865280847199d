import CStateStore

/// Lets any number of threads sleep until another has something for all of them, once. Who fires wakes one of them, which
/// wakes the others: so firing costs the same for one thread and for many.
final class SharedWakeWord: @unchecked Sendable {  // The word is only touched atomically.
    /// 0 = not fired, 1 = fired, and who sees it first wakes the others, 2 = fired.
    private let word: UnsafeMutablePointer<UInt32>

    init() {
        word = .allocate(capacity: 1)
        word.initialize(to: 0)
    }

    deinit { word.deallocate() }

    /// Sleeps until `fire`; returns at once after it. [blocking]
    func wait() {
        #if SIMULATION
            while word.pointee == 0 { simulatedThreads.sleep(on: word) }
            guard word.pointee == 1, !planted(.wakeUpNotPassedOn) else { return }
            word.pointee = 2
            simulatedThreads.wake(word, all: true)
        #else
            store_futex_wait_shared(word)
        #endif
    }

    /// Wakes all sleepers, present and future, of whom there are at most `count`. To be called once, by who holds a reference
    /// meanwhile.
    func fire(for count: Int) {
        #if SIMULATION
            word.pointee = count > 1 ? 1 : 2
            simulatedThreads.wake(word, all: false)
        #else
            store_futex_fire_shared(word, count > 1)
        #endif
    }
}
