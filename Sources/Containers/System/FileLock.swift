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
