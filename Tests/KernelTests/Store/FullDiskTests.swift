import Glibc
import PluginAPI
import XCTest

@testable import Kernel

/// A real full disk: a small tmpfs in a mount namespace of a child process's own, so that nothing else sees it.
final class FullDiskTests: XCTestCase {
    private static let variable = "HOSTD_STORE_FULL_DISK_CHILD"

    func testWritesAreRefusedWhileTheDiskIsFullAndGoOnAfterwards() throws {
        guard getuid() == 0 else { throw XCTSkip("mounting a small file system needs root") }
        guard access("/usr/bin/unshare", X_OK) == 0 else { throw XCTSkip("unshare is not installed") }
        let directory = TemporaryDirectory()
        let child = try ChildProcess(
            test: "KernelTests.FullDiskTests/testChild", environment: ["\(Self.variable)=\(directory.path)"],
            launcher: ["/usr/bin/unshare", "--mount", "--propagation", "private"])
        let (output, status) = child.finish()
        XCTAssertEqual(output, "passed\n")
        XCTAssertEqual(status, 0)
    }

    /// Not a test unless the environment says so: the process with the small disk.
    func testChild() throws {
        guard let path = getenv(Self.variable) else { return }
        var line = "passed\n"
        do { try run(String(cString: path)) } catch { line = "\(error)\n" }
        if (testRun?.failureCount ?? 0) > 0 { line = "assertions failed\n" }
        _ = write(3, line, line.utf8.count)
    }

    private func run(_ path: String) throws {
        guard mount("tmpfs", path, "tmpfs", 0, "size=1m") == 0 else {
            throw StoreError(HOSTD_ERROR_INTERNAL, "mount: \(errorText(errno))")
        }
        defer { umount2(path, 2) }
        var options = smallOptions()
        options.reservedSpace = 64 << 10
        let store = try StateStore(directory: path + "/store", options: options)
        let value = String(repeating: "v", count: 8000)
        var written = 0
        var refused: StoreError?
        while refused == nil && written < 1000 {
            do { try store.put("pods/d/\(written)", value) } catch { refused = error as? StoreError }
            written += refused == nil ? 1 : 0
        }
        XCTAssertEqual(refused?.code, HOSTD_ERROR_NO_SPACE, refused?.message ?? "the disk never became full")
        XCTAssertTrue(refused?.message.contains("full") ?? false)
        XCTAssertEqual(try store.names().count, written)
        XCTAssertTrue(store.status().contains("\"healthy\":true"))
        for _ in 0..<3 { assertFails(HOSTD_ERROR_NO_SPACE) { try store.put("pods/d/x", value) } }

        XCTAssertEqual(mount("tmpfs", path, "tmpfs", 32, "size=8m"), 0)
        for number in 0..<50 { try store.put("pods/e/\(number)", value) }
        store.close()
        let again = try StateStore(directory: path + "/store", options: options)
        XCTAssertEqual(try again.names().count, written + 50)
        again.close()
    }
}
