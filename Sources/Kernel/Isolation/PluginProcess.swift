import CProcess
import Glibc
import PluginAPI

/// One process of an isolated plugin: started, watched and taken away by a thread of its own, which exists as long as the
/// process does, because a child that asks to die with its parent dies with the thread that made it.
final class PluginProcess: @unchecked Sendable {
    // SAFETY: what changes is under `monitor`.
    /// What to start.
    struct Order: Sendable {
        var plugin: String
        /// hostd-plugin-process.
        var program: String
        /// Options of the sandbox, one a line.
        var settings: String
        var memory: Int32
        var socket: Int32
        var group: PluginGroup?
        var memoryLimit: Int64
    }

    /// How a process ended.
    enum End: Equatable, Sendable {
        case exited(Int32)
        case signalled(Int32)
        /// The kernel ended it at this limit, bytes.
        case outOfMemory(Int64)
    }

    private enum State {
        case starting
        case running(pid_t)
        case ended(End)
        case failed(PluginFailure)
    }

    private let order: Order
    private let log: Log
    private let monitor = Monitor()
    private var state = State.starting
    /// Monotonic nanoseconds.
    private var startedAt: UInt64 = 0
    private var tick: (@Sendable () -> Void)?
    /// The pidfd; open as long as this object is.
    private(set) var descriptor: Int32 = -1
    private let wake: Int32

    /// How often `tick` is called.
    private static let tickMilliseconds: Int32 = 1000

    /// Returns when the process has been started. `onEnd` is called once, by the thread of this process, when the process and
    /// all that it started are gone; that thread may be kept for as long as it takes.
    init(
        _ order: Order, log: Log, onEnd: @escaping @Sendable (End, _ uptime: UInt64) -> Void
    ) throws(PluginFailure) {
        self.order = order
        self.log = log
        wake = process_event()
        do throws(StoreError) {
            try KernelThread(name: "of \(order.plugin)") { [self] in keep(onEnd) }.detach()
        } catch {
            throw PluginFailure(.open, code: error.code, error.message)
        }
        monitor.lock()
        defer { monitor.unlock() }
        while case .starting = state { monitor.wait() }
        if case .failed(let failure) = state { throw failure }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        close(wake)
    }

    var processID: pid_t? { monitor.locked { if case .running(let process) = state { process } else { nil } } }

    /// Ends it at once. No effect on one that has ended.
    func kill() {
        monitor.locked {
            // The descriptor names this process and no later one of the same number.
            if case .running = state { _ = process_kill(descriptor) }
        }
    }

    /// Waits for the end until `deadline` (monotonic nanoseconds); nil when it is still there.
    func wait(until deadline: UInt64) -> End? {
        monitor.locked {
            while true {
                if case .ended(let end) = state { return end }
                if !monitor.wait(until: deadline) { return nil }
            }
        }
    }

    /// Has `body` called once a second by the thread of this process, as long as that lives.
    func everySecond(_ body: @escaping @Sendable () -> Void) {
        monitor.locked { tick = body }
        var one: UInt64 = 1
        _ = write(wake, &one, 8)
    }

    // MARK: The thread

    private func keep(_ onEnd: (End, UInt64) -> Void) {
        let process: pid_t
        do throws(PluginFailure) { process = try spawn() } catch {
            order.group?.remove()
            set(.failed(error))
            return
        }
        startedAt = monotonicNow()
        set(.running(process))
        watch()
        let end = reap()
        let uptime = monotonicNow() - startedAt
        if order.group?.remove() == false {
            log.warning(
                "a control group of a plugin cannot be removed",
                ["plugin": .string(order.plugin), "group": .string(order.group?.path ?? "")])
        }
        set(.ended(end))
        onEnd(end, uptime)
    }

    private func set(_ new: State) {
        monitor.locked {
            state = new
            monitor.broadcast()
        }
    }

    /// Returns when the process has ended.
    private func watch() {
        var polled = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            let tick = monitor.locked { self.tick }
            let ready = poll(&polled, 2, tick == nil ? -1 : Self.tickMilliseconds)
            if polled[0].revents != 0 { return }
            if ready == 0 { tick?() }
            if polled[1].revents != 0 {
                var count: UInt64 = 0
                _ = read(wake, &count, 8)
            }
        }
    }

    private func reap() -> End {
        var (wasSignal, status): (Int32, Int32) = (0, 0)
        let kills = order.group?.memoryKills ?? 0
        guard process_wait(descriptor, &wasSignal, &status) == 0 else { return .exited(-1) }
        if wasSignal == 0 { return .exited(status) }
        return status == SIGKILL && kills > 0 ? .outOfMemory(order.memoryLimit) : .signalled(status)
    }

    private func spawn() throws(PluginFailure) -> pid_t {
        var descriptors: [Int32] = []
        defer { for descriptor in descriptors { close(descriptor) } }
        // Above the numbers that they are to have in the child, so that none is overwritten before it is moved.
        for source in [order.memory, order.socket] {
            let raised = fcntl(source, F_DUPFD_CLOEXEC, 64)
            guard raised >= 0 else { throw failure("duplicate a descriptor", errno) }
            descriptors.append(raised)
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, 2, 1)
        for (index, descriptor) in descriptors.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor, 3 + Int32(index))
        }
        var attributes = Self.attributes()
        defer { posix_spawnattr_destroy(&attributes) }
        let groups = (order.group?.joinFiles ?? []).map { "group=\($0)\n" }.joined()
        let arguments = [
            "hostd-plugin-process", "serve", "--memory", "3", "--socket", "4", "--settings", groups + order.settings,
        ]
        var process: pid_t = 0
        let code = Self.withStrings(arguments) { arguments in
            Self.withStrings(Self.environment) { environment in
                posix_spawn(&process, order.program, &actions, &attributes, arguments, environment)
            }
        }
        guard code == 0 else { throw failure("start \(order.program)", code) }
        // It is this thread's child and has not been waited for: the number is still its own.
        descriptor = process_descriptor(process)
        if descriptor < 0 {
            let code = errno
            Glibc.kill(process, SIGKILL)
            waitpid(process, nil, 0)
            throw failure("watch the process of the plugin", code)
        }
        return process
    }

    private func failure(_ action: String, _ code: Int32) -> PluginFailure {
        PluginFailure(.open, "cannot \(action): \(errorText(code))")
    }

    /// No signal blocked or handled, and a session of its own: no terminal.
    private static func attributes() -> posix_spawnattr_t {
        var attributes = posix_spawnattr_t()
        var (none, all) = (sigset_t(), sigset_t())
        posix_spawnattr_init(&attributes)
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        let setSession: Int32 = 0x80  // POSIX_SPAWN_SETSID, a GNU extension.
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | setSession))
        return attributes
    }

    /// Variables that a plugin's process inherits.
    private static var environment: [String] {
        ["PATH", "LANG", "LC_ALL", "TZ"].compactMap { (name: String) in
            getenv(name).map { "\(name)=\(String(cString: $0))" }
        }
    }

    private static func withStrings(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Int32
    ) -> Int32 {
        let copies: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }
}

extension PluginProcess.End: CustomStringConvertible {
    /// "its process …".
    var description: String {
        switch self {
        case .exited(let code): "its process ended with exit code \(code)"
        case .signalled(let signal): "its process was ended by signal \(signal)\(Self.name(signal))"
        case .outOfMemory(let limit): "its process reached its memory limit of \(limit >> 20) MiB (limits.memory)"
        }
    }

    private static func name(_ signal: Int32) -> String {
        let names = [
            SIGSEGV: "SIGSEGV", SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGILL: "SIGILL", SIGFPE: "SIGFPE",
            SIGKILL: "SIGKILL",
            SIGTERM: "SIGTERM", SIGSYS: "SIGSYS", SIGTRAP: "SIGTRAP", SIGPIPE: "SIGPIPE", SIGINT: "SIGINT",
        ]
        return names[signal].map { " (\($0))" } ?? ""
    }
}
