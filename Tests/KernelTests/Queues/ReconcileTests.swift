import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

final class ReconcileTests: XCTestCase {
    private let workers = WorkerPool(name: "test-worker", maximum: 16)
    private let metrics = Metrics()
    private lazy var timers = Timers(workers: workers)
    private lazy var reconcile = Reconcile(workers: workers, timers: timers, metrics: metrics)

    override func tearDown() {
        reconcile.close()
        timers.close()
        workers.close()
    }

    /// Counts and lets a test wait.
    private final class Counter: @unchecked Sendable {  // All state is behind `monitor`.
        let monitor = Monitor()
        private var values: [String] = []
        func add(_ value: String) {
            monitor.locked {
                values.append(value)
                monitor.broadcast()
            }
        }
        var all: [String] { monitor.locked { values } }
        @discardableResult
        func wait(_ count: Int, file: StaticString = #filePath, line: UInt = #line) -> [String] {
            let deadline = monotonicNow() + 60_000_000_000
            monitor.locked {
                while values.count < count {
                    if !monitor.wait(until: deadline) {
                        return XCTFail("\(values.count) of \(count)", file: file, line: line)
                    }
                }
            }
            return all
        }
    }

    private func add(
        _ queue: UInt64, _ key: String, group: String? = nil, priority: FairQueue.Priority = .interactive,
        delay: UInt64 = 0
    ) throws {
        let bytes = Array(key.utf8)
        let queue = try reconcile.queue(queue)
        try bytes.withUnsafeBufferPointer { key in
            guard let group else { return try queue.add(key, priority: priority, delay: delay) }
            try Array(group.utf8).withUnsafeBufferPointer {
                try queue.add(key, group: $0, priority: priority, delay: delay)
            }
        }
    }

    func testAKeyThatWaitsRunsOnceAndOneThatRunsRunsAgain() throws {
        let counter = Counter()
        let gate = Monitor()
        let isOpen = Mutex(false)
        let queue = try reconcile.create(name: "q", workers: 1) { key, _ in
            counter.add(String(decoding: key, as: UTF8.self))
            gate.locked { while !isOpen.withLock({ $0 }) { gate.wait() } }
            return HOSTD_OK
        }
        try add(queue, "a")
        counter.wait(1)
        for _ in 0..<5 { try add(queue, "b") }
        for _ in 0..<5 { try add(queue, "a") }
        gate.locked {
            isOpen.withLock { $0 = true }
            gate.broadcast()
        }
        XCTAssertEqual(counter.wait(3), ["a", "b", "a"])
        reconcile.destroy(queue)
        reconcile.destroy(queue)
        XCTAssertEqual(counter.all.count, 3)
        assertFails(HOSTD_ERROR_NOT_FOUND) { try self.reconcile.queue(queue) }
    }

    func testOneKeyIsNeverWorkedOnTwiceAtOnceAndManyAreWorkedOnInParallel() throws {
        let running = Mutex<Set<String>>([])
        let widest = Mutex(0)
        let counter = Counter()
        let together = Monitor()
        let arrived = Mutex(0)
        let queue = try reconcile.create(name: "q", workers: 8) { key, _ in
            let name = String(decoding: key, as: UTF8.self)
            let count = running.withLock { running in
                XCTAssertTrue(running.insert(name).inserted, "\(name) runs twice")
                return running.count
            }
            widest.withLock { $0 = max($0, count) }
            if name.hasPrefix("meet") {  // All eight wait for each other: so all eight run at once.
                together.locked {
                    arrived.withLock { $0 += 1 }
                    together.broadcast()
                    while arrived.withLock({ $0 }) < 8 { together.wait() }
                }
            }
            _ = running.withLock { $0.remove(name) }
            counter.add(name)
            return HOSTD_OK
        }
        for number in 0..<8 { try add(queue, "meet\(number)") }
        counter.wait(8)
        XCTAssertEqual(widest.withLock { $0 }, 8)
        for number in 0..<2000 { try add(queue, "\(number % 7)") }
        for number in 0..<7 { try add(queue, "last\(number)") }
        var all = counter.all
        while !Set(all).isSuperset(of: (0..<7).map { "last\($0)" }) { all = counter.wait(all.count + 1) }
    }

    func testFailuresBackOffAndSuccessForgets() throws {
        let counter = Counter()
        let queue = try reconcile.create(name: "q", workers: 1) { _, _ in
            counter.add("\(monotonicNow())")
            return counter.all.count < 5 ? HOSTD_ERROR_UNAVAILABLE : HOSTD_OK
        }
        try add(queue, "a")
        let times = counter.wait(5).map { UInt64($0)! }
        for (number, pair) in zip(times, times.dropFirst()).enumerated() {
            XCTAssertGreaterThanOrEqual(pair.1 - pair.0, UInt64(4_500_000) << UInt64(number))
        }
        try add(queue, "a")
        counter.wait(6)
        let text = metrics.collect()
        XCTAssertTrue(text.contains("workqueue_retries_total{name=\"q\"} 4"), text)
        XCTAssertTrue(text.contains("workqueue_adds_total{name=\"q\"} 2"), text)
        XCTAssertTrue(text.contains("# TYPE workqueue_work_duration_seconds histogram"), text)
    }

    func testDelaysAreKeptAndTheEarlierWins() throws {
        let counter = Counter()
        let times = Mutex<[String: UInt64]>([:])
        let queue = try reconcile.create(name: "q", workers: 1) { key, again in
            times.withLock { $0[String(decoding: key, as: UTF8.self)] = monotonicNow() }
            counter.add(String(decoding: key, as: UTF8.self))
            if key.elementsEqual("again".utf8) && counter.all.filter({ $0 == "again" }).count < 3 { again = 1_000_000 }
            return HOSTD_OK
        }
        let start = monotonicNow()
        try add(queue, "late", delay: 60_000_000)
        try add(queue, "early", delay: 3_600_000_000_000)
        try add(queue, "early", delay: 20_000_000)
        try add(queue, "early", delay: 3_600_000_000_000)
        try add(queue, "now", delay: 3_600_000_000_000)
        try add(queue, "now")
        // Within an hour: so the earlier time counts. Their order is not asked for, because the adds may take their time.
        XCTAssertEqual(Set(counter.wait(3)), ["now", "early", "late"])
        let ran = times.withLock { $0 }
        XCTAssertGreaterThanOrEqual(ran["late"] ?? 0, start + 60_000_000)
        XCTAssertGreaterThanOrEqual(ran["early"] ?? 0, start + 20_000_000)
        try add(queue, "again")
        counter.wait(6)
        XCTAssertEqual(counter.all.count { $0 == "again" }, 3)
    }

    /// A queue of one worker whose first key, "gate", holds it until the gate is opened.
    private func gatedQueue(_ counter: Counter, _ name: String = "q") throws -> (queue: UInt64, open: () -> Void) {
        let gate = Monitor()
        let isOpen = Mutex(false)
        let queue = try reconcile.create(name: name, workers: 1) { key, _ in
            counter.add(String(decoding: key, as: UTF8.self))
            gate.locked { while !isOpen.withLock({ $0 }) { gate.wait() } }
            return HOSTD_OK
        }
        try add(queue, "gate")
        counter.wait(1)
        return (
            queue,
            {
                gate.locked {
                    isOpen.withLock { $0 = true }
                    gate.broadcast()
                }
            }
        )
    }

    func testNamespacesTakeTurnsAndPrioritiesHold() throws {
        let rows:
            [(adds: [(key: String, group: String?, priority: FairQueue.Priority)], order: [String], reason: String)] =
                [
                    (
                        [("a/1", nil, .interactive), ("a/2", nil, .interactive), ("b/1", nil, .interactive)],
                        ["a/1", "b/1", "a/2"], "what stands before the slash is the group"
                    ),
                    (
                        [("a/1", "x", .interactive), ("b/1", "x", .interactive), ("c/1", "y", .interactive)],
                        ["a/1", "c/1", "b/1"], "a group may be handed in"
                    ),
                    (
                        [("a/1", nil, .background), ("a/2", nil, .background), ("a/2", nil, .interactive)],
                        ["a/2", "a/1"], "a key that waits in the background is promoted"
                    ),
                    (
                        [("a/1", nil, .interactive), ("a/1", nil, .background), ("a/2", nil, .interactive)],
                        ["a/1", "a/2"], "and never put back"
                    ),
                    (
                        [
                            ("pods/a/1", nil, .interactive), ("pods/a/2", nil, .interactive),
                            ("pods/b/1", nil, .interactive),
                        ],
                        ["pods/a/1", "pods/b/1", "pods/a/2"], "the last slash counts"
                    ),
                ]
        for row in rows {
            let counter = Counter()
            let (queue, open) = try gatedQueue(counter)
            for one in row.adds { try add(queue, one.key, group: one.group, priority: one.priority) }
            open()
            XCTAssertEqual(Array(counter.wait(row.order.count + 1).dropFirst()), row.order, row.reason)
            reconcile.destroy(queue)
        }
    }

    func testWhoAsksForALaterRunMakesTheOneThatWaitsAlreadyAsUrgent() throws {
        let counter = Counter()
        let (queue, open) = try gatedQueue(counter)
        for key in ["a/1", "a/2"] { try add(queue, key, priority: .background) }
        try add(queue, "a/2", priority: .interactive, delay: 3_600_000_000_000)
        open()
        XCTAssertEqual(Array(counter.wait(3).dropFirst()), ["a/2", "a/1"])
    }

    func testOneNamespaceIsNotStarvedByTenThousandKeysOfAnother() throws {
        let counter = Counter()
        let (queue, open) = try gatedQueue(counter)
        for number in 0..<10_000 { try add(queue, "crowd/\(number)") }
        try add(queue, "one/key")
        open()
        let all = counter.wait(10_002)
        XCTAssertLessThanOrEqual(all.firstIndex(of: "one/key") ?? .max, 3)
        XCTAssertEqual(Set(all).count, 10_002, "nothing is lost")
    }

    func testDrainRunsWhatIsReadyAndTellsWhatItDropped() throws {
        let counter = Counter()
        let (queue, open) = try gatedQueue(counter)
        for number in 0..<100 { try add(queue, "n/\(number)") }
        try add(queue, "n/later", delay: 3_600_000_000_000)
        let other = Monitor()
        let left = Mutex<DrainedQueue?>(nil)
        let drained = try reconcile.queue(queue)
        Thread.detachNewThread {
            let result = drained.drain(until: monotonicNow() + 60_000_000_000)
            other.locked {
                left.withLock { $0 = result }
                other.broadcast()
            }
        }
        while drained.inspect({ _, life in life == .open }) { sched_yield() }
        assertFails(HOSTD_ERROR_WRONG_STATE) { try self.add(queue, "n/too-late") }
        open()
        other.locked { while left.withLock({ $0 == nil }) { other.wait() } }
        XCTAssertEqual(counter.all.count, 101, "all that was ready has run")
        XCTAssertEqual(left.withLock { $0?.keys }, ["n/later"])
        XCTAssertEqual(left.withLock { $0?.running }, 0)
        reconcile.destroy(queue)
    }

    func testDrainEndsAtItsDeadline() throws {
        let counter = Counter()
        let (queue, open) = try gatedQueue(counter)
        for number in 0..<150 { try add(queue, "n/\(number)") }
        let left = try reconcile.queue(queue).drain(until: monotonicNow() + 1_000_000)
        XCTAssertEqual(left.dropped, 150)
        XCTAssertEqual(left.keys.count, 100, "the first hundred are named")
        XCTAssertEqual(left.running, 1)
        XCTAssertTrue(left.json.contains("\"dropped\":150"), left.json)
        open()
        reconcile.destroy(queue)
        XCTAssertEqual(counter.all, ["gate"])
        XCTAssertTrue(metrics.collect().contains("workqueue_dropped_total{name=\"q\"} 150"))
    }

    func testMetricsTellWhatWaitsAndWhatRuns() throws {
        let counter = Counter()
        let (queue, open) = try gatedQueue(counter)
        for number in 0..<3 { try add(queue, "n/\(number)") }
        try add(queue, "n/9", priority: .background)
        let rows: [(line: String, reason: String)] = [
            ("workqueue_depth{name=\"q\",priority=\"interactive\"} 3", "depth by priority"),
            ("workqueue_depth{name=\"q\",priority=\"background\"} 1", "depth by priority"),
            ("workqueue_adds_total{name=\"q\"} 5", "each add counts"),
            ("workqueue_running{name=\"q\"} 1", "the gate runs"),
            ("workqueue_queue_duration_seconds_count{name=\"q\"} 1", "one key has begun"),
        ]
        var text = metrics.collect()
        for row in rows { XCTAssertTrue(text.contains(row.line), "\(row.reason): \(text)") }
        XCTAssertFalse(text.contains("workqueue_longest_running_processor_seconds{name=\"q\"} 0\n"), text)
        open()
        counter.wait(5)
        reconcile.destroy(queue)
        text = metrics.collect()
        XCTAssertTrue(text.contains("workqueue_work_duration_seconds_count{name=\"q\"} 5"), text)
        XCTAssertTrue(text.contains("workqueue_running{name=\"q\"} 0"), text)
    }

    func testAQueueMayBeDestroyedFromItsOwnCallback() throws {
        let counter = Counter()
        let handle = Mutex<UInt64>(0)
        let queue = try reconcile.create(name: "q", workers: 2) { [reconcile] _, _ in
            reconcile.destroy(handle.withLock { $0 })
            counter.add("destroyed")
            return HOSTD_OK
        }
        handle.withLock { $0 = queue }
        try add(queue, "a")
        counter.wait(1)
    }

    func testTheTableRefusesWhatIsNotAllowed() throws {
        let table = UnsafeRawPointer(reconcile.makeInterface()).assumingMemoryBound(to: hostd_reconcile_1.self).pointee
        var error = hostd_error()
        error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
        var queue: UInt64 = 0
        let callback: hostd_callback = { _, _, _, _ in HOSTD_OK }
        let name = Array("n".utf8)
        let this = table.interface.`self`
        XCTAssertEqual(table.create(this, name, 0, 1, callback, nil, &queue, &error), HOSTD_ERROR_INVALID_ARGUMENT)
        error.message.release?(error.message.context)
        XCTAssertEqual(table.create(this, name, 1, 0, callback, nil, &queue, &error), HOSTD_ERROR_INVALID_ARGUMENT)
        error.message.release?(error.message.context)
        XCTAssertEqual(table.add(this, 99, name, 1, 0, &error), HOSTD_ERROR_NOT_FOUND)
        error.message.release?(error.message.context)
        let null = unsafeBitCast(0, to: hostd_callback?.self)
        XCTAssertEqual(
            table.create(this, name, 1, 1, unsafeBitCast(null, to: hostd_callback.self), nil, &queue, &error),
            HOSTD_ERROR_INVALID_ARGUMENT)
        error.message.release?(error.message.context)
        XCTAssertEqual(table.create(this, name, 1, 1, callback, nil, &queue, &error), HOSTD_OK)
        XCTAssertEqual(table.add(this, queue, name, 1, 0, &error), HOSTD_OK)
        XCTAssertEqual(table.enqueue(this, queue, name, 1, nil, 0, 2, 0, &error), HOSTD_ERROR_INVALID_ARGUMENT)
        error.message.release?(error.message.context)
        XCTAssertEqual(table.enqueue(this, queue, name, 1, name, 1, 1, 0, &error), HOSTD_OK)
        var json = hostd_buffer()
        XCTAssertEqual(table.drain(this, queue, 0, &json, &error), HOSTD_OK)
        XCTAssertGreaterThan(json.size, 0)
        json.release?(json.context)
        XCTAssertEqual(table.destroy(this, queue, &error), HOSTD_OK)
    }
}
