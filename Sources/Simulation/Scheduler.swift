import Glibc

/// Runs threads one at a time: each gives the turn on at a *point* (a lock, a wait, a signal, a disk operation), and the
/// seed decides who is next. Time is virtual: every point takes a little of it, and when all threads wait it jumps to the
/// next deadline. So what happens depends on the seed alone.
///
/// The threads are real ones of the system, each asleep until it has the turn; so all their own state (stacks, `errno`) is
/// as in production. A crash is that no thread gets the turn any more; the process ends soon afterwards.
public final class Scheduler: @unchecked Sendable {  // Only the thread that has the turn touches it.
    /// Why `run` returned.
    public enum Stop: Equatable, Sendable {
        /// All threads have ended, or wait for each other for ever: their names.
        case idle(waiting: [String])
        /// The point of the crash was reached.
        case crash
        /// More points than any good run needs.
        case endless
    }

    enum Wait: Equatable {
        case nothing
        case mutex(UnsafeRawPointer)
        case condition(UnsafeRawPointer)
        case lock(UnsafeRawPointer, alone: Bool)
        case word(UnsafeRawPointer)
        case thread(UInt)
        case time

        /// Whether the system may end this wait without a cause.
        var isSpurious: Bool {
            switch self {
            case .condition, .word: true
            default: false
            }
        }
    }

    final class Thread {
        let name: String
        let turn = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
        let body: @Sendable () -> Void
        var wait = Wait.nothing
        var deadline = UInt64.max
        var timedOut = false
        var isOver = false

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
            sem_init(turn, 0, 0)
        }
    }

    /// One point in so many gives the turn to another thread; the others go on.
    public var switchRate = 4
    /// One point in so many wakes a thread that waits for a signal, without one. 0 = never.
    public var spuriousRate = 300
    /// One point in so many holds its thread up for some milliseconds, as a busy machine does. 0 = never.
    public var stallRate = 0
    /// `run` returns at this point.
    public var crashPoint = UInt64.max
    /// `run` gives up here.
    public var lastPoint = UInt64.max
    /// Gets a line for each event, when set.
    public var log: ((String) -> Void)?

    /// Points so far.
    public private(set) var points: UInt64 = 0
    /// Nanoseconds.
    public private(set) var time: UInt64 = 1_000_000_000
    /// Of all that happened so far.
    public private(set) var trace: UInt64 = 0xCBF2_9CE4_8422_2325

    private var generator: Generator
    private var chance: Generator
    private(set) var threads: [Thread] = []
    private var ready: [Int] = []
    private(set) var running = -1
    private let controller = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    private var stop: Stop?

    private var holders: [UnsafeRawPointer: Int] = [:]
    private var shares: [UnsafeRawPointer: Int] = [:]

    public init(generator: Generator) {
        self.generator = generator
        chance = self.generator.split()
        sem_init(controller, 0, 0)
    }

    // MARK: The controller's side

    /// Runs the threads until the crash, until all are over, or until nothing can go on. Afterwards either start new
    /// ones and run again, or, after a crash, `abandon` these.
    public func run() -> Stop {
        stop = nil
        running = -1
        guard let next = choose() else { return idle }
        give(next)
        wait(controller)
        running = -1
        return stop ?? idle
    }

    /// Forgets all threads: they never run again. Their locks are void.
    public func abandon() {
        threads.removeAll()
        ready.removeAll()
        holders.removeAll()
        shares.removeAll()
        running = -1
    }

    private var idle: Stop { .idle(waiting: threads.filter { !$0.isOver }.map(\.name)) }

    /// Adds to the trace: what happened and with which numbers.
    public func note(_ event: @autoclosure () -> String, _ numbers: UInt64...) {
        for number in numbers { trace = (trace ^ number) &* 0x100_0000_01B3 }
        log?("\(time / 1000) µs \(running >= 0 ? threads[running].name : "-"): \(event())")
    }

    // MARK: Turns

    private func give(_ thread: Int) {
        running = thread
        trace = (trace ^ UInt64(thread)) &* 0x100_0000_01B3
        sem_post(threads[thread].turn)
    }

    private func wait(_ semaphore: UnsafeMutablePointer<sem_t>) {
        while sem_wait(semaphore) != 0 {}
    }

    /// The next thread to run, with its wait over; nil when none ever can. Lets time pass when all wait.
    private func choose() -> Int? {
        wakeDue()
        if ready.isEmpty {
            var earliest = UInt64.max
            for thread in threads where thread.wait != .nothing { earliest = min(earliest, thread.deadline) }
            guard earliest != .max else { return nil }
            time = max(time, earliest)
            wakeDue()
        }
        let position = generator.below(ready.count)
        ready.swapAt(position, ready.count - 1)
        return ready.removeLast()
    }

    private func wakeDue() {
        for position in threads.indices where threads[position].deadline <= time {
            threads[position].timedOut = true
            makeReady(position)
        }
        if spuriousRate > 0, chance.oneIn(spuriousRate) {
            let sleepers = threads.indices.filter { threads[$0].wait.isSpurious }
            if !sleepers.isEmpty { makeReady(chance.pick(sleepers)) }
        }
    }

    private func makeReady(_ position: Int) {
        threads[position].wait = .nothing
        threads[position].deadline = .max
        ready.append(position)
    }

    /// Ends the waits of those that `isMet` names.
    private func wake(_ isMet: (Wait) -> Bool) {
        for position in threads.indices where isMet(threads[position].wait) { makeReady(position) }
    }

    /// Gives the turn away. The caller is `ready` or waits for something.
    private func yield() {
        let me = threads[running]
        if points >= crashPoint || points >= lastPoint {
            stop = points >= crashPoint ? .crash : .endless
            sem_post(controller)
            return wait(me.turn)  // For ever.
        }
        guard let next = choose() else {
            stop = idle
            sem_post(controller)
            return wait(me.turn)
        }
        if threads[next] === me {
            running = next
            return
        }
        give(next)
        wait(me.turn)
    }

    /// A place where another thread may go on.
    public func point() {
        points += 1
        time += UInt64(200 + generator.below(1600))
        if generator.oneIn(stallRate) {
            sleep(nanoseconds: UInt64(generator.below(30_000_000)))
        } else if points >= crashPoint || points >= lastPoint || generator.oneIn(switchRate) {
            ready.append(running)
            yield()
        }
    }

    private func wait(for wait: Wait, until deadline: UInt64 = .max) {
        points += 1
        let me = threads[running]
        me.wait = wait
        me.deadline = deadline
        me.timedOut = false
        yield()
    }

    /// Sleeps for some virtual time.
    public func sleep(nanoseconds: UInt64) { wait(for: .time, until: time + nanoseconds) }

    // MARK: What threads wait for

    public func random() -> UInt64 { chance.next() }

    public func lock(_ mutex: UnsafeRawPointer) {
        point()
        take(mutex)
    }

    private func take(_ mutex: UnsafeRawPointer) {
        while let holder = holders[mutex] {
            precondition(holder != running, "\(threads[running].name) takes a lock that it holds")
            wait(for: .mutex(mutex))
        }
        holders[mutex] = running
    }

    public func unlock(_ mutex: UnsafeRawPointer) {
        leave(mutex)
        point()
    }

    private func leave(_ mutex: UnsafeRawPointer) {
        precondition(holders[mutex] == running, "\(threads[running].name) releases a lock that it does not hold")
        holders[mutex] = nil
        wake { $0 == .mutex(mutex) }
    }

    public func wait(_ condition: UnsafeRawPointer, _ mutex: UnsafeRawPointer, until deadline: UInt64) -> Bool {
        leave(mutex)
        wait(for: .condition(condition), until: deadline)
        let inTime = !threads[running].timedOut
        take(mutex)
        return inTime
    }

    public func signal(_ condition: UnsafeRawPointer, all: Bool) {
        let waiting = threads.indices.filter { threads[$0].wait == .condition(condition) }
        if all {
            for position in waiting { makeReady(position) }
        } else if !waiting.isEmpty {
            makeReady(generator.pick(waiting))
        }
        point()
    }

    /// Takes a lock that many may share; those that come to share it wait behind one that waits to have it alone.
    public func lock(_ lock: UnsafeRawPointer, alone: Bool) {
        point()
        while holders[lock] != nil || (alone ? shares[lock] ?? 0 > 0 : isWantedAlone(lock)) {
            wait(for: .lock(lock, alone: alone))
        }
        if alone { holders[lock] = running } else { shares[lock, default: 0] += 1 }
    }

    private func isWantedAlone(_ lock: UnsafeRawPointer) -> Bool {
        threads.contains { $0.wait == .lock(lock, alone: true) }
    }

    public func release(_ lock: UnsafeRawPointer) {
        if holders[lock] == running {
            holders[lock] = nil
        } else {
            guard let count = shares[lock] else {
                preconditionFailure("\(threads[running].name) releases a lock that nobody shares")
            }
            shares[lock] = count == 1 ? nil : count - 1
        }
        wake { $0 == .lock(lock, alone: true) || $0 == .lock(lock, alone: false) }
        point()
    }

    public func sleep(on word: UnsafeRawPointer) { wait(for: .word(word)) }

    public func wake(_ word: UnsafeRawPointer, all: Bool) {
        let waiting = threads.indices.filter { threads[$0].wait == .word(word) }
        if all {
            for position in waiting { makeReady(position) }
        } else if !waiting.isEmpty {
            makeReady(generator.pick(waiting))
        }
        point()
    }

    /// Starts a thread; also the controller may. The result names it to `join`.
    @discardableResult
    public func start(name: String, _ body: @escaping @Sendable () -> Void) -> UInt {
        let number = threads.count
        let thread = Thread(name: "\(name)#\(number)", body: body)
        threads.append(thread)
        ready.append(number)
        create(Start(thread: thread, scheduler: self))
        if running >= 0 { point() }
        return UInt(number)
    }

    private final class Start {
        let thread: Thread
        let scheduler: Scheduler
        init(thread: Thread, scheduler: Scheduler) {
            self.thread = thread
            self.scheduler = scheduler
        }
    }

    private func create(_ start: Start) {
        var identity = pthread_t()
        let result = pthread_create(
            &identity, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                start.scheduler.wait(start.thread.turn)
                start.thread.body()
                start.scheduler.end(start.thread)
                return nil
            }, Unmanaged.passRetained(start).toOpaque())
        precondition(result == 0, "no thread can be started: \(String(cString: strerror(result)))")
        pthread_detach(identity)
    }

    private func end(_ thread: Thread) {
        points += 1
        thread.isOver = true
        let number = UInt(running)
        wake { $0 == .thread(number) }
        if points >= crashPoint || points >= lastPoint {
            stop = points >= crashPoint ? .crash : .endless
        } else if let next = choose() {
            return give(next)
        } else {
            stop = idle
        }
        running = -1
        sem_post(controller)
    }

    public func join(_ thread: UInt) {
        point()
        while !threads[Int(thread)].isOver { wait(for: .thread(thread)) }
    }

    public var current: UInt { UInt(bitPattern: running) }
    public func now() -> UInt64 {
        time
    }
}

#if SIMULATION
    import Kernel
    extension Scheduler: SimulatedThreads {}
#endif
