import CEpoll
import Glibc
import PluginKit

/// Follows the content of a file, by a thread of its own: inotify(7) on its directory, which sees a file that is put in the place
/// of another as well, and a look once a minute for what that does not see (a link to another directory, a remote disk).
final class FileFollower: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `seen` is the thread's, `thread` is set by `start` and read by `stop`, one after the other;
    // the descriptors do not change.
    private static let pause: Int32 = 60_000

    private let path: String
    private let name: String
    private let log: Log
    private let changed: @Sendable ([UInt8]) -> Void
    private var seen: [UInt8]
    private let changes: Int32
    private let ending: Int32
    private var thread: PluginThread?

    /// - Parameters:
    ///   - name: Of the thread, 15 bytes at most.
    ///   - content: What the file had when it was last read.
    ///   - changed: Is told of each other content, on the thread.
    init(
        _ path: String, name: String, content: [UInt8], log: Log, changed: @escaping @Sendable ([UInt8]) -> Void
    ) throws(PluginError) {
        self.path = path
        self.name = name
        self.log = log
        self.changed = changed
        seen = content
        let changes = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
        guard changes >= 0 else { throw .system("watch", path, errno: errno) }
        let ending = eventfd(0, Int32(EFD_CLOEXEC))
        let slash = path.lastIndex(of: "/")
        let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        // Not when a file is made: it is read when its writer has closed it.
        guard ending >= 0, inotify_add_watch(changes, directory, UInt32(IN_CLOSE_WRITE | IN_MOVED_TO)) >= 0 else {
            let failure = PluginError.system("watch", directory, errno: errno)
            close(changes)
            if ending >= 0 { close(ending) }
            throw failure
        }
        self.changes = changes
        self.ending = ending
    }

    deinit {
        close(changes)
        close(ending)
    }

    func start() throws(PluginError) { thread = try PluginThread(name: name) { [self] in follow() } }

    /// Idempotent. [blocking]
    func stop() {
        var one: UInt64 = 1
        _ = write(ending, &one, 8)
        thread?.join()
        thread = nil
    }

    private func follow() {
        while true {
            // What was written between the first reading and the watch is found at once.
            look()
            var waiting = [
                pollfd(fd: changes, events: Int16(POLLIN), revents: 0),
                pollfd(fd: ending, events: Int16(POLLIN), revents: 0),
            ]
            _ = poll(&waiting, 2, Self.pause)
            if waiting[1].revents != 0 { return }
            var buffer = [UInt8](repeating: 0, count: 4096)
            while read(changes, &buffer, buffer.count) > 0 {}
        }
    }

    private func look() {
        let content: [UInt8]
        do {
            content = try AtomicFile.read(path, limit: ConfigurationFile.limit)
        } catch {
            log.warning("a file of settings cannot be read; what it said holds", ["reason": .string("\(error)")])
            return
        }
        guard content != seen else { return }
        seen = content
        changed(content)
    }
}
