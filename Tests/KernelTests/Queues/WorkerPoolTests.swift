import Synchronization
import XCTest

@testable import Kernel

final class WorkerPoolTests: XCTestCase {
    private final class Job: PoolJob {
        let subject: String
        let body: @Sendable () -> Void
        init(_ subject: String = "job", _ body: @escaping @Sendable () -> Void) {
            self.subject = subject
            self.body = body
        }
        func run() { body() }
    }

    /// Jobs done, to be waited for.
    private final class Done: @unchecked Sendable {  // All state is behind `monitor`.
        private let monitor = Monitor()
        private var count = 0
        func add() {
            monitor.locked {
                count += 1
                monitor.broadcast()
            }
        }
        func wait(_ wanted: Int, file: StaticString = #filePath, line: UInt = #line) {
            let deadline = monotonicNow() + 60_000_000_000
            monitor.locked {
                while count < wanted {
                    if !monitor.wait(until: deadline) {
                        return XCTFail("\(count) of \(wanted)", file: file, line: line)
                    }
                }
            }
        }
    }

    func testNoJobIsLeftWaitingWhileThreadsAreIdle() throws {
        for maximum in [1, 2, 3] {
            let pool = WorkerPool(name: "pool", maximum: maximum)
            let done = Done()
            // Alone after a pause, in bursts, and from several threads: each way in which a wake-up could get lost.
            for number in 1...2000 {
                pool.submit(Job { done.add() })
                if number % 3 == 0 { done.wait(number) }
            }
            let threads = try (0..<4).map { _ in
                try KernelThread(name: "submitter") { for _ in 0..<500 { pool.submit(Job { done.add() }) } }
            }
            for thread in threads { thread.join() }
            done.wait(4000)
            pool.submit(Job { done.add() })
            done.wait(4001)
            pool.close()
        }
    }

    func testJobsThatWaitForEachOtherAllGetAThread() {
        let pool = WorkerPool(name: "pool", maximum: 4)
        for round in 1...500 {
            // Each lets go when all have begun: with threads that sleep and threads that run, none may be left asleep.
            let (begun, done) = (Done(), Done())
            for _ in 0..<4 {
                pool.submit(
                    Job {
                        begun.add()
                        begun.wait(4)
                        done.add()
                    })
            }
            done.wait(4)
            if round % 7 == 0 { pool.submit(Job { done.add() }) }
        }
        XCTAssertEqual(pool.threadCount, 4)
        pool.close()
    }

    func testBlockedJobsGetMoreThreadsUpToTheBound() {
        let pool = WorkerPool(name: "pool", maximum: 4)
        let done = Done()
        let gate = Monitor()
        let isOpen = Mutex(false)
        for _ in 0..<3 {
            pool.submit(
                Job {
                    gate.locked { while !isOpen.withLock({ $0 }) { gate.wait() } }
                    done.add()
                })
        }
        pool.submit(Job { done.add() })
        done.wait(1)
        gate.locked {
            isOpen.withLock { $0 = true }
            gate.broadcast()
        }
        done.wait(4)
        pool.close()
        pool.submit(Job { XCTFail("a closed pool runs nothing") })
    }

    /// Jobs that block until they are let go.
    private final class Gate: @unchecked Sendable {  // All state is behind `monitor`.
        private let monitor = Monitor()
        private var isOpen = false
        func pass() { monitor.locked { while !isOpen { monitor.wait() } } }
        func open() {
            monitor.locked {
                isOpen = true
                monitor.broadcast()
            }
        }
    }

    func testAJobThatDoesNotReturnLosesItsPlaceUntilItDoes() {
        let (gate, done) = (Gate(), Done())
        let reports = Mutex<[String]>([])
        let pool = WorkerPool(
            name: "pool", maximum: 2,
            stuckJobs: .init(patience: 20_000_000) { subject in reports.withLock { $0.append(subject) } })
        for _ in 0..<2 {
            pool.submit(
                Job("stuck") {
                    gate.pass()
                    done.add()
                })
        }
        for number in 1...100 {
            pool.submit(Job { done.add() })
            if number % 10 == 0 { done.wait(number) }
        }
        // The second is told of only when work waits for its place: the first one's replacement may have done all of it.
        // On a busy machine a quick job may have been away from the processor for as long.
        let told = reports.withLock { $0 }.filter { $0 == "stuck" }
        XCTAssertTrue((1...2).contains(told.count), "each is told once, not \(told)")
        gate.open()
        done.wait(102)
        let deadline = monotonicNow() + 60_000_000_000
        // The places that were lent are given back as the threads return.
        while pool.threadCount > 2, monotonicNow() < deadline { sched_yield() }
        XCTAssertLessThanOrEqual(pool.threadCount, 2)
        for _ in 0..<100 { pool.submit(Job { done.add() }) }
        done.wait(202)
        pool.close()
    }

    func testReplacementsAreBounded() {
        let (gate, started) = (Gate(), Done())
        let bound = 2 + WorkerPool.StuckJobs.limit
        let pool = WorkerPool(name: "pool", maximum: 2, stuckJobs: .init(patience: 1_000_000) { _ in })
        for _ in 0..<(bound + 10) {
            pool.submit(
                Job {
                    started.add()
                    gate.pass()
                })
        }
        started.wait(bound)
        XCTAssertEqual(pool.threadCount, bound)
        gate.open()
        started.wait(bound + 10)
        pool.close()
        XCTAssertEqual(pool.threadCount, 0)
    }

    func testAPoolIsClosedWhileItIsGuarded() {
        let (gate, started) = (Gate(), Done())
        let pool = WorkerPool(name: "pool", maximum: 1, stuckJobs: .init(patience: 60_000_000_000) { _ in })
        for _ in 0..<3 {
            pool.submit(
                Job {
                    started.add()
                    gate.pass()
                })
        }
        started.wait(1)
        gate.open()
        pool.close()
        XCTAssertEqual(pool.threadCount, 0, "without waiting for the guard's patience")
    }
}
