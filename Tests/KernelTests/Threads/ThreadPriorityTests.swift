import CStateStore
import Glibc
import XCTest

@testable import Kernel

final class ThreadPriorityTests: XCTestCase {
    private struct Failed: Error {}

    /// What the scheduler has of a thread.
    private struct Standing: Equatable {
        var policy = sched_getscheduler(0) & ~0x4000_0000
        var nice = getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0)
    }

    private static let ordinary = (policy: SCHED_OTHER, nice: Int32(0))

    /// Whether the machine lets hostd have real-time threads.
    private func skipUnlessRealTimeIsAllowed() throws {
        var parameters = sched_param(sched_priority: 1)
        let isAllowed = sched_setscheduler(0, SCHED_FIFO, &parameters) == 0
        parameters.sched_priority = 0
        sched_setscheduler(0, SCHED_OTHER, &parameters)
        try XCTSkipUnless(isAllowed, "real-time threads need CAP_SYS_NICE, and a share of the processor for them")
    }

    /// What is true of either way, as long as the body runs, and for nobody else.
    private func check(
        _ run: @escaping (() throws -> Void) throws -> Void, is expected: @escaping (Standing) -> Bool
    ) throws {
        let before = Standing()
        let inherited = Mutexed<Standing?>(nil)
        try run {
            XCTAssertTrue(expected(Standing()), "\(Standing())")
            let thread = try KernelThread(name: "child") { inherited.with { $0 = Standing() } }
            thread.join()
            XCTAssertTrue(expected(Standing()), "a thread that ended changes nothing")
            try run { XCTAssertTrue(expected(Standing()), "nested") }
            XCTAssertTrue(expected(Standing()), "the outermost ends it")
        }
        let child = inherited.with { $0 }
        XCTAssertEqual(child?.policy, Self.ordinary.policy, "a thread that the body starts is an ordinary one")
        XCTAssertEqual(child?.nice, Self.ordinary.nice)
        XCTAssertEqual(Standing(), before)
        XCTAssertThrowsError(try run { throw Failed() })
        XCTAssertEqual(Standing(), before, "after a failure too")
    }

    func testRaised() throws {
        try skipUnlessRealTimeIsAllowed()
        try check({ body in try ThreadPriority.raised { try body() } }, is: { $0.policy == SCHED_FIFO })
    }

    func testPreferred() throws {
        try XCTSkipUnless(geteuid() == 0, "raising a priority needs CAP_SYS_NICE")
        let before = Standing()
        try check(
            { body in try ThreadPriority.preferred { try body() } },
            is: { $0.policy == SCHED_OTHER && $0.nice < before.nice })
    }

    func testPrecedenceChanges() throws {
        try XCTSkipUnless(geteuid() == 0, "raising a priority needs CAP_SYS_NICE")
        let before = Standing()
        ThreadPriority.preferred {
            ThreadPriority.change(to: .some, from: before.nice)
            XCTAssertEqual(Standing().nice, min(before.nice, ThreadPriority.Precedence.some.rawValue))
            ThreadPriority.change(to: .first, from: before.nice)
            XCTAssertEqual(Standing().nice, min(before.nice, ThreadPriority.Precedence.first.rawValue))
            ThreadPriority.change(to: .some, from: -10)
            XCTAssertEqual(Standing().nice, -10, "never behind where it was")
        }
        XCTAssertEqual(Standing(), before)
    }

    /// Turns leave the rest of a thread's standing as it is, and are its own.
    func testShortTurns() throws {
        let standing = Mutexed<[Standing]>([])
        let thread = try KernelThread(name: "short turns") {
            standing.with { $0.append(Standing()) }
            ThreadPriority.takeShortTurns()
            standing.with { $0.append(Standing()) }
        }
        thread.join()
        let seen = standing.with { $0 }
        XCTAssertEqual(seen.count, 2)
        XCTAssertEqual(seen.first, seen.last)
    }
}
