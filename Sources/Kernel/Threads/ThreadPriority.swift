import CTurns
import Glibc

/// Lets the calling thread go before others while they wait for what it does.
enum ThreadPriority {
    /// The last of the real-time threads.
    private static let realTime: Int32 = 1
    /// How far an ordinary thread goes before others: a nice value.
    enum Precedence: Int32 {
        /// Before all that have not asked for the same.
        case first = -15
        /// Sooner than others, which yet have most of a busy processor.
        case some = -5
    }
    private static let process = __priority_which_t(PRIO_PROCESS.rawValue)
    /// SCHED_RESET_ON_FORK of sched(7).
    private static let resetOnFork: Int32 = 0x4000_0000
    /// Of a thread that is to be served soon, in nanoseconds.
    private static let shortTurn: UInt64 = 100_000

    /// Runs `body` before all ordinary threads of the machine where hostd may do that (CAP_SYS_NICE), and elsewhere as
    /// `preferred` does. Only for what mostly sleeps, has all others wait when it does not, and goes on by itself: the thread
    /// that does nothing but bring writes to disk. Threads and processes that `body` starts do not inherit it.
    ///
    /// A nice value would not do. What an ordinary thread of great weight takes out of turn is owed to the others (EEVDF, Linux
    /// 6.6 on), and the kernel's worker that flushes the disk for it, the heaviest of all, waits until they have had
    /// it: up to 8 ms on a busy processor, for a flush of 0.1 ms. A real-time thread has no part in that account.
    static func raised<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        let before = sched_getscheduler(0) & ~resetOnFork
        guard before != SCHED_FIFO, before != SCHED_RR else { return try body() }
        var parameters = sched_param(sched_priority: realTime)
        guard sched_setscheduler(0, SCHED_FIFO | resetOnFork, &parameters) == 0 else {
            takeShortTurns()
            return try preferred(body)
        }
        defer {
            parameters.sched_priority = 0
            sched_setscheduler(0, SCHED_OTHER, &parameters)
        }
        return try body()
    }

    /// Runs `body` ahead of other ordinary threads where hostd may do that, and as ever where it may not. Only for short work.
    /// Threads and processes that `body` starts do not inherit it.
    static func preferred<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        let before = niceness
        let preferred = Precedence.first.rawValue
        guard before > preferred, setpriority(Self.process, 0, preferred) == 0 else { return try body() }
        var parameters = sched_param()
        sched_setscheduler(0, SCHED_OTHER | resetOnFork, &parameters)
        defer {
            sched_setscheduler(0, SCHED_OTHER, &parameters)
            setpriority(Self.process, 0, before)
        }
        return try body()
    }

    /// The nice value of the calling thread.
    static var niceness: Int32 { getpriority(process, 0) }  // 0 is the calling thread, and -1 an answer as any other.

    /// Changes how far the calling thread goes before others, inside the body of `preferred`; without effect where hostd may not.
    /// - Parameter niceness: of the thread before that body: it never comes to be behind where it was.
    static func change(to precedence: Precedence, from niceness: Int32) {
        setpriority(Self.process, 0, min(niceness, precedence.rawValue))
    }

    /// Has the calling thread run soon after it wakes up, for a short while at a time, in its share of the processor: for what
    /// hands something on that others wait for.
    static func takeShortTurns() { hostd_thread_turns(shortTurn) }
}
