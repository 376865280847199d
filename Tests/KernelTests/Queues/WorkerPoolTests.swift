import Synchronization
import XCTest

@testable import Kernel

final class WorkerPoolTests: XCTestCase {
    private final class Job: PoolJob {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
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
            let deadline = monotonicNow() + 20_000_000_000
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
}
