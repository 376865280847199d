import PluginAPI
import XCTest

@testable import Simulation

/// A checker that cannot fail is worth nothing: each row breaks one promise of a history that is otherwise right.
final class HistoryCheckerTests: XCTestCase {
    private func put(
        _ key: String, _ tag: UInt64, _ revision: UInt64, created: UInt64, version: UInt64 = 1, lease: UInt64 = 0
    )
        -> Seen
    {
        Seen(key: key, tag: tag, revision: revision, createRevision: created, version: version, lease: lease)
    }

    private func gone(_ key: String, _ revision: UInt64) -> Seen {
        var seen = Seen(key: key, revision: revision)
        seen.isDelete = true
        return seen
    }

    private func operation(_ request: Request, _ response: Response?, _ begin: Int, _ end: Int?) -> Simulation.Operation
    {
        var operation = Simulation.Operation(client: 0, request: request, begin: begin, beginTime: UInt64(begin) * 1000)
        operation.response = response
        operation.end = end
        operation.endTime = UInt64(end ?? begin) * 1000
        return operation
    }

    private func write(
        _ kind: WriteStep.Kind, _ key: String, _ tag: UInt64 = 0, expected: UInt64 = 0, lease: UInt64 = 0
    )
        -> Request
    {
        .write([WriteStep(kind: kind, key: key, tag: tag, lease: lease, expected: expected)])
    }

    /// Creates a, creates b, updates a, deletes b; then reads. Moments 1 to 20.
    private func good() -> History {
        let a1 = put("pods/x/a", 16, 1, created: 1)
        let b2 = put("pods/x/b", 24, 2, created: 2)
        let a3 = put("pods/x/a", 32, 3, created: 1, version: 2)
        var history = History()
        history.epochs = [Epoch(begin: 0, beginTime: 0)]
        history.operations = [
            operation(write(.create, "pods/x/a", 16), .done(revision: 1), 1, 2),
            operation(write(.create, "pods/x/b", 24), .done(revision: 2), 3, 4),
            operation(write(.update, "pods/x/a", 32, expected: 1), .done(revision: 3), 5, 6),
            operation(write(.delete, "pods/x/b"), .done(revision: 4), 7, 8),
            operation(.get("pods/x/a", revision: 0), .record(a3), 9, 10),
            operation(
                .list(prefix: "", app: nil, revision: 2, limit: 0, after: ""),
                .page(revision: 2, records: [a1, b2], more: false, remaining: 0), 11, 12),
            operation(.versions("pods/x/a"), .versions([a1, a3], since: 0), 11, 12),
            operation(
                .backup, .page(revision: 4, records: [a3], more: false, remaining: 0), 11, 12),
            operation(
                write(.create, "pods/x/a", 40),
                .failed(HOSTD_ERROR_ALREADY_EXISTS, revision: nil, step: nil, message: ""),
                13, 14),
        ]
        var observer = WatchStream(name: "observer", prefix: "", app: nil, from: 0, begin: 0)
        observer.begun = 0
        let events = [
            SeenEvent(record: a1), SeenEvent(record: b2), SeenEvent(record: a3),
            SeenEvent(record: gone("pods/x/b", 4), previous: b2),
        ]
        observer.messages = zip(events, [2, 4, 6, 8]).map {
            WatchMessage(.events([$0]), moment: $1, time: UInt64($1) * 1000)
        }
        observer.isCompleteAtEnd = true
        history.observers = [observer]
        var watch = observer
        watch.name = "watch"
        watch.from = 1
        watch.messages.removeFirst()
        watch.messages.append(WatchMessage(.progress(4), moment: 9, time: 9000))
        history.watches = [watch]
        history.finalRevision = 4
        history.finalRecords = [a3]
        history.isFinished = true
        return history
    }

    func testAGoodHistoryIsAccepted() { XCTAssertEqual(HistoryChecker.problems(of: good()), []) }

    func testWhatWasNotAnsweredMayHaveHappenedOrNot() {
        var history = good()
        history.operations[3].response = nil
        history.operations[3].end = nil
        history.operations.append(operation(write(.put, "pods/x/c", 48), nil, 15, nil))
        XCTAssertEqual(HistoryChecker.problems(of: history), [])
    }

    func testEachBrokenPromiseIsFound() {
        let rows: [(String, (inout History) -> Void)] = [
            (
                "an acknowledged write is lost",
                { $0.operations.append(self.operation(self.write(.put, "pods/x/c", 48), .done(revision: 5), 15, 16)) }
            ),
            (
                "two writes have one revision",
                { $0.operations.append(self.operation(self.write(.put, "pods/x/c", 48), .done(revision: 4), 15, 16)) }
            ),
            ("a revision is missing", { $0.observers[0].messages.remove(at: 1) }),
            ("a revision comes twice", { $0.observers[0].messages.insert($0.observers[0].messages[1], at: 1) }),
            (
                "a refused write happened",
                {
                    $0.operations[2].response = .failed(HOSTD_ERROR_CONFLICT, revision: nil, step: nil, message: "")
                }
            ),
            (
                "a value nobody wrote",
                {
                    $0.observers[0].messages[0].content = .events([
                        SeenEvent(record: self.put("pods/x/a", 99, 1, created: 1))
                    ])
                }
            ),
            ("a deletion nobody asked for", { $0.operations.remove(at: 3) }),
            (
                "a precondition that did not hold",
                {
                    $0.operations[2].request = self.write(.update, "pods/x/a", 32, expected: 7)
                }
            ),
            ("a create of what exists", { $0.operations[2].request = self.write(.create, "pods/x/a", 32) }),
            (
                "half a transaction",
                {
                    $0.operations[0].request = .write([
                        WriteStep(kind: .put, key: "pods/x/a", tag: 16),
                        WriteStep(kind: .put, key: "pods/x/c", tag: 56),
                    ])
                }
            ),
            (
                "a wrong version",
                {
                    $0.observers[0].messages[2].content = .events([
                        SeenEvent(record: self.put("pods/x/a", 32, 3, created: 1, version: 1))
                    ])
                }
            ),
            (
                "a write before what was seen when it began",
                {
                    $0.operations[1].begin = 13
                    $0.operations[1].end = 14
                }
            ),
            ("a stale read", { $0.operations[4].response = .record(self.put("pods/x/a", 16, 1, created: 1)) }),
            (
                "a read of the future",
                {
                    $0.operations[4].begin = 3
                    $0.operations[4].end = 4
                }
            ),
            (
                "a key not found that exists",
                {
                    $0.operations[4].response = .failed(HOSTD_ERROR_NOT_FOUND, revision: nil, step: nil, message: "")
                }
            ),
            (
                "a list at a revision shows another",
                {
                    $0.operations[5].response = .page(
                        revision: 2, records: [self.put("pods/x/a", 32, 3, created: 1, version: 2)], more: false,
                        remaining: 0)
                }
            ),
            (
                "a list says that there is more",
                {
                    guard case .page(let revision, let records, _, _)? = $0.operations[5].response else { return }
                    $0.operations[5].response = .page(revision: revision, records: records, more: true, remaining: 0)
                }
            ),
            (
                "a list counts wrongly",
                {
                    guard case .page(let revision, let records, _, _)? = $0.operations[5].response else { return }
                    $0.operations[5].response = .page(revision: revision, records: records, more: false, remaining: 1)
                }
            ),
            (
                "history given up for no reason",
                {
                    $0.operations[5].response = .failed(HOSTD_ERROR_COMPACTED, revision: nil, step: nil, message: "")
                }
            ),
            (
                "a version is missing",
                { $0.operations[6].response = .versions([self.put("pods/x/a", 16, 1, created: 1)], since: 0) }
            ),
            (
                "an old version is missing",
                {
                    $0.operations[6].response = .versions(
                        [self.put("pods/x/a", 32, 3, created: 1, version: 2)], since: 0)
                }
            ),
            (
                "no version of what exists",
                { $0.operations[6].response = .failed(HOSTD_ERROR_NOT_FOUND, revision: nil, step: nil, message: "") }
            ),
            (
                "a backup of the past",
                {
                    $0.operations[7].response = .page(
                        revision: 1, records: [self.put("pods/x/a", 16, 1, created: 1)], more: false, remaining: 0)
                }
            ),
            (
                "a backup that lacks a key",
                { $0.operations[7].response = .page(revision: 4, records: [], more: false, remaining: 0) }
            ),
            ("a refusal for no reason", { $0.operations[8].request = self.write(.create, "pods/x/b", 40) }),
            ("a request that takes too long", { $0.operations[4].endTime += 3_000_000_000 }),
            ("a watch that begins late", { $0.watches[0].messages.removeFirst() }),
            ("a watch with a hole", { $0.watches[0].messages.remove(at: 1) }),
            ("a watch out of order", { $0.watches[0].messages.swapAt(0, 1) }),
            (
                "a deletion without what was deleted",
                {
                    $0.watches[0].messages[2].content = .events([SeenEvent(record: self.gone("pods/x/b", 4))])
                }
            ),
            (
                "a deletion with a wrong previous value",
                {
                    $0.watches[0].messages[2].content = .events([
                        SeenEvent(record: self.gone("pods/x/b", 4), previous: self.put("pods/x/b", 16, 2, created: 2))
                    ])
                }
            ),
            ("a watch that stops", { $0.watches[0].messages.removeLast(2) }),
            (
                "progress beyond what came",
                {
                    $0.watches[0].messages[0] = WatchMessage(.progress(4), moment: 9, time: 9000)
                }
            ),
            ("a watch sent back for no reason", { $0.watches[0].messages[3].content = .resync }),
            (
                "a message after the last",
                {
                    $0.watches[0].messages[0].content = .end
                }
            ),
            ("a last list without a key", { $0.finalRecords = [] }),
            ("a last list at another revision", { $0.finalRevision = 5 }),
            (
                "an effect after a later life's",
                {
                    $0.epochs.append(Epoch(begin: 2, beginTime: 2000))
                    $0.operations[2].begin = 1
                    $0.operations[2].response = nil
                    $0.operations[2].end = nil
                }
            ),
        ]
        for (reason, spoil) in rows {
            var history = good()
            spoil(&history)
            XCTAssertFalse(HistoryChecker.problems(of: history).isEmpty, reason)
        }
    }

    func testSelectorsSeeEnteringAndLeaving() {
        var model = StateModel()
        let web = (1...300).map(UInt64.init).filter { Payload.app($0) == "web" }
        let other = (1...300).map(UInt64.init).filter { Payload.app($0) == "db" }
        model.append(Transaction(changes: [put("pods/x/a", other[0], 1, created: 1)]))
        model.append(Transaction(changes: [put("pods/x/a", web[0], 2, created: 1, version: 2)]))
        model.append(Transaction(changes: [put("pods/x/a", web[1], 3, created: 1, version: 3)]))
        model.append(Transaction(changes: [put("pods/x/a", other[1], 4, created: 1, version: 4)]))
        model.append(Transaction(changes: [gone("pods/x/a", 5)]))
        let events = model.events(prefix: "pods/", app: "web", after: 0)
        XCTAssertEqual(events.map(\.record.revision), [2, 3, 4])
        XCTAssertEqual(events.map(\.entry), [.entered, .none, .left])
        XCTAssertEqual(events[2].previous?.tag, web[1])
    }

    func testLeasesEndLateAndForGood() {
        let rows: [(String, Int, Bool)] = [("in time", 900_000, false), ("early", 5000, true)]
        for (reason, moment, isWrong) in rows {
            var history = good()
            let c5 = put("pods/x/c", 64, 5, created: 5, lease: 7)
            history.operations += [
                operation(.grant(milliseconds: 500), .lease(7), 15, 16),
                operation(write(.create, "pods/x/c", 64, lease: 7), .done(revision: 5), 17, 18),
                operation(.keepAlive(7), .done(revision: 0), 19, 20),
            ]
            history.observers[0].messages += [
                WatchMessage(.events([SeenEvent(record: c5)]), moment: 18, time: 18_000),
                WatchMessage(
                    .events([SeenEvent(record: gone("pods/x/c", 6), previous: c5)]), moment: 21,
                    time: UInt64(moment) * 1000),
            ]
            history.watches = []
            history.finalRevision = 6
            XCTAssertEqual(HistoryChecker.problems(of: history).isEmpty, !isWrong, reason)
        }
    }

    func testAValueIsWholeOrNotAValue() {
        for tag in UInt64(1)...40 {
            let bytes = Payload.bytes(tag)
            XCTAssertEqual(Payload.tag(bytes), tag)
            XCTAssertNil(Payload.tag(Array(bytes.dropLast())))
            if bytes.count > 8 { XCTAssertNil(Payload.tag(Array(bytes.dropLast()) + [bytes[bytes.count - 1] ^ 1])) }
        }
    }
}
