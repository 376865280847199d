import XCTest

@testable import Controllers

final class EventDeadlinesTests: XCTestCase {
    func testEventsEndInTheOrderOfTheirLastWrites() {
        var deadlines = EventDeadlines(lifetime: 100)
        XCTAssertTrue(deadlines.renew("a", now: 0), "somebody has to wait for the first")
        XCTAssertFalse(deadlines.renew("b", now: 10))
        XCTAssertFalse(deadlines.renew("a", now: 20))
        XCTAssertEqual(deadlines.first(), 110, "a was written again")
        XCTAssertEqual(deadlines.due(now: 109, limit: 9), [])
        XCTAssertEqual(deadlines.due(now: 110, limit: 9), ["b"])
        XCTAssertEqual(deadlines.due(now: 120, limit: 9), ["b", "a"])
        XCTAssertEqual(deadlines.due(now: 120, limit: 1), ["b"])
        XCTAssertEqual(deadlines.due(now: 120, limit: 1), ["b"], "it stays until its deletion has succeeded")
        deadlines.forget("b")
        XCTAssertEqual(deadlines.due(now: 120, limit: 9), ["a"])
    }

    func testWhoComesAfterTheLastIsFirst() {
        var deadlines = EventDeadlines(lifetime: 100)
        XCTAssertTrue(deadlines.renew("a", now: 0))
        deadlines.forget("a")
        XCTAssertFalse(deadlines.renew("b", now: 5), "the wait for a goes on, and finds b")
        XCTAssertEqual(deadlines.first(), 105)
        deadlines.forget("b")
        XCTAssertNil(deadlines.first())
        XCTAssertTrue(deadlines.renew("a", now: 9))
    }

    /// An object that tells something every second, and a stream of Events that are deleted early.
    func testMemoryIsBoundByTheEventsThatThereAre() {
        var deadlines = EventDeadlines(lifetime: 1_000_000_000)
        for step in 0..<50_000 {
            _ = deadlines.renew("same", now: UInt64(step))
            _ = deadlines.renew("short-\(step)", now: UInt64(step))
            if step >= 10 { deadlines.forget("short-\(step - 10)") }
            XCTAssertLessThan(deadlines.lineLength, 1100)
        }
        XCTAssertEqual(deadlines.count, 11)
        XCTAssertEqual(deadlines.first(), 1_000_000_000 + 49_990)
        XCTAssertEqual(deadlines.due(now: 2_000_000_000, limit: 99).count, 11)
    }
}
