import Glibc
import PluginAPI
import XCTest

@testable import Kernel

/// This test executable once more, told to run one test, with an environment of its own. What it writes to descriptor 3 is
/// read here.
struct ChildProcess {
    let identity: pid_t
    private let output: Int32

    /// `launcher` is a command that is put before the executable, such as unshare with its options.
    init(test: String, environment: [String], launcher: [String] = []) throws {
        var ends: [Int32] = [0, 0]
        XCTAssertEqual(pipe(&ends), 0)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 3)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        defer { posix_spawn_file_actions_destroy(&actions) }
        var executable = [CChar](repeating: 0, count: 4096)
        let size = readlink("/proc/self/exe", &executable, executable.count - 1)
        let path = String(decoding: executable.prefix(max(0, size)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let library = getenv("LD_LIBRARY_PATH").map { ["LD_LIBRARY_PATH=" + String(cString: $0)] } ?? []
        var arguments = (launcher + [path, test]).map { strdup($0) } + [nil]
        var variables = (environment + library).map { strdup($0) } + [nil]
        defer { for pointer in arguments + variables { free(pointer) } }
        var child: pid_t = 0
        let result = posix_spawn(&child, launcher.first ?? path, &actions, nil, &arguments, &variables)
        close(ends[1])
        guard result == 0 else {
            close(ends[0])
            throw StoreError(HOSTD_ERROR_INTERNAL, "posix_spawn: \(errorText(result))")
        }
        identity = child
        output = ends[0]
    }

    /// Reads to the end of the output, calling `progress` with the bytes so far, and waits for the end of the process.
    /// Returns the output and the status of `waitpid`.
    func finish(_ progress: (Int) -> Void = { _ in }) -> (output: String, status: Int32) {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let size = read(output, &chunk, chunk.count)
            if size <= 0 { break }
            bytes += chunk[..<size]
            progress(bytes.count)
        }
        close(output)
        var status: Int32 = 0
        XCTAssertEqual(waitpid(identity, &status, 0), identity)
        return (String(decoding: bytes, as: UTF8.self), status)
    }
}
