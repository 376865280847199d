import Glibc
import Synchronization

/// What two threads do with one variable: rightly, or not.
enum PlantedRace: String, CaseIterable {
    /// Nothing orders them.
    case unguarded
    /// Each holds a lock, but not the same one.
    case twoLocks = "two-locks"
    /// What a lock guards is used after it was given back.
    case usedAfterUnlock = "used-after-unlock"
    /// The variable is handed over by a flag that orders nothing.
    case relaxedFlag = "relaxed-flag"
    /// One lock that is held so long that the other thread has to wait for it.
    case contendedLock = "contended-lock"
    /// The same, taken by trying.
    case triedLock = "tried-lock"
    /// The variable is handed over by a flag that orders.
    case releasedFlag = "released-flag"

    /// Whether the sanitizer must find something.
    var isFound: Bool {
        switch self {
        case .unguarded, .twoLocks, .usedAfterUnlock, .relaxedFlag: true
        case .contendedLock, .triedLock, .releasedFlag: false
        }
    }

    /// Whether a thread must have waited for a lock, or nothing is proven.
    var mustContend: Bool { self == .contendedLock }

    private static let rounds = 2000

    func run() {
        let shared = Shared()
        let threads = [Thread { work(shared, 0) }, Thread { work(shared, 1) }]
        for thread in threads { thread.join() }
    }

    private func work(_ shared: Shared, _ number: Int) {
        switch self {
        case .unguarded: shared.count += 1
        case .twoLocks:
            if number == 0 { shared.first.withLock { _ in shared.count += 1 } }
            if number == 1 { shared.second.withLock { _ in shared.count += 1 } }
        case .usedAfterUnlock:
            let box = shared.first.withLock { _ in shared }
            box.count += 1
        case .relaxedFlag:
            if number == 0 {
                shared.count += 1
                shared.flag.store(true, ordering: .relaxed)
            } else {
                while !shared.flag.load(ordering: .relaxed) { sched_yield() }
                shared.count += 1
            }
        case .releasedFlag:
            if number == 0 {
                shared.count += 1
                shared.flag.store(true, ordering: .releasing)
            } else {
                while !shared.flag.load(ordering: .acquiring) { sched_yield() }
                shared.count += 1
            }
        case .contendedLock: for _ in 0..<Self.rounds { shared.first.withLock { _ in shared.hold() } }
        case .triedLock:
            var done = 0
            while done < Self.rounds {
                if shared.first.withLockIfAvailable({ _ in shared.hold() }) != nil { done += 1 } else { sched_yield() }
            }
        }
    }
}

/// What the threads share.
private final class Shared: @unchecked Sendable {  // What guards `count`, if anything, is each case's own matter.
    var count = 0
    let first = Mutex<Void>(())
    let second = Mutex<Void>(())
    let flag = Atomic<Bool>(false)

    /// Changes the variable, and lets the other thread come meanwhile.
    func hold() {
        count += 1
        sched_yield()
        count += 1
    }
}

/// A thread of the system's.
private struct Thread {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private var identity = pthread_t()

    init(_ run: @escaping @Sendable () -> Void) {
        let result = pthread_create(
            &identity, nil,
            { argument in
                if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, Unmanaged.passRetained(Body(run)).toOpaque())
        if result != 0 { end("no thread can be started: \(String(cString: strerror(result)))", code: 2) }
    }

    func join() { pthread_join(identity, nil) }
}
