import Glibc
import Objects
import Synchronization

/// Where on the host the users and groups of pods are that have users of their own. Each pod has a range for itself, which is
/// written down in its directory: it stays over a restart, and is free again when the directory goes.
final class UserRanges: Sendable {
    /// Users of a pod: 0 to 65535. The host's own are below the first range.
    static let size: Int64 = 65_536

    private let paths: NodePaths
    /// Held from the look at what is taken until the choice is written.
    private let choosing = Mutex<Void>(())

    init(paths: NodePaths) { self.paths = paths }

    /// The range of a pod, which it gets now or has already.
    func range(of uid: String) throws -> JSON {
        let first = try choosing.withLock { _ in
            if let known = try start(of: uid) { return known }
            let taken = Set(try Files.list(paths.pods).compactMap { try start(of: $0) })
            let ranges = stride(from: Self.size, to: Int64(UInt32.max) - Self.size, by: Int(Self.size))
            guard let free = ranges.first(where: { !taken.contains($0) }) else {
                throw SystemError("choose users for", uid, code: EUSERS)
            }
            try Files.makeDirectories(paths.pod(uid))
            try Files.replace(paths.userRange(uid), with: Array("\(free)\n".utf8), mode: 0o644)
            return free
        }
        return ["hostID": .integer(first), "size": .integer(Self.size)]
    }

    private func start(of uid: String) throws -> Int64? {
        Int64(try Files.text(paths.userRange(uid)).prefix { $0 != "\n" })
    }
}
