import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

/// Swaps in which the new generation follows the old one while calls go on.
final class LiveSwapTests: XCTestCase {
    private let live = [SwapFixture.format, "-DLIVE"]

    /// Calls wait for the last changes, not for what takes long before.
    func testCallsDoNotWaitForImportAndActivation() throws {
        let pause = 150_000
        let fixture = try SwapFixture(live)
        try fixture.start()
        defer { fixture.host.stop() }
        let rows: [(name: String, defines: [String], waits: Bool)] = [
            ("live", live + ["-DPAUSE=\(pause)"], false),
            ("without the slots", [SwapFixture.format, "-DPAUSE=\(pause)"], true),
            ("back from one without", live + ["-DPAUSE=\(pause)"], true),
            ("live again", live + ["-DPAUSE=\(pause)"], false),
        ]
        _ = try fixture.call("add", [41])
        for (index, (name, defines, waits)) in rows.enumerated() {
            try fixture.build("next-\(index)", defines)
            let start = monotonicNow()
            let answer = try fixture.swap(to: "next-\(index)")
            let whole = Int64((monotonicNow() - start) / 1000)
            let gap = try XCTUnwrap(answer["lastSwap"]["gapMicroseconds"].integerValue)
            // Both pauses were within the gap, or both were outside of it.
            XCTAssertTrue(
                waits ? gap >= 2 * Int64(pause) : gap + 2 * Int64(pause) <= whole,
                "\(name): calls were held for \(gap) of \(whole) µs")
            XCTAssertGreaterThan(gap, 0, name)
            XCTAssertEqual(try fixture.number("total"), 41, name)
            XCTAssertEqual(try fixture.number("marks"), 0, name)
        }
    }

    /// Whatever fails, the old one stays, its calls go on, and nobody asks it for changes any more.
    func testAFailureAtAnyStepChangesNothing() throws {
        let rows: [(old: String, new: String, step: PluginFailure.Step)] = [
            ("EXPORT", "NONE", .exportState), ("CHANGES", "NONE", .exportState), ("NONE", "IMPORT", .importState),
            ("NONE", "ACTIVATE", .activate), ("NONE", "FOLLOW", .importState),
        ]
        for (old, new, step) in rows {
            let fixture = try SwapFixture(live + ["-DFAULT=\(old)"])
            try fixture.start()
            try fixture.build("second", live + ["-DVERSION=\"2\"", "-DFAULT=\(new)"])
            let callers = try Callers(2, table: try XCTUnwrap(fixture.host.interface(SwapFixture.role)))
            for _ in 0..<20 {
                XCTAssertThrowsError(try fixture.swap(to: "second"), "\(old) \(new)") { error in
                    XCTAssertEqual((error as? PluginFailure)?.step, step, "\(error)")
                }
            }
            callers.stop()
            XCTAssertEqual(callers.failures.load(ordering: .relaxed), 0)
            XCTAssertEqual(try fixture.number("total"), callers.calls.load(ordering: .relaxed))
            XCTAssertEqual(try fixture.number("marks"), 0, "\(old) \(new)")
            XCTAssertTrue(try fixture.told().hasPrefix("1 1 1 "), "\(old) \(new)")
            XCTAssertEqual(fixture.listed["state"], "active")
            fixture.host.stop()
        }
    }

    /// A call that stays inside fails the swap at its end, when the new one is active already.
    func testACallThatStaysInsideFailsTheSwap() throws {
        let fixture = try SwapFixture(live)
        try fixture.start()
        defer { fixture.host.stop() }
        let (host, stayed) = (fixture.host, Flag())
        try KernelThread(name: "stays") {
            let result = try? host.call(
                role: SwapFixture.role, plugin: nil, slot: "stay", arguments: [0], files: [], deadline: 0)
            stayed.set(result != nil)
        }.detach()
        let target = try XCTUnwrap(host.instance("counter")?.targets[SwapFixture.role])
        while target.calls == 0 { sched_yield() }
        XCTAssertThrowsError(try fixture.swap(to: "counter", ["timeoutMilliseconds": 50])) { error in
            XCTAssertEqual((error as? PluginFailure)?.step, .drain)
        }
        _ = try fixture.call("add", [1])
        _ = try fixture.call("stay", [1])
        XCTAssertTrue(stayed.wait())
        XCTAssertEqual(try fixture.number("marks"), 0)
        try fixture.swap(to: "counter")
        XCTAssertEqual(try fixture.number("total"), 1)
    }

    /// From hostd's own process into one of the plugin's, and between such processes, with and without the slots: no call is
    /// lost or counted twice. A table that was made from its descriptor has all slots, so the plugin behind it is asked.
    func testAcrossProcesses() throws {
        for flags in [live, [SwapFixture.format]] {
            let directory = try ScratchDirectory()
            let library = try IsolationFixture.plugin(
                "Plugins/Swappable/swappable.c", name: "counter", in: directory, flags: flags)
            let fixture = try IsolationFixture(
                "  - {name: counter, library: \(library), isolation: process}\n", in: directory)
            try fixture.start()
            let callers = try Callers(2, table: try XCTUnwrap(fixture.host.interface(SwapFixture.role)))
            for round in 0..<12 {
                let answer = try fixture.host.perform(
                    SwapRequest([
                        "plugin": "counter", "library": .string(library),
                        "isolation": round % 3 == 0 ? "shared" : "process",
                    ]))
                XCTAssertEqual(answer["lastSwap"]["result"], "succeeded")
            }
            callers.stop()
            XCTAssertEqual(callers.failures.load(ordering: .relaxed), 0)
            let total = try fixture.host.call(
                role: SwapFixture.role, plugin: nil, slot: "total", arguments: [], files: [], deadline: 0)
            XCTAssertEqual(total.number.map { Int($0) }, callers.calls.load(ordering: .relaxed), "\(flags)")
            fixture.stop()
        }
    }
}
