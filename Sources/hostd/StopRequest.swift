import Glibc
import Synchronization

/// Why and how the daemon is to end; the first request counts. Any thread.
final class StopRequest: Sendable {
    private let request = Mutex<(exitCode: Int32, reason: String)?>(nil)

    /// Wakes the main thread out of its wait for signals.
    func ask(exitCode: Int32, reason: String) {
        request.withLock { if $0 == nil { $0 = (exitCode, reason) } }
        kill(getpid(), SIGTERM)
    }

    var current: (exitCode: Int32, reason: String)? { request.withLock { $0 } }
}
