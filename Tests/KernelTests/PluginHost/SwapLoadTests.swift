import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

/// Swaps under calls from several threads: none is lost, none counted twice, none reaches a generation that has ended.
final class SwapLoadTests: XCTestCase {
    func testWithStateNoCallIsLostOrCountedTwice() throws {
        let rows: [(name: String, defines: [String])] = [
            ("overlap", []), ("exclusive", ["-DHANDOVER=\"exclusive\""]), ("live", ["-DLIVE"]),
            ("live, where one side is exclusive", ["-DLIVE", "-DHANDOVER=\"exclusive\""]),
        ]
        for (handover, defines) in rows {
            let fixture = try SwapFixture([SwapFixture.format] + defines)
            try fixture.start()
            let callers = try Callers(4, table: try XCTUnwrap(fixture.host.interface(SwapFixture.role)))
            for _ in 0..<200 { try fixture.swap(to: "counter") }
            callers.stop()
            XCTAssertEqual(callers.failures.load(ordering: .relaxed), 0, handover)
            XCTAssertEqual(try fixture.number("total"), callers.calls.load(ordering: .relaxed), handover)
            XCTAssertEqual(try fixture.number("late"), 0, handover)
            XCTAssertEqual(try fixture.number("marks"), 0, handover)
            XCTAssertTrue(try fixture.told().hasPrefix("1 1 1 "))
            XCTAssertEqual(fixture.listed["generation"], 201)
            fixture.host.stop()
        }
    }

    func testWithoutStateNoCallFailsOrComesLate() throws {
        let fixture = try SwapFixture()
        try fixture.start()
        defer { fixture.host.stop() }
        try fixture.build("second", ["-DVERSION=\"2\""])
        let callers = try Callers(4, table: try XCTUnwrap(fixture.host.interface(SwapFixture.role)))
        for round in 0..<300 {
            let answer = try fixture.swap(to: round % 2 == 0 ? "second" : "counter")
            XCTAssertEqual(answer["lastSwap"]["gapMicroseconds"], 0, "nothing was held")
        }
        callers.stop()
        XCTAssertEqual(callers.failures.load(ordering: .relaxed), 0)
        XCTAssertGreaterThan(callers.calls.load(ordering: .relaxed), 1000)
        XCTAssertEqual(try fixture.number("late"), 0)
        try fixture.swap(to: "second")
        XCTAssertEqual(try fixture.number("late"), 0, "of the other image")
    }

    /// A swap that fails releases the calls that it held, to the old one.
    func testFailedSwapsUnderLoadLoseNothing() throws {
        let fixture = try SwapFixture([SwapFixture.format])
        try fixture.start()
        defer { fixture.host.stop() }
        try fixture.build("second", [SwapFixture.format, "-DFAULT=ACTIVATE"])
        let callers = try Callers(3, table: try XCTUnwrap(fixture.host.interface(SwapFixture.role)))
        for _ in 0..<100 { XCTAssertThrowsError(try fixture.swap(to: "second")) }
        callers.stop()
        XCTAssertEqual(callers.failures.load(ordering: .relaxed), 0)
        XCTAssertEqual(try fixture.number("total"), callers.calls.load(ordering: .relaxed))
    }

    func testACallThatStaysInsideFailsTheSwapAndGoesOn() throws {
        let fixture = try SwapFixture([SwapFixture.format])
        try fixture.start()
        defer { fixture.host.stop() }
        let host = fixture.host
        let stayed = Flag()
        try KernelThread(name: "stays") {
            let result = try? host.call(
                role: SwapFixture.role, plugin: nil, slot: "stay", arguments: [0], files: [], deadline: 0)
            stayed.set(result != nil)
        }.detach()
        let target = try XCTUnwrap(host.instance("counter")?.targets[SwapFixture.role])
        while target.calls == 0 { sched_yield() }
        XCTAssertThrowsError(try fixture.swap(to: "counter", ["timeoutMilliseconds": 100])) { error in
            XCTAssertEqual((error as? PluginFailure)?.step, .drain)
        }
        _ = try fixture.call("stay", [1])
        XCTAssertTrue(stayed.wait())
        try fixture.swap(to: "counter")
    }

    func testOperationsEndWithTheGenerationThatAcceptedThem() throws {
        let fixture = try SwapFixture()
        try fixture.start()
        defer { fixture.host.stop() }
        let table = try XCTUnwrap(fixture.host.interface(SwapFixture.role))
        typealias Later =
            @convention(c) (
                UnsafeMutableRawPointer?, hostd_completion, UnsafeMutableRawPointer?, UnsafeMutablePointer<UInt64>,
                UnsafeMutablePointer<hostd_error>?
            ) -> Int32
        let completed = Flag()
        var handle: UInt64 = 0
        let status = slotFunction(table, 4, as: Later.self)(
            table.pointee.`self`,
            { context, status, _, _, _ in
                guard let context else { return }
                Unmanaged<Flag>.fromOpaque(context).takeUnretainedValue().set(status == HOSTD_ERROR_CANCELLED)
            }, Unmanaged.passUnretained(completed).toOpaque(), &handle, nil)
        XCTAssertEqual(status, HOSTD_OK)
        try fixture.swap(to: "counter")
        XCTAssertTrue(completed.wait())
        XCTAssertTrue(try fixture.told().hasPrefix("1 1 1 "))
    }
}

/// What one thread tells another.
final class Flag: @unchecked Sendable {
    // SAFETY: `value` is under `monitor`.
    private let monitor = Monitor()
    private var value: Bool?

    func set(_ value: Bool) {
        monitor.locked {
            self.value = value
            monitor.broadcast()
        }
    }

    /// The value, false when none came within a minute.
    func wait() -> Bool {
        monitor.locked {
            let deadline = monotonicNow() + 60_000_000_000
            while value == nil, monitor.wait(until: deadline) {}
            return value ?? false
        }
    }
}
