import CStateStore

/// Lets one thread sleep until another has something for it, once. Cheaper than a monitor: one word of memory.
struct WakeWord: @unchecked Sendable {  // The word is only touched atomically.
    // A word of the heap, not of the stack: Swift may move what it believes to own.
    private let word: UnsafeMutablePointer<UInt32>

    init() {
        word = .allocate(capacity: 1)
        word.initialize(to: 0)
    }

    /// Sleeps until `fire`. [blocking]
    func wait() {
        #if SIMULATION
            while word.pointee == 0 { simulatedThreads.sleep(on: word) }
        #else
            store_futex_wait(word)
        #endif
    }

    /// Wakes the sleeper, who may `free` the word at once: it is not touched afterwards.
    func fire() {
        #if SIMULATION
            word.pointee = 1
            simulatedThreads.wake(word, all: true)
        #else
            store_futex_wake(word)
        #endif
    }

    /// Gives the word back, after `wait`.
    func free() { word.deallocate() }
}
