import CRuntime
import Glibc
import PluginKit

/// Starts hostd-container-init. The program is run from a sealed copy in memory, so that no container can ever write to the
/// file that the next one is started with.
package final class Launcher: Sendable {
    package enum Mode: String {
        case monitor, exec, sandbox
        case throughRuntime = "oci-monitor"
        case execThroughRuntime = "oci-exec"
    }

    /// A started helper.
    package struct Helper: Sendable {
        package let process: pid_t
        /// Its pidfd; becomes readable when it ends.
        package let descriptor: Descriptor
        /// Where its reports arrive.
        package let reports: Descriptor
    }

    private let program: Descriptor

    package init(program path: String) throws(PluginError) {
        let bytes: [UInt8]
        do throws(PluginError) {
            bytes = try AtomicFile.read(path, limit: 16 << 20)
        } catch {
            throw .unavailable(
                "the helper program \(path) cannot be read (\(error)); build the tree again with script/build")
        }
        let file = bytes.withUnsafeBytes {
            runtime_memory_file("hostd-container-init", $0.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!, $0.count)
        }
        program = try Descriptor(file, "copy into memory", path)
    }

    /// - Parameters:
    ///   - streams: standard input, output and error; absent ones are /dev/null.
    ///   - control: exec's end of the control socket.
    package func start(
        _ mode: Mode, _ configuration: InitConfiguration, streams: [Descriptor?] = [nil, nil, nil],
        control: Descriptor? = nil
    ) throws(PluginError) -> Helper {
        let bytes = configuration.bytes
        // SAFETY: a configuration always has a record, so its bytes have an address.
        let file = bytes.withUnsafeBytes { runtime_memory_file("configuration", $0.baseAddress!, $0.count) }
        let memory = try Descriptor(file, "make", "a memory file")
        let pipe = try DescriptorPair.pipe()
        let null = try Descriptor(opening: "/dev/null", O_RDWR)
        // Above the numbers that they are to have in the helper, so that no dup2 hits one that is still to be moved.
        var sources: [Descriptor] = []
        for stream in streams { sources.append(try Self.raised(stream ?? null)) }
        sources.append(try Self.raised(memory))
        sources.append(try Self.raised(pipe.second))
        if let control { sources.append(try Self.raised(control)) }
        let process = try spawn(mode, sources)
        let descriptor = runtime_pidfd_open(process)
        if descriptor < 0 {
            let code = errno
            kill(process, SIGKILL)
            waitpid(process, nil, 0)
            throw .system("watch", "hostd-container-init", errno: code)
        }
        return Helper(process: process, descriptor: Descriptor(taking: descriptor), reports: pipe.first)
    }

    private func spawn(_ mode: Mode, _ sources: [Descriptor]) throws(PluginError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        for (number, source) in sources.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, source.number, Int32(number))
        }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var process: pid_t = 0
        let code = withArguments(["hostd-container-init", mode.rawValue]) { arguments in
            var environment: [UnsafeMutablePointer<CChar>?] = [nil]
            return posix_spawn(
                &process, "/proc/self/fd/\(program.number)", &actions, &attributes, arguments, &environment)
        }
        if code != 0 { throw .system("start", "hostd-container-init", errno: code) }
        return process
    }

    private func withArguments(_ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Int32) -> Int32 {
        let copies: [UnsafeMutablePointer<CChar>?] = texts.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }

    private static func raised(_ descriptor: Descriptor) throws(PluginError) -> Descriptor {
        if descriptor.number >= 16 { return descriptor }
        return try Descriptor(fcntl(descriptor.number, F_DUPFD_CLOEXEC, 64), "duplicate", "a descriptor")
    }

    /// The next report; nil at the end of the stream.
    /// - Parameter milliseconds: how long to wait; then DEADLINE_EXCEEDED.
    package static func receive(_ reports: Descriptor, milliseconds: Int32) throws(PluginError) -> InitReport? {
        var polled = pollfd(fd: reports.number, events: Int16(POLLIN), revents: 0)
        let end = monotonicNanoseconds() + UInt64(max(0, milliseconds)) * 1_000_000
        while true {
            let now = monotonicNanoseconds()
            let ready = poll(&polled, 1, now >= end ? 0 : Int32((end - now) / 1_000_000) + 1)
            if ready > 0 { break }
            if ready == 0, monotonicNanoseconds() >= end {
                throw .deadlineExceeded("hostd-container-init gave no answer within \(milliseconds) ms")
            }
            if ready < 0, errno != EINTR { throw .system("wait for", "hostd-container-init", errno: errno) }
        }
        var bytes = [UInt8](repeating: 0, count: InitReport.size)
        let count = read(reports.number, &bytes, bytes.count)
        if count == 0 { return nil }
        guard count == bytes.count, let report = bytes.withUnsafeBytes({ InitReport($0) }) else {
            throw .internal("hostd-container-init sent a report that cannot be read")
        }
        return report
    }

    /// Takes the remains of a helper that has ended, when it was this process' child.
    package static func reap(_ descriptor: Descriptor) {
        var information = siginfo_t()
        // P_PIDFD, which Glibc's module does not have as an idtype_t.
        waitid(idtype_t(rawValue: 3), id_t(descriptor.number), &information, WEXITED)
    }
}
