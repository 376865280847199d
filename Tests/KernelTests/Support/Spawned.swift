import Glibc
import XCTest

/// A child process of a test with its output, ended with the test at the latest.
final class Spawned {
    let processID: pid_t
    private let output: Int32
    private let errors: Int32
    private(set) var standardOutput: [UInt8] = []
    private(set) var standardError: [UInt8] = []
    private var status: Int32?

    struct Failure: Error { let message: String }

    init(_ arguments: [String], environment: [String] = ["PATH=/usr/bin:/bin"]) throws {
        var (out, err): ([Int32], [Int32]) = ([0, 0], [0, 0])
        guard pipe(&out) == 0, pipe(&err) == 0 else { throw Failure(message: "pipe: \(errno)") }
        for descriptor in [out[0], err[0]] {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, out[1], 1)
        posix_spawn_file_actions_adddup2(&actions, err[1], 2)
        for descriptor in [out[1], err[1]] where descriptor > 2 {
            posix_spawn_file_actions_addclose(&actions, descriptor)
        }
        defer { posix_spawn_file_actions_destroy(&actions) }
        var words = arguments.map { strdup($0) } + [nil]
        var variables = environment.map { strdup($0) } + [nil]
        defer { for pointer in words + variables { free(pointer) } }
        var process = pid_t()
        let result = posix_spawn(&process, arguments[0], &actions, nil, &words, &variables)
        close(out[1])
        close(err[1])
        guard result == 0 else {
            throw Failure(message: "cannot run \(arguments[0]): \(String(cString: strerror(result)))")
        }
        (processID, output, errors) = (process, out[0], err[0])
    }

    deinit {
        if status == nil {
            kill(processID, SIGKILL)
            var ignored: Int32 = 0
            waitpid(processID, &ignored, 0)
        }
        close(output)
        close(errors)
    }

    var outputText: String { String(decoding: standardOutput, as: UTF8.self) }
    var errorText: String { String(decoding: standardError, as: UTF8.self) }

    /// Reads output until `condition` holds or both ends are closed; fails after `seconds`.
    @discardableResult
    func read(seconds: Int = 120, until condition: (Spawned) -> Bool) throws -> Bool {
        let deadline = time(nil) + seconds
        var open = [output, errors]
        while !condition(self) {
            if open.isEmpty { return false }
            guard time(nil) <= deadline else {
                throw Failure(message: "timed out; output: \(outputText) errors: \(errorText)")
            }
            var waits = open.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            poll(&waits, nfds_t(waits.count), 1000)
            for wait in waits where wait.revents != 0 {
                var buffer = [UInt8](repeating: 0, count: 65536)
                let count = Glibc.read(wait.fd, &buffer, buffer.count)
                if count > 0 {
                    if wait.fd == output {
                        standardOutput += buffer[..<count]
                    } else {
                        standardError += buffer[..<count]
                    }
                } else if count == 0 {
                    open.removeAll { $0 == wait.fd }
                }
            }
        }
        return true
    }

    /// Reads everything and returns the exit code; 128 + signal when one ended it.
    func wait(seconds: Int = 120) throws -> Int32 {
        try read(seconds: seconds) { _ in false }
        var raw: Int32 = 0
        waitpid(processID, &raw, 0)
        status = raw
        return raw & 0x7F == 0 ? raw >> 8 & 0xFF : 128 + (raw & 0x7F)
    }

    func signal(_ number: Int32) { kill(processID, number) }
}
