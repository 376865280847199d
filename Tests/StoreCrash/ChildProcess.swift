import Glibc

/// When a child is killed.
enum KillMoment {
    /// So long after its start, microseconds; early ones hit the recovery.
    case after(microseconds: Int)
    /// When this many writes were acknowledged.
    case acknowledged(Int)
    /// So many microseconds after a file whose name matches came into being in the store's directory.
    case file(prefix: String, suffix: String, delay: Int)
    /// When `ready` says so of what was reported.
    case reported(@Sendable ([JournalLine]) -> Bool)
}

struct CrashFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// This executable once more, with other arguments. Its journal comes through a pipe.
final class ChildProcess {
    private let identity: pid_t
    private let output: Int32
    private let changes: DirectoryWatch?
    private var text: [UInt8] = []
    private var isKilled = false
    /// What it reported so far, whole lines.
    private(set) var lines: [JournalLine] = []

    /// - Parameter directory: the store's, so that its files can be watched.
    init(_ arguments: [String], directory: String) throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw CrashFailure("pipe: \(systemError())") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        changes = DirectoryWatch(directory)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], Journal.descriptor)
        var words = (["StoreCrash"] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        let result = posix_spawn(&child, "/proc/self/exe", &actions, nil, &words, environ)
        close(ends[1])
        guard result == 0 else {
            close(ends[0])
            throw CrashFailure("posix_spawn: \(String(cString: strerror(result)))")
        }
        (identity, output) = (child, ends[0])
    }

    deinit {
        if !isKilled {
            kill(identity, SIGKILL)
            var status: Int32 = 0
            waitpid(identity, &status, 0)
        }
        close(output)
    }

    /// Reads until the moment has come, at most `seconds`, then kills the process and reads the rest. Returns whether the
    /// moment had come; false when the time was over, or when the child ended by itself before.
    func run(until moment: KillMoment, seconds: Int) throws -> Bool {
        let hasCome = try wait(for: moment, seconds: seconds)
        kill(identity, SIGKILL)
        var status: Int32 = 0
        while waitpid(identity, &status, 0) < 0 {
            guard errno == EINTR else { throw CrashFailure("waitpid: \(systemError())") }
        }
        isKilled = true
        while readSome() {}
        return hasCome
    }

    /// Goes on reading, without killing, until the moment has come.
    func wait(for moment: KillMoment, seconds: Int) throws -> Bool {
        let start = now()
        var deadline = start + seconds * 1_000_000
        var isTimed = false
        if case .after(let microseconds) = moment { (deadline, isTimed) = (start + microseconds, true) }
        while true {
            if now() >= deadline { return isTimed }
            switch moment {
            case .after: break
            case .acknowledged(let count):
                if lines.count(where: { if case .acknowledged = $0 { true } else { false } }) >= count { return true }
            case .file(let prefix, let suffix, let delay):
                if !isTimed, changes?.appeared(prefix: prefix, suffix: suffix) == true {
                    (deadline, isTimed) = (now() + delay, true)
                }
            case .reported(let ready): if ready(lines) { return true }
            }
            if !poll(until: deadline) { return false }
        }
    }

    /// Waits for output, for a change of the directory, or for the deadline. False when the child has ended.
    private func poll(until deadline: Int) -> Bool {
        var waits = [pollfd(fd: output, events: Int16(POLLIN), revents: 0)]
        if let changes { waits.append(pollfd(fd: changes.descriptor, events: Int16(POLLIN), revents: 0)) }
        let left = max(0, deadline - now())
        // The last millisecond is spent in turns, so that a kill hits its microsecond.
        _ = Glibc.poll(&waits, nfds_t(waits.count), Int32(left / 1000))
        guard waits[0].revents != 0 else { return true }
        return readSome() || waits[0].revents & Int16(POLLHUP) == 0
    }

    /// Takes what lies in the pipe. False when there is nothing.
    private func readSome() -> Bool {
        var chunk = [UInt8](repeating: 0, count: 256 << 10)
        let count = read(output, &chunk, chunk.count)
        guard count > 0 else { return false }
        text += chunk[..<count]
        guard let end = text.lastIndex(of: 10) else { return true }
        for line in text[..<end].split(separator: 10) {
            let line = String(decoding: line, as: UTF8.self)
            lines.append(JournalLine(line) ?? .failure("an unreadable line: \(line)"))
        }
        text.removeSubrange(...end)
        return true
    }

    private func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000_000 + time.tv_nsec / 1000
    }
}

func systemError() -> String { String(cString: strerror(errno)) }
