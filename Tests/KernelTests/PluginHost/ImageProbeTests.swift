import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

final class ImageProbeTests: XCTestCase {
    private let silent = Log(level: .error, descriptor: open("/dev/null", O_WRONLY | O_CLOEXEC))

    /// The real program, built into libexec of a scratch directory.
    private func program(in directory: ScratchDirectory) throws -> String {
        let path = "\(directory.path)/libexec/hostd-plugin-process"
        let build = try Spawned(["\(Fixture.root)/Sources/PluginProcess/build", path])
        XCTAssertEqual(try build.wait(), 0, build.errorText)
        return path
    }

    /// A plugin whose constructor runs `statement`.
    private func library(_ name: String, _ statement: String, in directory: ScratchDirectory) throws -> String {
        let source = try directory.write(
            "\(name).c",
            "#include <stdlib.h>\n#include <unistd.h>\n"
                + "__attribute__((constructor)) static void start(void) { \(statement); }\n"
                + "#include \"\(Fixture.root)/Tests/Plugins/Swappable/swappable.c\"\n")
        let file = "\(directory.path)/\(name).so"
        try Fixture.compile([
            "-std=gnu11", "-shared", "-fPIC", "-fvisibility=hidden", "-I\(Fixture.include)", "-o", file, source,
        ])
        return file
    }

    func testWhatEndsTheProcessIsFoundOutAndTheRestIsProbed() throws {
        let directory = try ScratchDirectory()
        let probe = ImageProbe(program: try program(in: directory), directory: directory.path, log: silent)
        let rows: [(name: String, statement: String, reason: String?)] = [
            ("good", "(void)0", nil),
            ("segfault", "*(volatile int *)8 = 1", "crashed (signal 11, Segmentation fault)"),
            ("exits", "_exit(7)", "ended the process with exit code 7"),
            ("prints", "if (write(1, \"one\\n\", 4) < 0) abort()", nil),
            ("aborts", "abort()", "crashed (signal 6, Aborted)"),
        ]
        var paths: [String] = []
        for row in rows { paths.append(try library(row.name, row.statement, in: directory)) }
        paths.append(try directory.write("text.so", "no library"))
        probe.check(paths)
        for (path, row) in zip(paths, rows) {
            let failure = probe.failure(of: path)
            XCTAssertEqual(failure?.step, row.reason == nil ? nil : .probe, row.name)
            XCTAssertEqual(failure?.message.contains(row.reason ?? ""), row.reason == nil ? nil : true, row.name)
        }
        XCTAssertNil(probe.failure(of: paths[5]), "opening it in hostd tells more, and does no harm")
        probe.save()
        let kept = try JSON(parsing: try ScratchDirectory.contents("\(directory.path)/probed.json"))
        XCTAssertEqual(
            kept["passed"].objectValue?.keys.sorted(), [paths[0], paths[3], paths[5]].sorted())
        // What is remembered is not probed again, until the file changes.
        let again = ImageProbe(program: "/bin/false", directory: directory.path, log: silent)
        XCTAssertNil(again.failure(of: paths[0]))
        try directory.write("good.so", "other content")
        XCTAssertEqual(again.failure(of: paths[0])?.step, .probe)
    }

    func testALibraryThatDoesNotReturnIsGivenUp() throws {
        let directory = try ScratchDirectory()
        let slow = try library("slow", "for (;;) pause()", in: directory)
        let outcome = try ProbeChild.run(try program(in: directory), [slow], limit: 300_000_000)
        XCTAssertEqual(outcome.finished, 0)
        XCTAssertEqual(outcome.reason, "did not return within 0 s")
    }

    func testAHostSurvivesALibraryThatCrashes() throws {
        let directory = try ScratchDirectory()
        _ = try program(in: directory)
        let crash = try library("crash", "abort()", in: directory)
        let fixture = try SwapFixture(
            yaml:
                "plugins: [{name: counter, library: ./counter.so}, {name: crash, library: ./crash.so, optional: true}]",
            directory: directory)
        try fixture.start()
        defer { fixture.host.stop() }
        XCTAssertEqual(fixture.host.instance("crash")?.failure?.step, .probe)
        XCTAssertThrowsError(try fixture.request(["plugin": "counter", "library": .string(crash)])) { error in
            XCTAssertEqual((error as? PluginFailure)?.step, .probe)
        }
        XCTAssertTrue(try fixture.told().hasPrefix("1 1 "))
    }

    /// The loader of a process knows a name for ever: content that is new under a known name needs another one.
    func testASwapToTheSamePathTakesItsNewContent() throws {
        let fixture = try SwapFixture()
        try fixture.start()
        defer { fixture.host.stop() }
        XCTAssertTrue(try fixture.told().hasPrefix("1 1 "))
        for version in ["2", "3"] {
            try fixture.build("new", ["-DVERSION=\"\(version)\""])
            XCTAssertEqual(
                rename("\(fixture.directory.path)/new.so", "\(fixture.directory.path)/counter.so"), 0)
            try fixture.swap(to: "counter")
            XCTAssertTrue(try fixture.told().hasPrefix("\(version) 1 "))
            XCTAssertTrue(fixture.listed["path"].stringValue?.hasSuffix("/counter.so") ?? false)
        }
        let copies = try Spawned(["/bin/ls", "\(fixture.directory.path)/libraries/counter"])
        _ = try copies.wait()
        XCTAssertEqual(copies.outputText.split(separator: "\n").count, 2)
    }
}
