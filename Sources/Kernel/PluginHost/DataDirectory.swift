import Glibc

/// The directory of `--data`: made for the owner alone, of one format, used by one hostd at a time.
public struct DataDirectory: ~Copyable {
    /// The format that this version writes. A change of the layout raises it.
    public static let format = 1

    /// Absolute.
    public let path: String
    private let lock: Int32

    /// Why a directory cannot be used.
    public struct Failure: Error, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Makes the directory if need be, locks it, and checks its format.
    public init(_ path: String) throws(Failure) {
        let absolute = try Self.make(path)
        let lock = try Self.takeLock(absolute)
        do throws(Failure) {
            try Self.checkFormat(absolute)
            try Self.makeSubdirectories(absolute)
        } catch {
            close(lock)
            throw error
        }
        self.path = absolute
        self.lock = lock
    }

    private static func makeSubdirectories(_ path: String) throws(Failure) {
        for name in ["plugins", "libraries", "logs"] where mkdir("\(path)/\(name)", 0o700) != 0 && errno != EEXIST {
            throw Failure(description: "cannot make \(path)/\(name): \(errorText(errno))")
        }
    }

    deinit { close(lock) }

    private static func make(_ path: String) throws(Failure) -> String {
        var made = path.hasPrefix("/") ? "/" : ""
        let parts = path.split(separator: "/")
        for (index, part) in parts.enumerated() {
            made += (made.isEmpty || made == "/" ? "" : "/") + part
            let mode: mode_t = index == parts.count - 1 ? 0o700 : 0o755
            guard mkdir(made, mode) == 0 || errno == EEXIST else {
                throw Failure(description: "cannot make the data directory \(path): \(made): \(errorText(errno))")
            }
        }
        guard let resolved = realpath(path, nil) else {
            throw Failure(description: "cannot use the data directory \(path): \(errorText(errno))")
        }
        defer { free(resolved) }
        let absolute = String(cString: resolved)
        var status = stat()
        guard stat(absolute, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw Failure(description: "the data directory \(path) is not a directory")
        }
        guard status.st_uid == geteuid() else {
            throw Failure(
                description:
                    "the data directory \(path) belongs to user \(status.st_uid), hostd runs as user \(geteuid()): give it to that user, or choose another"
            )
        }
        guard status.st_mode & 0o077 == 0 || chmod(absolute, 0o700) == 0 else {
            throw Failure(description: "cannot close the data directory \(path) to others: \(errorText(errno))")
        }
        return absolute
    }

    /// The lock is the open file: it ends with the process, however that ends.
    private static func takeLock(_ path: String) throws(Failure) -> Int32 {
        let file = "\(path)/lock"
        let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure(description: "cannot open \(file): \(errorText(errno))") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let reason = errno
            let holder = contents(descriptor, limit: 32)
            close(descriptor)
            guard reason == EWOULDBLOCK else { throw Failure(description: "cannot lock \(file): \(errorText(reason))") }
            throw Failure(
                description:
                    "the data directory \(path) is in use by another hostd (process \(holder)): stop that one, or choose another directory with --data"
            )
        }
        let text = "\(getpid())\n"
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, text, text.utf8.count, 0) == text.utf8.count else {
            let reason = errorText(errno)
            close(descriptor)
            throw Failure(description: "cannot write \(file): \(reason)")
        }
        return descriptor
    }

    private static func contents(_ descriptor: Int32, limit: Int) -> String {
        var buffer = [UInt8](repeating: 0, count: limit)
        let count = pread(descriptor, &buffer, limit, 0)
        return String(decoding: buffer[..<max(0, count)].prefix { $0 != 0x0A }, as: UTF8.self)
    }

    private static func checkFormat(_ path: String) throws(Failure) {
        let file = "\(path)/format"
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            guard errno == ENOENT else { throw Failure(description: "cannot open \(file): \(errorText(errno))") }
            return try writeFormat(path)
        }
        let found = contents(descriptor, limit: 32)
        close(descriptor)
        guard found == "\(format)" else {
            let shown = found.isEmpty || !found.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) ? "damaged" : found
            throw Failure(
                description:
                    "the data directory \(path) has the format \(shown), this hostd (\(HostEnvironment.version)) uses \(format): run the version that made it, or choose an empty directory with --data"
            )
        }
    }

    /// Whole or absent, and on disk when this returns.
    private static func writeFormat(_ path: String) throws(Failure) {
        let (file, draft) = ("\(path)/format", "\(path)/format.new")
        let text = "\(format)\n"
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure(description: "cannot make \(draft): \(errorText(errno))") }
        let isWritten = write(descriptor, text, text.utf8.count) == text.utf8.count && fsync(descriptor) == 0
        let reason = errorText(errno)
        close(descriptor)
        guard isWritten, rename(draft, file) == 0 else { throw Failure(description: "cannot write \(file): \(reason)") }
        let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw Failure(description: "cannot open \(path): \(errorText(errno))") }
        defer { close(directory) }
        guard fsync(directory) == 0 else {
            throw Failure(description: "cannot write \(path) to disk: \(errorText(errno))")
        }
    }
}
