import CSystem
import Glibc
import Objects
import PluginKit

/// A process that is to be started. Nothing here knows of containers.
struct Launch {
    var arguments: [String]
    /// "NAME=VALUE", over a plain PATH.
    var environment: [String]
    var directory: String?
    /// Its standard input, output and error; -1 = /dev/null.
    var streams: [Int32] = [-1, -1, -1]

    init(_ arguments: [JSON], environment: JSON, directory: String? = nil) {
        self.arguments = arguments.compactMap(\.stringValue)
        let pairs = environment.arrayValue.map { "\($0["name"].stringValue ?? "")=\($0["value"].stringValue ?? "")" }
        self.environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] + pairs
        self.directory = directory
    }

    /// Starts it as the leader of a group of its own, with signals as they come from the system. An error names the command.
    func start() throws -> pid_t {
        guard let program = arguments.first, !program.isEmpty else {
            throw PluginError.invalid("there is no command: images here have none of their own")
        }
        var process = pid_t()
        let code = spawn(program, &process)
        if code == 0 { return process }
        let message = "\(program) cannot be executed: \(String(cString: strerror(code)))"
        throw code == ENOENT ? PluginError.notFound(message) : PluginError.invalid(message)
    }

    private func spawn(_ program: String, _ process: inout pid_t) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        var (all, none) = (sigset_t(), sigset_t())
        sigfillset(&all)
        sigemptyset(&none)
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        // hostd blocks and ignores signals that a program of its own wants.
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setsigmask(&attributes, &none)
        let setSession: Int32 = 0x80  // POSIX_SPAWN_SETSID, a GNU extension.
        posix_spawnattr_setflags(&attributes, Int16(setSession | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        for (place, stream) in streams.enumerated() {
            if stream >= 0 {
                posix_spawn_file_actions_adddup2(&actions, stream, Int32(place))
            } else {
                posix_spawn_file_actions_addopen(&actions, Int32(place), "/dev/null", O_RDWR, 0)
            }
        }
        if let directory { system_add_directory(&actions, directory) }
        var argumentPointers = arguments.map { strdup($0) } + [nil]
        var environmentPointers = environment.map { strdup($0) } + [nil]
        defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
        return posix_spawnp(&process, program, &actions, &attributes, &argumentPointers, &environmentPointers)
    }
}

/// What is done to a process by its number, which is its own until it is reaped.
enum Processes {
    /// Signals the whole group.
    static func kill(_ process: pid_t, _ signal: Int32) {
        if Glibc.kill(-process, signal) != 0 { _ = Glibc.kill(process, signal) }
    }

    /// Returns when the process has ended, and leaves it to be reaped.
    static func awaitEnd(_ process: pid_t) {
        var about = siginfo_t()
        while waitid(P_PID, id_t(process), &about, WEXITED | WNOWAIT) != 0, errno == EINTR {}
    }

    /// The exit code; 128 and the signal's number for one that was killed.
    static func reap(_ process: pid_t) -> Int64 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7f
        return Int64(signal == 0 ? status >> 8 & 0xff : 128 + signal)
    }

    /// Two ends of a pipe that no program inherits: to read from, to write to.
    static func makePipe() throws -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [-1, -1]
        guard system_pipe(&ends) == 0 else {
            throw PluginError.exhausted("there are no pipes: \(String(cString: strerror(errno)))")
        }
        return (ends[0], ends[1])
    }
}

/// Reads streams until all have ended, until `end` has (a pipe that somebody closes), or until a monotonic time has come.
struct StreamReader {
    private var waited: [pollfd]
    private let end: Int32?

    init(_ streams: [Int32], end: Int32? = nil) {
        waited = (streams + [end ?? -1]).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        self.end = end
        for stream in streams { _ = fcntl(stream, F_SETFL, O_NONBLOCK) }
    }

    /// Hands what it reads to `take`, with the stream's place. False when the deadline (0 = none) has passed.
    mutating func read(deadline: UInt64 = 0, _ take: (Int, ArraySlice<UInt8>) -> Void) -> Bool {
        var block = [UInt8](repeating: 0, count: 16 << 10)
        let streams = waited.count - 1
        while end != nil || waited[..<streams].contains(where: { $0.fd >= 0 }) {
            let milliseconds =
                deadline == 0 ? -1 : Int32(clamping: Int64(deadline &- monotonicNanoseconds()) / 1_000_000 + 1)
            let ready = poll(&waited, nfds_t(waited.count), deadline > 0 && milliseconds < 0 ? 0 : milliseconds)
            if ready == 0 { return false }
            for place in 0..<streams where waited[place].fd >= 0 {
                while true {
                    let count = Glibc.read(waited[place].fd, &block, block.count)
                    if count > 0 {
                        take(place, block[..<count])
                    } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
                        waited[place].fd = -1
                        break
                    } else if errno == EAGAIN {
                        break
                    }
                }
            }
            if waited[streams].revents != 0 { return true }
        }
        return true
    }
}
