import CPluginCheck
import Glibc
import Kernel

/// A child process that makes the checks of one group, as its supervisor sees it.
final class Worker {
    /// How a worker ended.
    enum End: Equatable {
        case finished
        case exited(Int32)
        case killed(Int32)
        /// Nothing was heard of it for the time that one check may take.
        case silent
    }

    private var lines: [UInt8] = []
    /// The last of what came on standard error.
    private(set) var errors: [UInt8] = []
    private(set) var printed: [UInt8] = []
    private var rawStatus: Int32?
    private var isFinished = false

    struct Failure: Error { let message: String }

    /// Starts this program again with `words`, hands each line to `take`, and waits for the end.
    func run(_ words: [String], timeout: Int, take: (JSON) -> Void) throws(Failure) -> End {
        var pipes: [[Int32]] = []
        for _ in 0..<3 {
            var ends: [Int32] = [0, 0]
            guard pipe(&ends) == 0 else { throw Failure(message: "pipe: \(String(cString: strerror(errno)))") }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            pipes.append(ends)
        }
        let process = try start(words, pipes)
        for ends in pipes { close(ends[1]) }
        defer { for ends in pipes { close(ends[0]) } }
        let isSilent = !listen(pipes.map { $0[0] }, timeout: timeout, take)
        if isSilent || rawStatus != nil { kill(process, SIGKILL) }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        if isFinished { return .finished }
        if isSilent { return .silent }
        let raw = rawStatus ?? status
        return raw & 0x7F == 0 ? .exited(raw >> 8 & 0xFF) : .killed(raw & 0x7F)
    }

    private func start(_ words: [String], _ pipes: [[Int32]]) throws(Failure) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, pipes[0][1], 3)
        posix_spawn_file_actions_adddup2(&actions, pipes[1][1], 1)
        posix_spawn_file_actions_adddup2(&actions, pipes[2][1], 2)
        var arguments = (["hostd-plugin-check"] + words).map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process = pid_t()
        // The runtime of Swift would describe a crash at length; the finding has its place already.
        setenv("SWIFT_BACKTRACE", "enable=no", 1)
        let result = posix_spawn(&process, "/proc/self/exe", &actions, nil, &arguments, environ)
        guard result == 0 else {
            throw Failure(message: "cannot start a worker: \(String(cString: strerror(result)))")
        }
        return process
    }

    /// Reads until the worker said that it is done, its end was told, or all is closed; false after silence.
    private func listen(_ ends: [Int32], timeout: Int, _ take: (JSON) -> Void) -> Bool {
        var open = ends
        var deadline = monotonicSeconds() + timeout
        while !open.isEmpty {
            var waits = open.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            let left = deadline - monotonicSeconds()
            guard left >= 0 else { return false }
            _ = poll(&waits, nfds_t(waits.count), Int32(left * 1000 + 100))
            for wait in waits where wait.revents != 0 {
                var buffer = [UInt8](repeating: 0, count: 65536)
                let count = read(wait.fd, &buffer, buffer.count)
                guard count > 0 else {
                    if count == 0 || errno != EINTR { open.removeAll { $0 == wait.fd } }
                    continue
                }
                if wait.fd == ends[0] {
                    deadline = monotonicSeconds() + timeout
                    lines += buffer[..<count]
                    takeLines(take)
                } else if wait.fd == ends[1] {
                    printed = (printed + buffer[..<count]).suffix(4096)
                } else {
                    errors = (errors + buffer[..<count]).suffix(4096)
                }
            }
            if isFinished || rawStatus != nil { return true }
        }
        return true
    }

    private func takeLines(_ take: (JSON) -> Void) {
        while let end = lines.firstIndex(of: 0x0A) {
            let line = Array(lines[..<end])
            lines.removeFirst(end + 1)
            // A plugin can write into this pipe too: what is no message is nothing.
            guard let message = try? JSON(parsing: line) else { continue }
            if let status = message["status"].integerValue { rawStatus = Int32(truncatingIfNeeded: status) }
            if message["done"].boolValue == true { isFinished = true }
            take(message)
        }
    }
}

func monotonicSeconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec
}

func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
