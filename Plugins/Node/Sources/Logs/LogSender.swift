import Glibc
import Objects

/// Sends a container's log over a stream, and with `follow` what is written until the container ends or the client
/// goes. Runs on a thread of its own.
final class LogSender {
    private let path: String
    private let options: LogOptions
    private let stream: PacketStream
    /// Becomes readable when the container has ended.
    private let exit: ExitSignal?
    private var formatter: LogFormatter
    private var descriptor: Int32 = -1
    private var buffer = [UInt8](repeating: 0, count: 32 << 10)
    /// Makes what tells of changes in a directory.
    private let watch: (String) throws -> DirectoryWatcher
    /// How often a log is looked at whose directory cannot be watched, in milliseconds.
    private static let period: Int32 = 200

    /// - Parameter watch: makes what tells of changes in a directory.
    init(
        path: String, options: LogOptions, stream: PacketStream, exit: ExitSignal?,
        watch: @escaping (String) throws -> DirectoryWatcher = DirectoryWatcher.init
    ) {
        self.path = path
        self.watch = watch
        self.options = options
        self.stream = stream
        self.exit = exit
        formatter = LogFormatter(options)
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Returns when all is sent; throws when the client has gone.
    func run() throws {
        let watcher = options.follow ? try watcher() : nil
        var start = 0
        let files = try LogFiles.all(path)
        var first = 0
        if let wanted = options.tailLines { (first, start) = try tail(files, lines: wanted) }
        for file in files[first...] {
            try open(file)
            if start > 0 { lseek(descriptor, off_t(start), SEEK_SET) }
            start = 0
            try sendRest()
            if formatter.isDone { return }
        }
        if options.follow { try follow(watcher) }
    }

    /// Nil where the system gives out no more of them: a user may have few, and everybody who follows a log has one.
    private func watcher() throws -> DirectoryWatcher? {
        do {
            return try watch(LogFiles.split(path).directory)
        } catch let error as SystemError where [EMFILE, ENFILE, ENOSPC].contains(error.code) {
            return nil
        }
    }

    /// Which file, and where in it, the last lines begin.
    private func tail(_ files: [String], lines: Int) throws -> (file: Int, offset: Int) {
        var left = lines
        for (index, file) in files.enumerated().reversed() {
            try open(file)
            guard descriptor >= 0 else { continue }
            var information = stat()
            try SystemError.check("stat", file) { fstat(descriptor, &information) }
            let (offset, found) = try LogTail.offset(descriptor, size: Int(information.st_size), lines: left)
            left -= found
            if offset > 0 || left <= 0 { return (index, offset) }
        }
        return (0, 0)
    }

    private func open(_ file: String) throws {
        if descriptor >= 0 { close(descriptor) }
        descriptor = Glibc.open(file, O_RDONLY | O_CLOEXEC)
        // A log that was never written to, or has just been removed, is an empty one.
        if descriptor < 0, errno != ENOENT { throw SystemError("open", file) }
    }

    private func sendRest() throws {
        guard descriptor >= 0 else { return }
        while !formatter.isDone {
            let count = try SystemError.check("read", path) { read(descriptor, &buffer, buffer.count) }
            if count == 0 { return }
            let text = formatter.format(buffer[..<count])
            if !text.isEmpty { try stream.send(text) }
        }
    }

    private func follow(_ watcher: DirectoryWatcher?) throws {
        var hasEnded = exit?.hasEnded ?? true
        while true {
            try sendRest()
            if try wasRotated() {
                try open(path)
                continue
            }
            if formatter.isDone || hasEnded { return }
            var waits = [
                pollfd(fd: watcher?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: stream.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: exit?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            try SystemError.check("poll", path) { poll(&waits, 3, watcher == nil ? Self.period : -1) }
            // A client that follows a log says nothing; what can be read is its end.
            if waits[1].revents != 0, try stream.receive() == nil { return }
            if waits[0].revents != 0 { watcher?.drain() }
            if waits[2].revents != 0 { hasEnded = true }
        }
    }

    /// Whether the open file is no longer the one at the path, and there is one.
    private func wasRotated() throws -> Bool {
        guard let present = try Files.status(path) else { return false }
        guard descriptor >= 0 else { return true }
        var own = stat()
        try SystemError.check("stat", path) { fstat(descriptor, &own) }
        return own.st_ino != present.st_ino || own.st_dev != present.st_dev
    }
}

/// Changes in one directory, by inotify(7).
final class DirectoryWatcher {
    let descriptor: Int32

    init(_ directory: String) throws {
        descriptor = try SystemError.check("inotify_init1", "") {
            inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
        }
        let events = UInt32(IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE)
        if inotify_add_watch(descriptor, directory, events) < 0 {
            let failure = SystemError("watch", directory)
            close(descriptor)
            throw failure
        }
    }

    deinit { close(descriptor) }

    /// Takes what has been reported; that something changed is all that matters.
    func drain() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while read(descriptor, &buffer, buffer.count) > 0 {}
    }
}
