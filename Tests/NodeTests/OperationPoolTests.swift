import Glibc
import Synchronization
import XCTest

@testable import Node

final class OperationPoolTests: XCTestCase {
    func testRunsEverythingAndFinishes() {
        let pool = OperationPool(maximum: 4)
        let count = Atomic<Int>(0)
        for _ in 0..<200 { pool.run { count.wrappingAdd(1, ordering: .relaxed) } }
        pool.finish()
        XCTAssertEqual(count.load(ordering: .relaxed), 200)
        pool.run { XCTFail("a closed pool drops work") }
    }

    func testIdleThreadsSleep() {
        let pool = OperationPool(maximum: 4)
        let clocks = Mutex<Set<clockid_t>>([])
        for _ in 0..<3 {
            pool.run {
                var clock = clockid_t()
                pthread_getcpuclockid(pthread_self(), &clock)
                clocks.withLock { _ = $0.insert(clock) }
                poll(nil, 0, 10)
            }
        }
        poll(nil, 0, 50)
        // Of the pool's own threads: others of the process may have something to do.
        func used() -> Double {
            clocks.withLock { clocks in
                clocks.reduce(0) { sum, clock in
                    var time = timespec()
                    clock_gettime(clock, &time)
                    return sum + Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
                }
            }
        }
        let before = used()
        poll(nil, 0, 200)
        XCTAssertGreaterThan(before, 0)
        XCTAssertLessThan(used() - before, 0.1, "seconds of CPU while nothing is to do")
        pool.close()
    }

    func testCloseDoesNotWaitForeverForWhatHangs() {
        let pool = OperationPool(maximum: 1)
        let begun = Atomic<Bool>(false)
        let ends = Atomic<Bool>(false)
        pool.run {
            begun.store(true, ordering: .releasing)
            while !ends.load(ordering: .acquiring) { poll(nil, 0, 10) }
        }
        while !begun.load(ordering: .acquiring) { poll(nil, 0, 1) }
        XCTAssertFalse(pool.close(waitingSeconds: 1))
        ends.store(true, ordering: .releasing)
        XCTAssertTrue(pool.close(waitingSeconds: 10))
    }
}
