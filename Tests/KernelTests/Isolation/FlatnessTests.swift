import CProcess
import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

/// Restart after restart and swap after swap, hostd itself does not grow. HOSTD_TEST_REPETITIONS makes them more.
final class FlatnessTests: XCTestCase {
    private let evilRole = "com.example.evil/1"
    private let repetitions = getenv("HOSTD_TEST_REPETITIONS").flatMap { Int(String(cString: $0)) } ?? 150

    /// Starts again at once, and keeps the gates of a generation for a moment instead of half a minute.
    private static var quick: RestartBackOff {
        var backOff = RestartBackOff(first: 1_000_000, longest: 1_000_000)
        (backOff.killed, backOff.leastPause, backOff.retention) = (0, 0, 200_000_000)
        return backOff
    }

    /// With an arena for each thread, memory would spread over them.
    override func setUp() { process_limit_allocator() }

    /// What is built up once, and memory that the allocator spreads over, come to an end; what each repetition leaves behind
    /// shows however often it is looked for.
    private func expectFlat(file: StaticString = #filePath, line: UInt = #line, _ body: () throws -> Void) throws {
        for _ in 0..<40 { try body() }
        var growths: [String] = []
        for _ in 0..<5 {
            let before = ProcessFigures.now
            for _ in 0..<repetitions { try body() }
            guard let growth = ProcessFigures.now.growth(since: before, over: repetitions) else { return }
            growths.append(growth)
        }
        XCTFail("it grows and grows: \(growths.joined(separator: "; "))", file: file, line: line)
    }

    func testProcessesThatAreKilled() throws {
        let directory = try ScratchDirectory()
        let evil = try IsolationFixture.plugin("Plugins/evil/evil.c", name: "evil", in: directory)
        let fixture = try IsolationFixture(
            "  - {name: evil, library: \(evil), isolation: process, grants: [timers, store.read]}\n", in: directory,
            backOff: Self.quick)
        try fixture.start()
        let entry = try XCTUnwrap(fixture.host.entry("evil"))
        try expectFlat {
            let before = entry.restarts
            _ = fixture.call(evilRole, "run", "grants")
            let image = try XCTUnwrap(entry.current.image as? IsolatedPlugin)
            if let process = image.processID { kill(process, SIGKILL) }
            IsolationFixture.eventually("a crash is followed by a restart") {
                entry.restarts > before && entry.current.isActive
            }
        }
        fixture.stop()
    }

    func testSwapsOfProcesses() throws {
        let directory = try ScratchDirectory()
        let evil = try IsolationFixture.plugin("Plugins/evil/evil.c", name: "evil", in: directory)
        let fixture = try IsolationFixture(
            "  - {name: evil, library: \(evil), isolation: process, grants: [timers, store.read]}\n", in: directory,
            backOff: Self.quick)
        try fixture.start()
        try expectFlat {
            _ = fixture.call(evilRole, "run", "grants")
            let answer = try fixture.host.perform(SwapRequest(["plugin": "evil", "library": .string(evil)]))
            XCTAssertEqual(answer["lastSwap"]["result"], "succeeded")
        }
        fixture.stop()
    }

    func testSwapsInThisProcess() throws {
        for defines in [[], [SwapFixture.format], [SwapFixture.format, "-DLIVE"]] {
            let fixture = try SwapFixture(defines)
            try fixture.start()
            try fixture.build("second", defines + ["-DVERSION=\"2\""])
            var isSecond = false
            try expectFlat {
                _ = try fixture.call("add", [1])
                isSecond.toggle()
                try fixture.swap(to: isSecond ? "second" : "counter")
            }
            XCTAssertTrue(try fixture.told().contains(" 1 1 "), "one generation lives")
            fixture.host.stop()
        }
    }

    /// Swaps that fail release the one that was to come.
    func testSwapsThatFail() throws {
        let fixture = try SwapFixture([SwapFixture.format, "-DLIVE"])
        try fixture.start()
        for fault in ["CONFIGURE", "IMPORT", "ACTIVATE", "FOLLOW"] {
            try fixture.build("faulty-\(fault)", [SwapFixture.format, "-DLIVE", "-DFAULT=\(fault)"])
            try expectFlat { XCTAssertThrowsError(try fixture.swap(to: "faulty-\(fault)")) }
        }
        fixture.host.stop()
    }
}
