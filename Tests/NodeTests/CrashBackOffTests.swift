import XCTest

@testable import Node

final class CrashBackOffTests: XCTestCase {
    func testDelaysDouble() {
        var backOff = CrashBackOff()
        XCTAssertNil(backOff.remaining(failedAt: 100, now: 100), "the first restart is immediate")
        var time = 100.0
        for expected in [10.0, 20, 40, 80, 160, 300, 300] {
            backOff.registerTry(failedAt: time, now: time)
            time += 1
            XCTAssertEqual(backOff.remaining(failedAt: time, now: time), expected)
            XCTAssertNil(backOff.remaining(failedAt: time, now: time + expected))
            time += expected
        }
    }

    func testTenMinutesOfHealthForgive() {
        var backOff = CrashBackOff()
        backOff.registerTry(failedAt: 0, now: 0)
        backOff.registerTry(failedAt: 15, now: 15)
        XCTAssertNil(backOff.remaining(failedAt: 700, now: 700))
        backOff.registerTry(failedAt: 700, now: 700)
        XCTAssertEqual(backOff.delay, 10)
    }
}
