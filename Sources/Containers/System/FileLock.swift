import Glibc
import PluginKit
import Synchronization

/// A lock that holds between threads and between processes: flock(2) on a file of its own. Freed when its holder ends.
package final class FileLock: Sendable {
    private let path: String
    /// The descriptor is shared by the threads of this process, and flock does not tell them apart.
    private let file: Mutex<Descriptor>

    package init(_ path: String) throws(PluginError) {
        self.path = path
        file = Mutex(try Descriptor(opening: path, O_RDWR | O_CREAT, mode: 0o600))
    }

    /// Waits for the lock, however long its holder takes.
    package func withLock<Result: Sendable>(_ body: () throws(PluginError) -> Result) throws(PluginError) -> Result {
        try file.withLock { file throws(PluginError) in
            while flock(file.number, LOCK_EX) != 0 {
                if errno != EINTR { throw .system("lock", path, errno: errno) }
            }
            defer { flock(file.number, LOCK_UN) }
            return try body()
        }
    }

    /// Between two looks at a lock that another process holds: flock(2) tells nobody when it is free, and takes no time-out.
    private static let lookMicroseconds: UInt32 = 10_000

    /// Waits for the lock until `deadline`, monotonic nanoseconds, 0 = for ever: HOSTD_ERROR_DEADLINE_EXCEEDED with
    /// `message` when it has passed.
    package func withLock<Result: Sendable>(
        until deadline: UInt64, orThrow message: String, _ body: () throws(PluginError) -> Result
    ) throws(PluginError) -> Result {
        if deadline == 0 { return try withLock(body) }
        while true {
            let done: Result?? = try file.withLockIfAvailable { file throws(PluginError) -> Result? in
                if flock(file.number, LOCK_EX | LOCK_NB) != 0 {
                    if errno == EWOULDBLOCK || errno == EINTR { return nil }
                    throw .system("lock", path, errno: errno)
                }
                defer { flock(file.number, LOCK_UN) }
                return try body()
            }
            if case .some(.some(let result)) = done { return result }
            guard monotonicNanoseconds() < deadline else { throw .deadlineExceeded(message) }
            usleep(Self.lookMicroseconds)
        }
    }

    /// Runs `body` unless somebody else holds the lock.
    package func ifFree(_ body: () throws(PluginError) -> Void) throws(PluginError) {
        try file.withLock { file throws(PluginError) in
            if flock(file.number, LOCK_EX | LOCK_NB) != 0 {
                if errno == EWOULDBLOCK { return }
                throw .system("lock", path, errno: errno)
            }
            defer { flock(file.number, LOCK_UN) }
            try body()
        }
    }
}
