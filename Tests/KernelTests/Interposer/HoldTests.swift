import Glibc
import PluginAPI
import XCTest

@testable import Kernel

final class HoldTests: XCTestCase {
    private let second: UInt64 = 1_000_000_000

    func testHeldCallsGoToTheNextTarget() throws {
        let old = try TestTable("get:be", [address { _, _, _, _ in -1 }])
        let new = try TestTable("get:be", [address { _, _, _, _ in HOSTD_OK }])
        let binding = try XCTUnwrap(RoleBinding(id: "com.example.held/1", descriptor: old.descriptor))
        binding.bind(old.target)
        binding.hold(limit: 10 * second)
        let answered = Flag()
        try KernelThread(name: "held") {
            let get = slotFunction(binding.table, 0, as: BytesFunction.self)
            answered.set(get(binding.table.pointee.`self`, nil, 0, nil) == HOSTD_OK)
        }.detach()
        while binding.waitingCalls == 0 { sched_yield() }
        binding.bind(new.target)
        XCTAssertEqual(binding.waitingCalls, 1, "bound, but not released yet")
        binding.release()
        XCTAssertTrue(answered.wait())
        XCTAssertEqual(binding.waitingCalls, 0)
    }

    func testCallsWaitNoLongerThanTheLimitOrTheirDeadline() throws {
        let descriptor = try SlotDescriptor("plain:be;timed:tbe")
        let binding = try XCTUnwrap(RoleBinding(id: "com.example.held/1", descriptor: descriptor))
        typealias Timed =
            @convention(c) (
                UnsafeMutableRawPointer?, UInt64, UnsafePointer<UInt8>?, UInt64, UnsafeMutablePointer<hostd_error>?
            ) -> Int32
        let plain = slotFunction(binding.table, 0, as: BytesFunction.self)
        let timed = slotFunction(binding.table, 1, as: Timed.self)
        var error = ForeignBytes.emptyError()
        let start = monotonicNow()
        binding.hold(limit: second / 20)
        XCTAssertEqual(plain(binding.table.pointee.`self`, nil, 0, &error), HOSTD_ERROR_UNAVAILABLE)
        XCTAssertEqual(error.retryable, 1)
        XCTAssertGreaterThanOrEqual(monotonicNow() - start, second / 20)
        binding.hold(limit: 100 * second)
        let deadline = monotonicNow() + second / 20
        XCTAssertEqual(timed(binding.table.pointee.`self`, deadline, nil, 0, nil), HOSTD_ERROR_UNAVAILABLE)
        XCTAssertGreaterThanOrEqual(monotonicNow(), deadline)
        XCTAssertLessThan(monotonicNow() - start, 60 * second)
        binding.release()
        XCTAssertEqual(plain(binding.table.pointee.`self`, nil, 0, nil), HOSTD_ERROR_UNAVAILABLE, "nobody, at once")
    }

    /// Holds and releases from one thread, calls from others: none is lost and none is stuck.
    func testManyHolds() throws {
        let table = try TestTable("add:we", [unsafeBitCast(accept, to: UnsafeRawPointer.self)])
        let binding = try XCTUnwrap(RoleBinding(id: "com.example.held/1", descriptor: table.descriptor))
        binding.bind(table.target)
        let callers = try Callers(4, table: binding.table)
        for _ in 0..<2000 {
            binding.hold(limit: 10 * second)
            XCTAssertTrue(binding.target?.drainCalls(deadline: monotonicNow() + 10 * second) ?? false)
            binding.release()
        }
        callers.stop()
        XCTAssertEqual(callers.failures.load(ordering: .relaxed), 0)
        XCTAssertEqual(binding.target?.calls, 0)
        XCTAssertEqual(binding.waitingCalls, 0)
    }

    private let accept: Callers.Add = { _, _, _ in HOSTD_OK }
}
