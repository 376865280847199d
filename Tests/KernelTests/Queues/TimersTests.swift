import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

final class TimersTests: XCTestCase {
    private let workers = WorkerPool(name: "test-worker", maximum: 8)
    private lazy var timers = Timers(workers: workers)

    override func tearDown() {
        timers.close()
        workers.close()
    }

    private final class Times: @unchecked Sendable {  // All state is behind `monitor`.
        private let monitor = Monitor()
        private var all: [UInt64] = []
        func add() -> Int {
            monitor.locked {
                all.append(monotonicNow())
                monitor.broadcast()
                return all.count
            }
        }
        func wait(_ count: Int, file: StaticString = #filePath, line: UInt = #line) -> [UInt64] {
            let deadline = monotonicNow() + 60_000_000_000
            return monitor.locked {
                while all.count < count {
                    if !monitor.wait(until: deadline) {
                        XCTFail("\(all.count) of \(count)", file: file, line: line)
                        break
                    }
                }
                return all
            }
        }
        var count: Int { monitor.locked { all.count } }
    }

    func testOneShotRepeatingAndRestarted() throws {
        let start = monotonicNow()
        let once = Times()
        _ = try timers.start(delay: 20_000_000, period: 0) { _ in Int32(once.add() * 0) }
        let repeating = Times()
        let handle = try timers.start(delay: 1_000_000, period: 5_000_000) { _ in Int32(repeating.add() * 0) }
        let again = Times()
        _ = try timers.start(delay: 0, period: 0) { delay in
            if again.add() < 3 { delay = 1_000_000 }
            return HOSTD_OK
        }
        let failing = Times()
        _ = try timers.start(delay: 0, period: 0) { _ in failing.add() < 3 ? HOSTD_ERROR_UNAVAILABLE : HOSTD_OK }
        XCTAssertGreaterThanOrEqual(once.wait(1)[0] - start, 20_000_000)
        XCTAssertEqual(again.wait(3).count, 3)
        let failures = failing.wait(3)
        XCTAssertGreaterThanOrEqual(failures[2] - failures[0], 13_500_000)
        XCTAssertGreaterThanOrEqual(repeating.wait(4)[3] - start, 16_000_000)
        timers.cancel(handle)
        let count = repeating.count
        let later = Times()
        _ = try timers.start(delay: 15_000_000, period: 0) { _ in Int32(later.add() * 0) }
        _ = later.wait(1)
        XCTAssertEqual(repeating.count, count)
        XCTAssertEqual(once.count, 1)
    }

    func testCancelFromTheCallback() throws {
        let times = Times()
        let own = Mutex<UInt64>(0)
        let ready = Monitor()
        let handle = try ready.locked {
            let handle = try timers.start(delay: 0, period: 1_000_000) { [timers] _ in
                ready.locked { timers.cancel(own.withLock { $0 }) }
                return Int32(times.add() * 0)
            }
            own.withLock { $0 = handle }
            return handle
        }
        _ = times.wait(1)
        timers.cancel(handle)
        XCTAssertEqual(times.count, 1)
    }

    func testManyTimersRunInOrderOfTheirTimes() throws {
        var heap = DeadlineHeap<Int>()
        for number in (0..<1000).shuffled() { heap.insert(number, at: UInt64(number)) }
        XCTAssertNil(DeadlineHeap<Int>().earliest)
        XCTAssertEqual(heap.earliest, 0)
        var seen: [Int] = []
        while let next = heap.popDue(499) { seen.append(next.payload) }
        XCTAssertEqual(seen, Array(0..<500))
        XCTAssertEqual(heap.count, 500)
    }

    func testAfterCloseNothingStarts() {
        timers.close()
        assertFails(HOSTD_ERROR_WRONG_STATE) { try self.timers.start(delay: 0, period: 0) { _ in HOSTD_OK } }
    }
}
