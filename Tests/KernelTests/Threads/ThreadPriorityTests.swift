import Glibc
import XCTest

@testable import Kernel

final class ThreadPriorityTests: XCTestCase {
    private struct Failed: Error {}

    private func priority() -> Int32 { getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) }

    /// As root, as long as the body runs, and for nobody else.
    func testItIsRaisedForTheBodyAlone() throws {
        try XCTSkipUnless(geteuid() == 0, "raising a priority needs CAP_SYS_NICE")
        let before = priority()
        let inherited = Mutexed<Int32?>(nil)
        try ThreadPriority.raised {
            XCTAssertLessThan(priority(), before)
            let thread = try KernelThread(name: "child") {
                inherited.with { $0 = getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) }
            }
            thread.join()
            XCTAssertLessThan(priority(), before, "a thread that ended changes nothing")
        }
        XCTAssertEqual(inherited.with { $0 }, 0, "a thread that the body starts is an ordinary one")
        XCTAssertEqual(priority(), before)
        XCTAssertEqual(sched_getscheduler(0), SCHED_OTHER)
        XCTAssertThrowsError(try ThreadPriority.raised { () throws(Failed) in throw Failed() })
        XCTAssertEqual(priority(), before, "after a failure too")
    }

    /// Nested, the outermost one ends it.
    func testNested() throws {
        try XCTSkipUnless(geteuid() == 0, "raising a priority needs CAP_SYS_NICE")
        let before = priority()
        ThreadPriority.raised {
            let raised = priority()
            ThreadPriority.raised { XCTAssertEqual(priority(), raised) }
            XCTAssertEqual(priority(), raised)
        }
        XCTAssertEqual(priority(), before)
    }
}
