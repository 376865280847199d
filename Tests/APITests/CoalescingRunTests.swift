import Synchronization
import XCTest

@testable import API

/// One run at a time, and none too few.
final class CoalescingRunTests: XCTestCase {
    private struct State {
        var runs = 0
        var running = 0
        var mostAtOnce = 0
    }

    func testWhatComesMeanwhileIsOneMoreRun() {
        let pool = WorkerPool(limit: 4)
        let run = CoalescingRun()
        let state = Mutex(State())
        let (entered, mayEnd, done) = (BoundedSemaphore(), BoundedSemaphore(), BoundedSemaphore())
        let work: @Sendable () -> Void = {
            let number = state.withLock { state in
                state.runs += 1
                state.running += 1
                state.mostAtOnce = max(state.mostAtOnce, state.running)
                return state.runs
            }
            if number == 1 {
                entered.signal()
                mayEnd.wait()
            }
            state.withLock { $0.running -= 1 }
            if number == 2 { done.signal() }
        }
        run.request(on: pool, work)
        entered.wait()
        for _ in 0..<100 { run.request(on: pool, work) }
        mayEnd.signal()
        done.wait()
        pool.stop()
        state.withLock { state in
            XCTAssertEqual(state.runs, 2, "all that came meanwhile is one run more")
            XCTAssertEqual(state.mostAtOnce, 1)
        }
    }

    func testNothingRunsAfterTheStop() {
        let pool = WorkerPool(limit: 1)
        let run = CoalescingRun()
        run.stop()
        let hasRun = Mutex(false)
        run.request(on: pool) { hasRun.withLock { $0 = true } }
        pool.stop()
        XCTAssertFalse(hasRun.withLock { $0 })
    }

    /// A pool that has stopped takes nothing, and does not leave the run as if it were under way.
    func testAPoolThatStoppedHoldsNothingUp() {
        let (stopped, pool) = (WorkerPool(limit: 1), WorkerPool(limit: 1))
        stopped.stop()
        let run = CoalescingRun()
        let ran = BoundedSemaphore()
        run.request(on: stopped) { XCTFail("the pool has stopped") }
        run.request(on: pool) { ran.signal() }
        ran.wait()
        pool.stop()
    }

    /// Work that waits for other work of the same pool comes to its end when the pool stops.
    func testWhoWaitsForWhatIsDroppedIsTold() {
        let pool = WorkerPool(limit: 1)
        let (queued, told) = (BoundedSemaphore(), BoundedSemaphore())
        XCTAssertTrue(
            pool.run {
                XCTAssertTrue(pool.run(dropped: { told.signal() }, { XCTFail("the pool has stopped") }))
                queued.signal()
                told.wait()
            })
        queued.wait()
        pool.stop()
    }
}
