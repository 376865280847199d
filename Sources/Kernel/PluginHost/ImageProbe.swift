import Glibc
import Objects
import PluginAPI
import Synchronization

/// Opens libraries in a child before hostd opens them in its own process for the first time: one whose constructor, entry
/// or description ends the process must not take hostd along. What came through is remembered with the file's identity.
final class ImageProbe: Sendable {
    /// How long one library may take. Nanoseconds.
    static let limit: UInt64 = 10_000_000_000

    private struct State {
        var failed: [String: (identity: FileIdentity, failure: PluginFailure)] = [:]
        var passed: [String: FileIdentity] = [:]
        var hasChanged = false
        var isMissed = false
    }

    private let program: String
    private let file: String
    private let log: Log
    private let state: Mutex<State>

    /// `program`: hostd-plugin-process. `directory`: where `probed.json` lies; "" = nothing is remembered.
    init(program: String, directory: String, log: Log) {
        self.program = program
        file = directory.isEmpty ? "" : "\(directory)/probed.json"
        self.log = log
        state = Mutex(State(passed: Self.remembered(file)))
    }

    /// Why a file is not to be opened; nil when it came through.
    func failure(of path: String) -> PluginFailure? {
        check([path])
        guard let identity = FileIdentity(path: path) else { return nil }
        return state.withLock { state in
            state.failed[path].flatMap { $0.identity == identity ? $0.failure : nil }
        }
    }

    /// Probes those that were not probed before, all in one child for as long as it lives.
    func check(_ paths: [String]) {
        guard access(program, X_OK) == 0 else { return noticeMissingProgram() }
        var waiting: [(path: String, identity: FileIdentity)] = paths.compactMap { path in
            guard let identity = FileIdentity(path: path) else { return nil }
            let isKnown = state.withLock { $0.passed[path] == identity || $0.failed[path]?.identity == identity }
            return isKnown ? nil : (path, identity)
        }
        while !waiting.isEmpty {
            let outcome: ProbeChild.Outcome
            do throws(PluginFailure) {
                outcome = try ProbeChild.run(program, waiting.map(\.path), limit: Self.limit)
            } catch {
                return log.warning("plugins are opened without a probe", ["reason": .string(error.message)])
            }
            for (path, identity) in waiting.prefix(outcome.finished) { remember(path, identity) }
            waiting.removeFirst(min(outcome.finished, waiting.count))
            guard let reason = outcome.reason, let culprit = waiting.first else { break }
            let failure = PluginFailure(
                .probe, "\(culprit.path) \(reason) when it was opened in a process of its own: hostd does not open it")
            state.withLock { $0.failed[culprit.path] = (culprit.identity, failure) }
            waiting.removeFirst()
        }
    }

    private func noticeMissingProgram() {
        let isFirst = state.withLock { state in
            defer { state.isMissed = true }
            return !state.isMissed
        }
        guard isFirst else { return }
        log.debug("plugins are opened without a probe", ["reason": .string("there is no program \(program)")])
    }

    // MARK: What came through

    private func remember(_ path: String, _ identity: FileIdentity) {
        state.withLock { state in
            state.passed[path] = identity
            state.hasChanged = true
        }
    }

    private static func remembered(_ file: String) -> [String: FileIdentity] {
        guard !file.isEmpty, let bytes = SwapStore.contents(of: file), let json = try? JSON(parsing: bytes) else {
            return [:]
        }
        return (json["passed"].objectValue ?? [:]).reduce(into: [:]) { passed, member in
            passed[member.key] = FileIdentity(member.value)
        }
    }

    /// Writes down what is new, once the data directory exists.
    func save() {
        let passed = state.withLock { state -> [String: FileIdentity]? in
            defer { state.hasChanged = false }
            return state.hasChanged ? state.passed : nil
        }
        guard !file.isEmpty, let passed else { return }
        let members = passed.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) }
        let json: JSON = ["passed": .object(JSONObject(members))]
        if let reason = WholeFile.write(file, json.serialized()) {
            log.warning("probed plugins will be probed again", ["reason": .string(reason)])
        }
    }
}

/// One run of `hostd-plugin-process --probe`.
enum ProbeChild {
    struct Outcome {
        /// Libraries that the child came through, from the first.
        var finished: Int
        /// How the next one ended the child; nil = it came through all.
        var reason: String?
    }

    static func run(_ program: String, _ paths: [String], limit: UInt64) throws(PluginFailure) -> Outcome {
        var ends: [Int32] = [0, 0]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw failure("socketpair: \(errorText(errno))") }
        defer { close(ends[0]) }
        let process: pid_t
        do throws(PluginFailure) {
            process = try start([program, "--probe"] + paths, output: ends[1])
            close(ends[1])
        } catch {
            close(ends[1])
            throw error
        }
        let (finished, isLate) = count(ends[0], limit: limit)
        if isLate { kill(process, SIGKILL) }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        guard finished < paths.count else { return Outcome(finished: finished) }
        return Outcome(
            finished: finished, reason: isLate ? "did not return within \(limit / 1_000_000_000) s" : words(status))
    }

    private static func failure(_ message: String) -> PluginFailure { PluginFailure(.probe, message) }

    private static func start(_ arguments: [String], output: Int32) throws(PluginFailure) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var (none, all) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var words = arguments.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var process = pid_t()
        let result = posix_spawn(&process, arguments[0], &actions, &attributes, &words, environ)
        guard result == 0 else { throw failure("cannot run \(arguments[0]): \(errorText(result))") }
        return process
    }

    /// Counts lines until the end, or until none came for so long.
    private static func count(_ descriptor: Int32, limit: UInt64) -> (lines: Int, isLate: Bool) {
        var lines = 0
        var deadline = monotonicNow() + limit
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let now = monotonicNow()
            guard now < deadline else { return (lines, true) }
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, Int32(clamping: (deadline - now) / 1_000_000 + 1)) != 0 else { continue }
            let size = read(descriptor, &buffer, buffer.count)
            if size < 0, errno == EINTR { continue }
            guard size > 0 else { return (lines, false) }
            let added = buffer[..<size].reduce(0) { $0 + ($1 == 0x0A ? 1 : 0) }
            if added > 0 { deadline = monotonicNow() + limit }
            lines += added
        }
    }

    private static func words(_ status: Int32) -> String {
        let signal = status & 0x7F
        return signal == 0
            ? "ended the process with exit code \(status >> 8 & 0xFF)"
            : "crashed (signal \(signal), \(String(cString: strsignal(signal))))"
    }
}
