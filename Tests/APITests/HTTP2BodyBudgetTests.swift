import XCTest

@testable import API

final class HTTP2BodyBudgetTests: XCTestCase {
    func testGrantsGoRoundInOrder() {
        var budget = HTTP2BodyBudget(limit: 10)
        XCTAssertTrue(budget.ask(1, 6))
        XCTAssertFalse(budget.ask(3, 6), "both together are too much")
        XCTAssertFalse(budget.ask(5, 4), "it would fit, but another asked before")
        XCTAssertFalse(budget.ask(7, 4))
        XCTAssertEqual(budget.release(9), [], "a stream that asked for nothing")
        XCTAssertEqual(budget.release(1), [3, 5])
        XCTAssertEqual(budget.used, 10)
        XCTAssertEqual(budget.release(3), [7])
        XCTAssertEqual(budget.release(3), [], "given back once")
        XCTAssertEqual(budget.release(5) + budget.release(7), [])
        XCTAssertEqual(budget.used, 0)
    }

    func testOneThatWaitsMayGo() {
        var budget = HTTP2BodyBudget(limit: 10)
        XCTAssertTrue(budget.ask(1, 10))
        XCTAssertFalse(budget.ask(3, 10))
        XCTAssertFalse(budget.ask(5, 1))
        XCTAssertEqual(budget.release(3), [])
        XCTAssertEqual(budget.release(1), [5])
    }

    func testABodyAboveTheLimitGoesAlone() {
        var budget = HTTP2BodyBudget(limit: 10)
        XCTAssertTrue(budget.ask(1, 20))
        XCTAssertFalse(budget.ask(3, 1))
        XCTAssertEqual(budget.release(1), [3])
    }
}
