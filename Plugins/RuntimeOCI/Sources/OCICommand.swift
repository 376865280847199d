import Containers
import Glibc
import PluginKit

/// Short commands of the runtime that are waited for.
enum OCICommand {
    /// No command takes longer, unless it hangs.
    static let limitNanoseconds: UInt64 = 30_000_000_000

    /// - Returns: the exit code, and what it wrote to both streams, up to 64 KiB.
    static func run(_ arguments: [String]) throws(PluginError) -> (code: Int32, output: String) {
        let (process, reader) = try start(arguments)
        let deadline = monotonicNanoseconds() + limitNanoseconds
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        var isLate = false
        while true {
            let now = monotonicNanoseconds()
            var polled = pollfd(fd: reader.number, events: Int16(POLLIN), revents: 0)
            if now >= deadline || poll(&polled, 1, Int32((deadline - now) / 1_000_000) + 1) == 0 {
                isLate = true
                kill(process, SIGKILL)
                break
            }
            let count = read(reader.number, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            if bytes.count < 65_536 { bytes += chunk[0..<count] }
        }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 {
            if errno != EINTR { throw .system("wait for", arguments[0], errno: errno) }
        }
        if isLate {
            throw .deadlineExceeded("\(arguments.joined(separator: " ")) did not end within 30 s and was killed")
        }
        let signal = status & 0x7f
        let text = String(decoding: bytes, as: UTF8.self)
        return (signal == 0 ? status >> 8 & 0xff : 128 + signal, String(text.drop(while: \.isWhitespace)))
    }

    /// The process is the only one left that holds the writing end when this returns, so that its end is the stream's.
    private static func start(_ arguments: [String]) throws(PluginError) -> (process: pid_t, reader: Descriptor) {
        let pipe = try DescriptorPair.pipe()
        let null = try Descriptor(opening: "/dev/null", O_RDWR)
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_adddup2(&actions, null.number, 0)
        posix_spawn_file_actions_adddup2(&actions, pipe.second.number, 1)
        posix_spawn_file_actions_adddup2(&actions, pipe.second.number, 2)
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let copies: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        let environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nil]
        defer { for copy in copies + environment { free(copy) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, arguments[0], &actions, &attributes, copies, environment)
        if code != 0 { throw .system("execute", arguments[0], errno: code) }
        return (process, pipe.first)
    }
}
