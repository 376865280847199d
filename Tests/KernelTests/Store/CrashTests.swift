import CStateStore
import Glibc
import PluginAPI
import XCTest

@testable import Kernel

/// A child process that writes under load is killed; every write that it reported as acknowledged must be there. The child
/// is this test's own executable, told by the environment to write instead of to test.
final class CrashTests: XCTestCase {
    private static let variable = "HOSTD_STORE_CRASH_CHILD"

    func testAcknowledgedWritesSurviveAKill() throws {
        let directory = TemporaryDirectory()
        var total = 0
        for round in 0..<5 {
            let acknowledged = try runAndKill(directory.path + "/store", round: round, after: 400 + 300 * round)
            total += acknowledged.count
            var options = StateStoreOptions()
            options.segmentSize = 1 << 20
            let store = try StateStore(directory: directory.path + "/store", options: options)
            for (key, revision) in acknowledged {
                let found = try store.value(key)
                XCTAssertEqual(found.revision, revision, key)
                XCTAssertEqual(found.value, String(repeating: "\(round)", count: 600))
            }
            store.close()
        }
        XCTAssertGreaterThan(total, 4000)
    }

    /// Starts the child, reads "acknowledged key revision" lines until enough came, kills it, and reads the rest.
    private func runAndKill(_ path: String, round: Int, after count: Int) throws -> [(String, UInt64)] {
        let child = try ChildProcess(
            test: "KernelTests.CrashTests/testChild", environment: ["\(Self.variable)=\(round) \(path)"])
        var isKilled = false
        let (output, status) = child.finish { size in
            if !isKilled && size > count * 30 {
                isKilled = true
                kill(child.identity, SIGKILL)
            }
        }
        XCTAssertEqual(status & 0x7F, SIGKILL, "the child ended by itself: \(output.suffix(300))")
        return output.split(separator: "\n", omittingEmptySubsequences: false).dropLast().compactMap { line in
            let words = line.split(separator: " ")
            guard words.count == 3, words[0] == "acknowledged", let revision = UInt64(words[2]) else { return nil }
            return (String(words[1]), revision)
        }
    }

    /// Not a test unless the environment says so: the process that is killed.
    func testChild() throws {
        guard let setting = getenv(Self.variable) else { return }
        let words = String(cString: setting).split(separator: " ", maxSplits: 1)
        let round = String(words[0])
        var options = StateStoreOptions()
        options.segmentSize = 1 << 20
        options.historyCount = 500
        options.snapshotThreshold = 1 << 20
        let store = try StateStore(directory: String(words[1]), options: options)
        let value = String(repeating: round, count: 600)
        let threads = try (0..<8).map { writer in
            try KernelThread(name: "writer") {
                for number in 0..<1_000_000 {
                    let key = "pods/r\(round)/\(writer)-\(number)"
                    do {
                        let line = "acknowledged \(key) \(try store.create(key, value))\n"
                        if write(3, line, line.utf8.count) < 0 { return }
                    } catch {
                        let line = "failed \(error)\n"
                        _ = write(3, line, line.utf8.count)
                        return
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        store.close()
    }
}
