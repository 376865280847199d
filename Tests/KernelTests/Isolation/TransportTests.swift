import Glibc
import XCTest

/// The transport between host and plugin process: the programs of Tests/Isolation, built once for all, each test a run.
final class TransportTests: XCTestCase {
    /// The directory with the built programs, or what building them said.
    private nonisolated(unsafe) static var built: Result<ScratchDirectory, Error>?  // XCTest runs tests one by one.

    private static func programs(_ flags: [String] = []) throws -> ScratchDirectory {
        let directory = try ScratchDirectory()
        let build = try Spawned(["\(Fixture.root)/Tests/Isolation/build", directory.path] + flags)
        let status = try build.wait(seconds: 240)
        guard status == 0 else { throw Spawned.Failure(message: "Tests/Isolation/build: \(build.errorText)") }
        return directory
    }

    override class func tearDown() { built = nil }

    /// Runs one of the program's tests; a sanitized host still gets the plain child, which is what hostd starts.
    private func run(_ name: String, seconds: Int = 240) throws {
        let directory = try (Self.built ?? Result { try Self.programs() }).get()
        Self.built = .success(directory)
        let path = directory.path
        let test = try Spawned(["\(path)/isolation-tests", "\(path)/hostd-plugin-process", "\(path)/letters.so", name])
        XCTAssertEqual(try test.wait(seconds: seconds), 0, test.errorText)
    }

    func testEveryLetterCrossesBothWays() throws { try run("letters") }
    func testCompletionsWatchesAndCallbacks() throws { try run("streams") }
    func testDescriptors() throws { try run("files") }
    func testMessagesLargerThanALane() throws { try run("large") }
    func testManyCallersWithNestedCalls() throws { try run("concurrency") }
    func testIdleCostsNothing() throws { try run("idle") }
    func testDeadlines() throws { try run("deadlines") }
    func testDeathUnderLoadEndsEveryCallOnce() throws { try run("deaths") }
    func testHostileChildren() throws { try run("garbage") }

    func testHostileChildrenUnderSanitizers() throws {
        let probe = try Spawned(["/bin/sh", "-c", "ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan-*.a"])
        guard try probe.wait() == 0 else { throw XCTSkip("clang's sanitizers are not installed: libclang-rt-14-dev") }
        let plain = try (Self.built ?? Result { try Self.programs() }).get()
        Self.built = .success(plain)
        let sanitized = try Self.programs(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"])
        let options = ["PATH=/usr/bin:/bin", "ASAN_OPTIONS=quarantine_size_mb=1"]
        for name in ["letters", "streams", "garbage"] {
            let test = try Spawned(
                [
                    "\(sanitized.path)/isolation-tests", "\(plain.path)/hostd-plugin-process",
                    "\(plain.path)/letters.so", name,
                ], environment: options)
            XCTAssertEqual(try test.wait(seconds: 240), 0, test.errorText)
        }
        let decoder = try Spawned(
            ["\(sanitized.path)/isolation-fuzz", "-runs=100000", "-max_len=512", "-print_final_stats=0"],
            environment: options)
        XCTAssertEqual(
            try decoder.wait(seconds: 240), 0, String(decoding: decoder.errorText.utf8.suffix(4000), as: UTF8.self))
    }
}
