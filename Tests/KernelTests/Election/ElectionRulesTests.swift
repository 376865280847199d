import XCTest

@testable import Kernel

final class ElectionRulesTests: XCTestCase {
    func testWhatACandidateDoes() {
        let rules = ElectionRules(timeToLive: 1000)
        typealias Row = (
            seen: ElectionRules.Observation, own: UInt64, since: UInt64, now: UInt64, action: ElectionRules.Action,
            reason: String
        )
        let rows: [Row] = [
            (.absent, 0, 5, 5, .create, "nobody leads"),
            (.absent, 7, 5, 5, .create, "our own lease has ended: a new one"),
            (.held(revision: 3, lease: 9), 0, 5, 5, .wait(until: 1005), "another leads, its lease ends it"),
            (.held(revision: 3, lease: 9), 9, 5, 5, .adopt(revision: 3), "our create succeeded without our knowing"),
            (.held(revision: 3, lease: 9), 8, 0, 9000, .wait(until: 10000), "a lease is never overtaken by the clock"),
            (.held(revision: 3, lease: 0), 0, 5, 5, .wait(until: 1005), "without a lease: watched for a term"),
            (.held(revision: 3, lease: 0), 0, 5, 1004, .wait(until: 1005), "not before"),
            (.held(revision: 3, lease: 0), 0, 5, 1005, .takeOver(revision: 3), "unchanged for a term"),
        ]
        for row in rows {
            XCTAssertEqual(
                rules.next(row.seen, ownLease: row.own, unchangedSince: row.since, now: row.now), row.action, row.reason
            )
        }
    }

    func testATermEndsBeforeTheLeaseCould() {
        for life in [UInt64(100_000_000), 15_000_000_000, 3_600_000_000_000] {
            let rules = ElectionRules(timeToLive: life)
            XCTAssertLessThanOrEqual(rules.leadsUntil(asked: 50), 50 + life - life / 5)
            XCTAssertLessThan(rules.renewal * 3, rules.leadsUntil(asked: 0), "three renewals fit a term")
        }
    }
}
