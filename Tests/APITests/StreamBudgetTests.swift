import Dispatch
import Synchronization
import XCTest

@testable import API

private func makeStream(_ budget: StreamBudget?, limit: Int = 8 << 20) -> HTTPBodyStream {
    HTTPBodyStream(limit: limit, budget: budget) { $0 += Array("gone".utf8) }
}

@discardableResult
private func write(_ stream: HTTPBodyStream, _ count: Int) -> Bool {
    stream.write { $0 += [UInt8](repeating: 1, count: count) }
}

/// All that a connection would take, and whether the body ends with it; nil = it is to be cut.
private func take(_ stream: HTTPBodyStream, upTo most: Int = .max) -> (bytes: [UInt8], isFinished: Bool)? {
    guard case .bytes(let segments, _, let isFinished) = stream.take(upTo: most) else { return nil }
    return (segments.flatMap { $0 }, isFinished)
}

/// What streams hold for their clients, each and all together.
final class StreamBudgetTests: XCTestCase {
    /// What a budget reported.
    private final class Reports: Sendable {
        let ended = Mutex<[HTTPBodyStream.Ending]>([])
        let held = Atomic<Int>(0)
        let refused = Atomic<Int>(0)

        var report: StreamBudget.Report {
            StreamBudget.Report(
                held: { [self] in held.store($0, ordering: .relaxed) },
                ended: { [self] ending in ended.withLock { $0.append(ending) } },
                refused: { [self] in refused.wrappingAdd(1, ordering: .relaxed) })
        }
    }

    private final class Counter: Sendable {
        private let number = Atomic<Int>(0)
        var value: Int { number.load(ordering: .relaxed) }
        func add() { number.wrappingAdd(1, ordering: .relaxed) }
    }

    private let reports = Reports()

    private func assertTold(_ stream: HTTPBodyStream, _ reason: String, line: UInt = #line) {
        let taken = take(stream)
        XCTAssertEqual(taken.map { String(decoding: $0.bytes, as: UTF8.self) }, "gone", reason, line: line)
        XCTAssertEqual(taken?.isFinished, true, reason, line: line)
        XCTAssertFalse(write(stream, 1), "it is over: \(reason)", line: line)
    }

    func testOfAllStreamsTheOneThatHoldsMostIsToldToBeginAnew() {
        let budget = StreamBudget(limit: 100_000, report: reports.report)
        let streams = [10_000, 60_000, 20_000].map { bytes in
            let stream = makeStream(budget)
            write(stream, bytes)
            return stream
        }
        XCTAssertEqual(budget.bytes, 90_000)
        XCTAssertTrue(write(streams[0], 10_000), "as many as there may be")
        XCTAssertTrue(write(streams[0], 1), "the writer's own stream is not the one that holds most")
        XCTAssertEqual(budget.bytes, 40_001 + 4)
        assertTold(streams[1], "it held most")
        XCTAssertEqual(take(streams[0])?.bytes.count, 20_001, "the others lose nothing")
        XCTAssertEqual(take(streams[2])?.isFinished, false)
        XCTAssertEqual(reports.ended.withLock { $0 }, [.budget])
    }

    func testAnEighthIsFreeAfterwards() {
        let budget = StreamBudget(limit: 80_000, report: reports.report)
        let streams = (0..<100).map { _ in makeStream(budget) }
        for stream in streams { write(stream, 800) }
        write(streams[7], 1)
        XCTAssertLessThanOrEqual(budget.bytes, 70_000 + 100 * 4)
        XCTAssertEqual(
            reports.ended.withLock { $0.count }, 13, "10,001 bytes are to be freed, by streams of 800 and less 4")
        assertTold(streams[7], "among equals the one that grew")
    }

    func testWhoDoesNotTakeWhatTheConnectionHasIsCut() {
        let budget = StreamBudget(limit: 100_000, report: reports.report)
        let (stuck, other) = (makeStream(budget), makeStream(budget))
        let woken = Counter()
        stuck.attach { woken.add() }
        write(stuck, 90_000)
        XCTAssertEqual(take(stuck)?.bytes.count, 90_000)
        XCTAssertEqual(budget.bytes, 90_000, "what is not sent counts")
        let wakes = woken.value
        write(other, 20_000)
        XCTAssertTrue(stuck.isAborted)
        XCTAssertEqual(woken.value, wakes + 1, "the connection hears of it at once")
        XCTAssertNil(take(stuck))
        XCTAssertEqual(budget.bytes, 20_000)
        XCTAssertEqual(reports.ended.withLock { $0 }, [.cut])
        let closed = Counter()
        stuck.onClose { closed.add() }
        stuck.close()
        stuck.close()
        XCTAssertEqual(closed.value, 1, "the watch behind it ends, once")
    }

    func testWhoWasToldAndStillTakesNothingIsCutInTheEnd() {
        let budget = StreamBudget(limit: 100_000, report: reports.report)
        let (stuck, other) = (makeStream(budget), makeStream(budget))
        write(stuck, 80_000)
        XCTAssertEqual(take(stuck, upTo: 1)?.bytes.count, 80_000)
        write(stuck, 30_000)
        XCTAssertFalse(stuck.isAborted)
        XCTAssertEqual(budget.bytes, 80_000 + 4, "what the connection has can only be cut")
        write(other, 20_000)
        XCTAssertTrue(stuck.isAborted)
        XCTAssertEqual(reports.ended.withLock { $0 }, [.budget, .cut])
    }

    func testWhatIsSentIsFree() {
        let budget = StreamBudget(limit: 100_000, report: reports.report)
        let stream = makeStream(budget)
        for _ in 0..<50 {
            XCTAssertTrue(write(stream, 50_000))
            _ = take(stream)
            stream.note(unsent: 20_000)
            XCTAssertEqual(budget.bytes, 20_000)
            stream.note(unsent: 0)
        }
        XCTAssertEqual(budget.bytes, 0)
        XCTAssertEqual(reports.held.load(ordering: .relaxed), 0, "the end of it is reported")
        XCTAssertEqual(reports.ended.withLock { $0 }, [])
    }

    func testOneStreamHasABoundOfItsOwn() {
        let stream = makeStream(StreamBudget(limit: 1 << 30, report: reports.report), limit: 1000)
        XCTAssertTrue(stream.begin { $0.append([UInt8](repeating: 1, count: 5000)) }, "a beginning is larger")
        XCTAssertTrue(write(stream, 1000))
        XCTAssertFalse(write(stream, 1))
        assertTold(stream, "it fell behind")
        XCTAssertEqual(reports.ended.withLock { $0 }, [.behind])
    }

    func testWhatIsKeptElsewhereCounts() {
        let budget = StreamBudget(limit: 100_000, report: reports.report)
        let stream = makeStream(budget)
        XCTAssertTrue(stream.keepElsewhere(100_000))
        XCTAssertTrue(stream.keepElsewhere(1))
        XCTAssertFalse(stream.keepElsewhere(-100_001), "it is over")
        assertTold(stream, "it held most")
        XCTAssertEqual(reports.ended.withLock { $0 }, [.budget])
        stream.close()
        XCTAssertEqual(budget.bytes, 0)
    }

    func testBeginningsAreAdmittedWhileTheyFit() {
        let budget = StreamBudget(limit: 100_000, report: reports.report)
        func begin(_ stream: HTTPBodyStream, _ count: Int) -> Bool {
            stream.begin { $0.append([UInt8](repeating: 1, count: count)) }
        }
        let rows: [(bytes: Int, isAdmitted: Bool, reason: String)] = [
            (60_000, true, "the first"), (40_001, false, "more than fits beside it"), (40_000, true, "just what fits"),
            (1, false, "nothing fits any more"), (0, true, "nothing needs no room"),
        ]
        var open: [HTTPBodyStream] = []
        for row in rows {
            let stream = makeStream(budget)
            XCTAssertEqual(begin(stream, row.bytes), row.isAdmitted, row.reason)
            if row.isAdmitted { open.append(stream) } else { XCTAssertEqual(take(stream)?.bytes, [], row.reason) }
        }
        XCTAssertEqual(reports.refused.load(ordering: .relaxed), 2)
        XCTAssertTrue(write(open[0], 100_000), "what comes later has a bound of its own")
        XCTAssertEqual(budget.bytes, 200_000)
        open = []
        XCTAssertEqual(budget.bytes, 0, "streams that nobody has any more hold nothing")
        let large = makeStream(budget)
        XCTAssertTrue(begin(large, 1_000_000), "alone, any beginning is admitted")
        let second = makeStream(budget)
        XCTAssertFalse(begin(second, 1), "beside it none is")
        _ = take(large)
        XCTAssertTrue(begin(second, 1), "what the connection has is no beginning any more")
    }

    /// Writers, connections that take and those that do not, and ends, all at once.
    func testManyThreadsStayWithinTheBoundAndGiveAllBack() {
        let budget = StreamBudget(limit: 200_000, report: reports.report)
        let highest = Atomic<Int>(0)
        let (threads, piece) = (8, 2000)
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            var luck = SystemRandomNumberGenerator()
            var streams = (0..<20).map { _ in makeStream(budget) }
            for _ in 0..<4000 {
                let place = Int.random(in: 0..<streams.count, using: &luck)
                switch Int.random(in: 0..<10, using: &luck) {
                case 0:
                    if let taken = take(streams[place], upTo: 10_000) {
                        streams[place].note(unsent: Int.random(in: 0...taken.bytes.count, using: &luck))
                    }
                case 1:
                    streams[place].close()
                    streams[place] = makeStream(budget)
                default: if !write(streams[place], piece) { streams[place] = makeStream(budget) }
                }
                highest.max(budget.bytes, ordering: .relaxed)
            }
        }
        // A write may be counted before the thread that makes room has seen it.
        XCTAssertLessThanOrEqual(highest.load(ordering: .relaxed), 200_000 + 2 * threads * piece)
        XCTAssertGreaterThan(reports.ended.withLock { $0.count }, 0, "the bound was met")
        XCTAssertEqual(budget.bytes, 0)
        XCTAssertEqual(budget.count, 0)
    }
}
