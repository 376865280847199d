import CAllocator
import Glibc
import Kernel

/// What a daemon asks of the system before it starts threads.
enum ProcessSetup {
    /// Signals that the main thread waits for; blocked in every thread.
    static var waitedSignals: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&set, signal) }
        return set
    }

    static func prepare() {
        noticeAllocator()
        signal(SIGPIPE, SIG_IGN)
        var set = waitedSignals
        pthread_sigmask(SIG_BLOCK, &set, nil)
        umask(0o022)
        raiseFileLimit()
        keepStandardOutput()
    }

    /// Nothing fails without it; memory and speed are not what they are measured to be.
    private static func noticeAllocator() {
        guard allocator_is_in_charge() == 0 else { return }
        Output.errorLine(
            "hostd: memory is not allocated by jemalloc as it was built to: is LD_PRELOAD or MALLOC_CONF set?")
    }

    /// As many open files as the hard limit allows; the soft one is often 1024.
    private static func raiseFileLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max
        else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// Standard output carries the ready line alone: what plugins print goes to standard error.
    private static func keepStandardOutput() {
        let copy = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else { return }
        Output.standard = copy
        dup2(STDERR_FILENO, STDOUT_FILENO)
    }

    /// Whether SIGTERM or SIGINT waits to be taken.
    static var isStopPending: Bool {
        var set = sigset_t()
        sigpending(&set)
        return sigismember(&set, SIGTERM) == 1 || sigismember(&set, SIGINT) == 1
    }

    /// Lets a second SIGTERM or SIGINT end the process at once.
    static func letSignalsEndTheProcess() {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in [SIGTERM, SIGINT] { sigaddset(&set, signal) }
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
    }
}
