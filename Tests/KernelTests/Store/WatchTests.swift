import Glibc
import PluginAPI
import Synchronization
import XCTest

@testable import Kernel

final class WatchTests: XCTestCase {
    private var directory = TemporaryDirectory()

    private func open(_ change: (inout StateStoreOptions) -> Void = { _ in }) throws -> StateStore {
        var options = smallOptions()
        change(&options)
        return try StateStore(directory: directory.path + "/store", options: options)
    }

    override func setUp() { directory = TemporaryDirectory() }

    func testEventsOfAPrefixComeInOrderWithPreviousForDeletes() throws {
        let store = try open()
        defer { store.close() }
        let collector = Collector()
        let watch = try store.watch("pods/d/", collector.sink)
        collector.waitForProgress()
        try store.put("pods/d/a", "1")
        try store.put("pods/e/a", "other namespace")
        try store.put("nodes//a", "other resource")
        try store.put("pods/d/a", "2")
        try store.remove("pods/d/a")
        let all = collector.wait(count: 4)
        XCTAssertEqual(all.map(\.revision), [1, 4, 5, 4])
        XCTAssertEqual(all.map(\.value), ["1", "2", "", "2"])
        XCTAssertEqual(all[2].kind, Record.Kind.delete)
        XCTAssertEqual(all[2].flags, HOSTD_STORE_RECORD_HAS_PREVIOUS)
        XCTAssertEqual(all[1].flags, 0)
        store.parts.hub.cancel(watch)
        store.parts.hub.cancel(watch)
        XCTAssertEqual(store.parts.hub.count, 0)
    }

    func testWatchFromARevisionHasNoGapAndNoDoubleWhileWritersRun() throws {
        let store = try open { $0.watchQueueSize = 4096 }
        defer { store.close() }
        for number in 0..<100 { try store.put("pods/d/\(number)", "early") }
        let total = 1600
        let writers = try (0..<4).map { writer in
            try KernelThread(name: "writer") {
                for number in 0..<375 {
                    do { try store.put("pods/d/\(writer)-\(number)", "late") } catch { XCTFail("\(error)") }
                }
            }
        }
        var collectors: [(Collector, UInt64)] = []
        for from in stride(from: UInt64(1), to: 100, by: 9) {
            let collector = Collector()
            _ = try store.watch(from.isMultiple(of: 2) ? "" : "pods/", from: from, collector.sink)
            collectors.append((collector, from))
        }
        for writer in writers { writer.join() }
        for (collector, from) in collectors {
            let all = collector.wait(count: total - Int(from))
            XCTAssertEqual(all.map(\.revision), Array((from + 1)...UInt64(total)))
        }
    }

    func testSelectorSeesEnteringStayingAndLeaving() throws {
        let store = try open()
        defer { store.close() }
        let live = Collector()
        _ = try store.watch("pods/", selector: "app=web", live.sink)
        live.waitForProgress()
        try store.put("pods/d/a", "no", index: ["app": "db"])
        try store.put("pods/d/a", "in", index: ["app": "web"])
        try store.put("pods/d/a", "stay", index: ["app": "web"])
        try store.put("pods/d/a", "out", index: ["app": "db"])
        try store.put("pods/d/a", "still out", index: ["app": "db"])
        try store.remove("pods/d/a")
        try store.put("pods/d/b", "in", index: ["app": "web"])
        try store.remove("pods/d/b")
        let late = Collector()
        _ = try store.watch("pods/", selector: "app=web", from: 1, late.sink)
        for collector in [live, late] {
            let all = collector.wait(count: 7)
            XCTAssertEqual(all.map(\.value), ["in", "stay", "out", "stay", "in", "", "in"])
            XCTAssertEqual(
                all.map(\.flags),
                [
                    HOSTD_STORE_RECORD_ENTERED, 0, HOSTD_STORE_RECORD_LEFT | HOSTD_STORE_RECORD_HAS_PREVIOUS, 0, 0,
                    HOSTD_STORE_RECORD_HAS_PREVIOUS, 0,
                ])
        }
    }

    func testASlowWatchCatchesUpFromHistoryWithoutLoss() throws {
        let store = try open { $0.watchQueueSize = 2000 }
        defer { store.close() }
        let gate = Monitor()
        let isOpen = Mutex(false)
        let collector = Collector()
        _ = try store.watch("pods/") { kind, data in
            gate.locked { while !isOpen.withLock({ $0 }) { gate.wait() } }
            collector.sink(kind, data)
        }
        for number in 1...500 { try store.put("pods/d/a", "\(number)") }
        gate.locked {
            isOpen.withLock { $0 = true }
            gate.broadcast()
        }
        XCTAssertEqual(collector.wait(count: 500).map(\.revision), Array(1...500))
        try store.put("pods/d/a", "last")
        XCTAssertEqual(collector.wait(count: 501).last?.value, "last")
        XCTAssertEqual(collector.ended, [])
    }

    func testATooSlowWatchIsToldToListAgain() throws {
        let store = try open {
            $0.watchQueueSize = 2000
            $0.historyCount = 20
        }
        defer { store.close() }
        let gate = Monitor()
        let isOpen = Mutex(true)
        let collector = Collector()
        _ = try store.watch("pods/") { kind, data in
            gate.locked { while !isOpen.withLock({ $0 }) { gate.wait() } }
            collector.sink(kind, data)
        }
        // Live watches alone learn of progress; one that still reads the history has no queue to overflow.
        collector.waitForProgress()
        isOpen.withLock { $0 = false }
        for number in 1...500 { try store.put("pods/d/a", "\(number)") }
        gate.locked {
            isOpen.withLock { $0 = true }
            gate.broadcast()
        }
        XCTAssertEqual(collector.waitForEnd(), HOSTD_SINK_RESYNC)
        let accounts = store.parts.hub.accounts
        XCTAssertEqual(accounts.resyncs, 1)
        XCTAssertGreaterThanOrEqual(accounts.overflows, 1)
        XCTAssertEqual(accounts.queuedBytes, 0, "what was dropped is given back")
        let revisions = collector.all.map(\.revision)
        XCTAssertEqual(revisions, (0..<UInt64(revisions.count)).map { $0 + 1 })
        XCTAssertEqual(store.parts.hub.count, 0)
    }

    func testATransactionReachesAWatchInOnePiece() throws {
        let store = try open()
        defer { store.close() }
        let batches = Mutex<[[UInt64]]>([])
        let collector = Collector()
        _ = try store.watch("pods/") { kind, data in
            if kind == HOSTD_SINK_DATA { batches.withLock { $0.append(Stored.all(in: data).map(\.revision)) } }
            collector.sink(kind, data)
        }
        for round in 0..<50 {
            let bytes = (0..<10).flatMap { operation(HOSTD_STORE_PUT, "pods/d/\(round)-\($0)", "x") }
            let write = try bytes.withUnsafeBytes { try Write(operations: $0, limits: store.parts.options.writeLimits) }
            _ = try store.perform(write)
        }
        collector.wait(count: 500)
        let all = batches.withLock { $0 }
        for batch in all { XCTAssertEqual(batch.count % 10, 0) }
    }

    func testCancelWaitsForTheSinkAndMayBeCalledFromIt() throws {
        let store = try open()
        defer { store.close() }
        let order = Mutex<[String]>([])
        let gate = Monitor()
        let isOpen = Mutex(false)
        let entered = Collector()
        let watch = try store.watch("pods/") { kind, data in
            guard kind == HOSTD_SINK_DATA else { return }
            entered.sink(kind, data)
            gate.locked { while !isOpen.withLock({ $0 }) { gate.wait() } }
            order.withLock { $0.append("sink left") }
        }
        try store.put("pods/d/a")
        entered.wait(count: 1)
        let canceller = try KernelThread(name: "canceller") {
            store.parts.hub.cancel(watch)
            order.withLock { $0.append("cancel returned") }
        }
        gate.locked {
            isOpen.withLock { $0 = true }
            gate.broadcast()
        }
        canceller.join()
        XCTAssertEqual(order.withLock { $0 }, ["sink left", "cancel returned"])
        try store.put("pods/d/b")

        let own = Mutex<UInt64>(0)
        let collector = Collector()
        let handle = try store.watch("nodes/") { kind, data in
            guard kind == HOSTD_SINK_DATA else { return }
            store.parts.hub.cancel(own.withLock { $0 })
            collector.sink(kind, data)
        }
        own.withLock { $0 = handle }
        try store.put("nodes//a")
        collector.wait(count: 1)
        try store.put("nodes//b")
        XCTAssertEqual(entered.all.count, 1)
        XCTAssertEqual(collector.all.count, 1)
    }

    func testWatchesSurviveARestart() throws {
        var store = try open()
        for number in 1...50 { try store.put("pods/d/\(number)", "\(number)") }
        try store.remove("pods/d/50")
        store.close()
        store = try open()
        defer { store.close() }
        let collector = Collector()
        _ = try store.watch("pods/", from: 20, collector.sink)
        let all = collector.wait(count: 32)
        XCTAssertEqual(all.map(\.revision).prefix(31), Array(21...51).prefix(31))
        XCTAssertEqual(all.last?.value, "50")
        collector.waitForProgress(51)
    }

    func testClosingEndsWatches() throws {
        let store = try open()
        let collector = Collector()
        _ = try store.watch("", collector.sink)
        collector.waitForProgress()
        store.close()
        XCTAssertEqual(collector.ended, [HOSTD_SINK_END])
        assertFails(HOSTD_ERROR_UNAVAILABLE) { try store.watch { _, _ in } }
    }

    func testAWatchOnAnotherResourceLearnsOfProgress() throws {
        let store = try open()
        defer { store.close() }
        let collector = Collector()
        _ = try store.watch("nodes/", collector.sink)
        collector.waitForProgress()
        try store.put("pods/d/a")
        let all = Collector()
        _ = try store.watch("pods/", from: 0, all.sink)
        store.parts.hub.tellProgress()
        while store.parts.hub.routedRevision < 1 { sched_yield() }
        store.parts.hub.tellProgress()
        collector.waitForProgress(1)
    }

    func testAnEventIsEncodedOnceForAllWatches() throws {
        let store = try open()
        defer { store.close() }
        let addresses = Mutex<[String: Set<UInt>]>([:])
        var collectors: [Collector] = []
        for _ in 0..<50 {
            let collector = Collector()
            _ = try store.watch("pods/", selector: "app=web") { kind, data in
                if kind == HOSTD_SINK_DATA, let base = data.baseAddress {
                    // As long as all fifty hold the event, one address is one encoding.
                    for record in Stored.all(in: data).prefix(1) {
                        _ = addresses.withLock { $0["\(record.revision)", default: []].insert(UInt(bitPattern: base)) }
                    }
                }
                collector.sink(kind, data)
            }
            collector.waitForProgress()
            collectors.append(collector)
        }
        let large = String(repeating: "v", count: 5000)
        try store.put("pods/d/a", large, index: ["app": "web"])
        for collector in collectors { collector.wait(count: 1) }
        XCTAssertEqual(addresses.withLock { $0["1"]?.count }, 1, "all see the record where it lies in the store")
    }

    func testProgressReachesEveryWatchWithinTheRounds() throws {
        let store = try open()
        defer { store.close() }
        var collectors: [Collector] = []
        for _ in 0..<1200 {
            let collector = Collector()
            _ = try store.watch("nodes/", collector.sink)
            collectors.append(collector)
        }
        for collector in collectors { collector.waitForProgress() }
        try store.put("pods/d/a")
        while store.parts.hub.routedRevision < 1 { sched_yield() }
        XCTAssertTrue(store.parts.hub.tellProgress(), "512 of 1,200")
        XCTAssertTrue(store.parts.hub.tellProgress(), "1,024 of 1,200")
        XCTAssertFalse(store.parts.hub.tellProgress(), "all")
        for collector in collectors { collector.waitForProgress(1) }
        XCTAssertFalse(store.parts.hub.tellProgress(), "nothing is left, nobody is asked")
    }

    func testManyWatchersByFieldAreNotVisitedInVain() throws {
        let store = try open()
        defer { store.close() }
        var collectors: [Collector] = []
        for node in 0..<200 {
            let collector = Collector()
            _ = try store.watch("pods/", selector: ".spec.nodeName=n\(node)", collector.sink)
            collectors.append(collector)
        }
        for pod in 0..<400 { try store.put("pods/d/\(pod)", "v", index: [".spec.nodeName": "n\(pod % 200)"]) }
        for (node, collector) in collectors.enumerated() {
            XCTAssertEqual(collector.wait(count: 2).map(\.key), ["pods/d/\(node)", "pods/d/\(node + 200)"])
        }
        try store.put("pods/d/0", "moved", index: [".spec.nodeName": "n1"])
        XCTAssertEqual(collectors[0].wait(count: 4)[2].flags & HOSTD_STORE_RECORD_LEFT, HOSTD_STORE_RECORD_LEFT)
        XCTAssertEqual(collectors[1].wait(count: 3)[2].flags, HOSTD_STORE_RECORD_ENTERED)
    }

    func testSinksThatDoNotReturnTakeNoDispatcherForGood() throws {
        let directory = TemporaryDirectory()
        var options = smallOptions()
        options.sinkPatience = 20_000_000
        let told = Mutex<[String]>([])
        options.log = { _, _, fields in
            told.withLock { $0 += fields.filter { $0.0 == "sink" }.map(\.1) }
        }
        let store = try StateStore(directory: directory.path, options: options)
        defer { store.close() }
        let gate = Monitor()
        nonisolated(unsafe) var isOpen = false  // Under `gate`.
        let stuck = try (0..<12).map { _ in
            try store.watch("pods/") { kind, _ in
                if kind == HOSTD_SINK_DATA { gate.locked { while !isOpen { gate.wait() } } }
            }
        }
        let collector = Collector()
        let healthy = try store.watch("nodes/", collector.sink)
        collector.waitForProgress()
        try store.put("pods/d/a")
        for number in 0..<50 { try store.put("nodes//\(number)") }
        collector.wait(count: 50)
        XCTAssertTrue(told.withLock { $0 }.contains("watch of pods/"), "it is named")
        gate.locked {
            isOpen = true
            gate.broadcast()
        }
        for handle in stuck + [healthy] { store.parts.hub.cancel(handle) }
    }
}
