import Glibc

/// Lets the calling thread go first while others wait for what it does.
enum ThreadPriority {
    /// Before all that has not asked for the same; time-critical threads of the system (real time) still come first.
    private static let raised: Int32 = -15
    private static let process = __priority_which_t(PRIO_PROCESS.rawValue)
    /// SCHED_RESET_ON_FORK of sched(7).
    private static let resetOnFork: Int32 = 0x4000_0000

    /// Runs `body` ahead of other threads of the machine where hostd may do that (CAP_SYS_NICE), and as ever where it may
    /// not. Only for short work, and for what mostly sleeps and has all others wait when it does not. Threads and processes that `body` starts do not inherit it.
    static func raised<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        let before = getpriority(Self.process, 0)  // 0 is the calling thread, and -1 an answer as any other.
        guard before > raised, setpriority(Self.process, 0, raised) == 0 else { return try body() }
        var parameters = sched_param()
        sched_setscheduler(0, SCHED_OTHER | resetOnFork, &parameters)
        defer {
            sched_setscheduler(0, SCHED_OTHER, &parameters)
            setpriority(Self.process, 0, before)
        }
        return try body()
    }
}
