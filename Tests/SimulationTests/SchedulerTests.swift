import Synchronization
import XCTest

@testable import Simulation

final class SchedulerTests: XCTestCase {
    private let mutex = UnsafeRawPointer(UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 16))
    private var condition: UnsafeRawPointer { mutex + 1 }

    private func scheduler(_ seed: UInt64) -> Scheduler {
        let scheduler = Scheduler(generator: Generator(seed: seed))
        scheduler.switchRate = 2
        return scheduler
    }

    /// Three threads that count under a lock; the order in which they did it.
    private func order(_ seed: UInt64) -> (order: [Int], trace: UInt64, stop: Scheduler.Stop) {
        let scheduler = scheduler(seed)
        let order = Shared<[Int]>([])
        let inside = Shared(0)
        let mutex = UInt(bitPattern: mutex)
        for number in 0..<3 {
            scheduler.start(name: "counter") {
                guard let mutex = UnsafeRawPointer(bitPattern: mutex) else { return }
                for _ in 0..<20 {
                    scheduler.lock(mutex)
                    inside.value += 1
                    scheduler.point()
                    XCTAssertEqual(inside.value, 1, "one holds the lock")
                    order.value.append(number)
                    inside.value -= 1
                    scheduler.unlock(mutex)
                }
            }
        }
        let stop = scheduler.run()
        return (order.value, scheduler.trace, stop)
    }

    func testTheSeedDecidesTheOrder() {
        let first = order(1)
        XCTAssertEqual(first.stop, .idle(waiting: []))
        XCTAssertEqual(first.order.count, 60)
        for _ in 0..<5 {
            let again = order(1)
            XCTAssertEqual(again.order, first.order)
            XCTAssertEqual(again.trace, first.trace)
        }
        XCTAssertGreaterThan(Set((1...20).map { order(UInt64($0)).trace }).count, 15)
    }

    func testThreadsThatWaitForEachOtherAreReported() {
        let scheduler = scheduler(3)
        scheduler.spuriousRate = 0
        let address = UInt(bitPattern: mutex)
        scheduler.start(name: "sleeper") {
            guard let word = UnsafeRawPointer(bitPattern: address) else { return }
            scheduler.sleep(on: word)
            XCTFail("nobody wakes it")
        }
        XCTAssertEqual(scheduler.run(), .idle(waiting: ["sleeper#0"]))
    }

    func testTimeJumpsToTheNextDeadline() {
        let scheduler = scheduler(4)
        let began = scheduler.time
        let inTime = Shared(true)
        let address = UInt(bitPattern: mutex)
        scheduler.spuriousRate = 0
        scheduler.start(name: "waiter") {
            guard let mutex = UnsafeRawPointer(bitPattern: address) else { return }
            scheduler.lock(mutex)
            inTime.value = scheduler.wait(mutex + 1, mutex, until: began + 3_600_000_000_000)
            scheduler.unlock(mutex)
        }
        XCTAssertEqual(scheduler.run(), .idle(waiting: []))
        XCTAssertFalse(inTime.value)
        XCTAssertGreaterThanOrEqual(scheduler.time - began, 3_600_000_000_000)
    }

    func testASignalWakesOneAndABroadcastAll() {
        for (all, expected) in [(false, 1), (true, 3)] {
            let scheduler = scheduler(5)
            scheduler.spuriousRate = 0
            let woken = Shared(0)
            let address = UInt(bitPattern: mutex)
            for _ in 0..<3 {
                scheduler.start(name: "waiter") {
                    guard let mutex = UnsafeRawPointer(bitPattern: address) else { return }
                    scheduler.lock(mutex)
                    _ = scheduler.wait(mutex + 1, mutex, until: .max)
                    woken.value += 1
                    scheduler.unlock(mutex)
                }
            }
            XCTAssertNotEqual(scheduler.run(), .idle(waiting: []))
            scheduler.start(name: "caller") {
                guard let mutex = UnsafeRawPointer(bitPattern: address) else { return }
                scheduler.signal(mutex + 1, all: all)
            }
            _ = scheduler.run()
            XCTAssertEqual(woken.value, expected)
        }
    }

    func testManyShareALockAndOneHasItAlone() {
        for seed in UInt64(1)...20 {
            let scheduler = scheduler(seed)
            let readers = Shared(0)
            let writers = Shared(0)
            let most = Shared(0)
            let address = UInt(bitPattern: mutex)
            for number in 0..<4 {
                scheduler.start(name: "user") {
                    guard let lock = UnsafeRawPointer(bitPattern: address) else { return }
                    for _ in 0..<10 {
                        scheduler.lock(lock, alone: number == 0)
                        if number == 0 { writers.value += 1 } else { readers.value += 1 }
                        most.value = max(most.value, readers.value)
                        XCTAssertTrue(writers.value == 0 || writers.value == 1 && readers.value == 0)
                        scheduler.point()
                        if number == 0 { writers.value -= 1 } else { readers.value -= 1 }
                        scheduler.release(lock)
                    }
                }
            }
            XCTAssertEqual(scheduler.run(), .idle(waiting: []))
            XCTAssertGreaterThan(most.value, 1)
        }
    }

    func testACrashStopsAllAtItsPoint() {
        let scheduler = scheduler(6)
        scheduler.crashPoint = 50
        let count = Shared(0)
        for _ in 0..<3 {
            scheduler.start(name: "worker") {
                while true {
                    scheduler.point()
                    count.value += 1
                }
            }
        }
        XCTAssertEqual(scheduler.run(), .crash)
        XCTAssertLessThan(count.value, 60)
        scheduler.abandon()
        scheduler.crashPoint = .max
        scheduler.start(name: "next") { count.value = -1 }
        XCTAssertEqual(scheduler.run(), .idle(waiting: []))
        XCTAssertEqual(count.value, -1)
    }

    func testARunWithoutAnEndIsReported() {
        let scheduler = scheduler(7)
        scheduler.lastPoint = 1000
        scheduler.start(name: "turner") { while true { scheduler.point() } }
        XCTAssertEqual(scheduler.run(), .endless)
    }
}
