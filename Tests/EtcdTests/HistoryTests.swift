import PluginKit
import XCTest

@testable import Etcd

final class HistoryTests: XCTestCase {
    private let keys = KeySpace(prefix: "/t/", offset: 100)

    private func change(_ revision: Int64, _ name: String = "x", size: Int = 10) throws -> Change {
        let kv = ProtobufWriter.message {
            $0.bytes(1, keys.key(Array("pods/d/\(name)".utf8)))
            $0.integer(3, revision)
            $0.bytes(5, KeySpace.pack(index: [], value: [UInt8](repeating: 1, count: size)))
        }
        let event = try WatchEvent(ProtobufWriter.message { $0.bytes(2, kv) }[...])
        return try XCTUnwrap(try Change(event, keys))
    }

    func testItAnswersWithWholeRevisions() throws {
        var history = History(limit: 1 << 20, at: 100)
        history.add([try change(1), try change(2, "a"), try change(2, "b"), try change(5)], upTo: 105)
        XCTAssertEqual(history.changes(after: 100, limit: 1 << 20).changes.map(\.revision), [101, 102, 102, 105])
        XCTAssertEqual(history.changes(after: 100, limit: 1 << 20).upTo, 105)
        XCTAssertEqual(history.changes(after: 102, limit: 1 << 20).changes.map(\.revision), [105])
        let piece = history.changes(after: 101, limit: 1)
        XCTAssertEqual(piece.changes.map(\.revision), [102, 102])
        XCTAssertEqual(piece.upTo, 102)
        XCTAssertEqual(history.changes(after: 105, limit: 10).upTo, 105)
        XCTAssertEqual(history.changes(after: 999, limit: 10).upTo, 999, "a watch may be ahead of the history")
    }

    func testOldRevisionsGoWholeWhenItIsFull() throws {
        var history = History(limit: 3000, at: 100)
        for revision in 1...20 {
            history.add(
                [try change(Int64(revision), size: 200), try change(Int64(revision), "y", size: 200)],
                upTo: UInt64(100 + revision))
        }
        XCTAssertGreaterThan(history.floor, 100)
        XCTAssertEqual(history.last, 120)
        let left = history.changes(after: history.floor, limit: 1 << 20).changes
        XCTAssertEqual(left.first?.revision, history.floor + 1)
        XCTAssertEqual(left.count, 2 * Int(120 - history.floor))
    }

    func testRevisionsWithoutChangesCount() {
        var history = History(limit: 1000, at: 100)
        history.add([], upTo: 109)
        XCTAssertEqual(history.changes(after: 100, limit: 10).upTo, 109)
    }
}
