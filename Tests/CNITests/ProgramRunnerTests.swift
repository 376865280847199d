import Glibc
import PluginKit
import XCTest

@testable import CNI

/// Running real programs: what they get, and what becomes of those that do not behave.
final class ProgramRunnerTests: XCTestCase {
    private var directory = ""

    override func setUpWithError() throws {
        var template = Array("/tmp/hostd-cni-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw TestFailure("mkdtemp", errno) }
        directory = String(cString: made)
    }

    override func tearDownWithError() throws { try shell("rm -rf \(directory)") }

    private func run(
        _ script: String, input: String = "{}", limit: Int64 = 20_000, environment: [String: String] = [:]
    ) throws -> PluginOutput {
        try AtomicFile.write(Array("#!/bin/sh\n\(script)\n".utf8), to: "\(directory)/try", mode: 0o755)
        return try ProgramRunner(directories: ["/nowhere", directory]).run(
            "try", .add, environment: environment, input: Array(input.utf8), limit: limit)
    }

    func testAProgramGetsItsInputAndVariablesAndNothingElse() throws {
        setenv("HOSTD_SECRET", "x", 1)
        defer { unsetenv("HOSTD_SECRET") }
        let output = try run(
            "cat; env | grep -v '^PWD\\|^SHLVL\\|^_' | cut -d= -f1 | sort; ls /proc/self/fd | wc -l; echo bad >&2; exit 3",
            input: "hello\n", environment: ["CNI_COMMAND": "ADD", "CNI_ARGS": "a=b;c=d"])
        XCTAssertEqual(output.status, 3)
        XCTAssertEqual(output.errors, "bad\n")
        XCTAssertEqual(
            String(decoding: output.output, as: UTF8.self), "hello\nCNI_ARGS\nCNI_COMMAND\nPATH\n4\n")
    }

    func testMuchInputAndOutput() throws {
        let input = String(repeating: "x", count: 300_000)
        XCTAssertEqual(try run("cat", input: input).output.count, 300_000)
        XCTAssertEqual(try run("head -c 3000000 /dev/zero").output.count, 1 << 20)
        XCTAssertEqual(try run("exit 0", input: input).status, 0, "nobody has to read it")
    }

    func testTheEndOfAProgramThatHangs() throws {
        let start = monotonicNanoseconds()
        XCTAssertThrowsError(try run("sleep 1000 & echo $! > \(directory)/child; wait", limit: 300)) {
            XCTAssertEqual($0 as? CNIError, .timeout(type: "try", command: "ADD", milliseconds: 300))
        }
        XCTAssertLessThan(monotonicNanoseconds() - start, 20_000_000_000)
        // What it has started goes with it; a zombie that nobody has taken yet counts as gone.
        let end = monotonicNanoseconds() + 60_000_000_000
        var state = ""
        repeat {
            state = try shell(
                "sed -n 's/^State:\\t\\(.\\).*/\\1/p' /proc/$(cat \(directory)/child)/status 2>/dev/null || true")
        } while !["", "Z\n"].contains(state) && monotonicNanoseconds() < end
        XCTAssertTrue(["", "Z\n"].contains(state), state)
    }

    func testDeathByASignal() throws {
        XCTAssertEqual(try run("kill -SEGV $$").status, 139)
        XCTAssertEqual(try run("trap | wc -l; kill -PIPE $$").status, 141, "signals have their defaults")
    }

    func testAProgramThatCannotBeRun() throws {
        let runner = ProgramRunner(directories: [directory])
        XCTAssertThrowsError(try runner.run("none", .add, environment: [:], input: [], limit: 1000)) {
            XCTAssertEqual($0 as? CNIError, .noProgram(type: "none", directories: [directory]))
        }
        try AtomicFile.write(Array("no program".utf8), to: "\(directory)/text", mode: 0o755)
        XCTAssertThrowsError(try runner.run("text", .add, environment: [:], input: [], limit: 1000)) {
            XCTAssertTrue("\($0)".contains("cannot be run: Exec format error"), "\($0)")
        }
    }
}
