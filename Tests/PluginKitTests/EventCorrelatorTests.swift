import Objects
import XCTest

@testable import PluginKit

final class EventCorrelatorTests: XCTestCase {
    private func event(_ message: String, name: String = "web.1", reason: String = "Pulled") -> JSON {
        [
            "metadata": ["name": .string(name), "namespace": "default"], "message": .string(message),
            "reason": .string(reason), "type": "Normal", "lastTimestamp": "2026-01-02T03:04:05Z",
            "involvedObject": ["kind": "Pod", "name": "web", "uid": "1"], "count": 1,
        ]
    }
    private func at(_ seconds: Int64) -> Timestamp { Timestamp(seconds: seconds) }

    func testFirstReportCreatesAndRepetitionCounts() {
        var correlator = EventCorrelator()
        XCTAssertEqual(correlator.correlate(event("a"), key: "k", now: at(0)), .create(event("a")))
        for count in 2...4 {
            guard
                case .patch("web.1", let patch) = correlator.correlate(
                    event("a", name: "web.\(count)"), key: "k", now: at(Int64(count)))
            else { return XCTFail("a repeated event must be a patch of the first") }
            XCTAssertEqual(patch["count"], .integer(Int64(count)))
        }
    }

    func testDifferentReasonsStayApart() {
        var correlator = EventCorrelator()
        _ = correlator.correlate(event("a"), key: "k", now: at(0))
        let other = event("a", name: "web.2", reason: "Created")
        XCTAssertEqual(correlator.correlate(other, key: "k", now: at(0)), .create(other))
    }

    func testSimilarMessagesAreCombined() {
        var correlator = EventCorrelator()
        var created = 0
        var patched = 0
        for index in 0..<20 {
            switch correlator.correlate(event("m\(index)", name: "web.\(index)"), key: "k", now: at(0)) {
            case .create(let object):
                created += 1
                let isCombined = object["message"].stringValue?.hasPrefix("(combined from similar events): ") ?? false
                XCTAssertEqual(isCombined, index == 9)
            case .patch: patched += 1
            case .drop: XCTFail("twenty events are no flood")
            }
        }
        XCTAssertEqual(created, 10)
        XCTAssertEqual(patched, 10)
    }

    func testFloodIsCutAndRefills() {
        var correlator = EventCorrelator()
        var dropped = 0
        for index in 0..<40 where correlator.correlate(event("a"), key: "k", now: at(Int64(index))) == .drop {
            dropped += 1
        }
        XCTAssertEqual(dropped, 15)
        XCTAssertNotEqual(correlator.correlate(event("a"), key: "k", now: at(400)), .drop)
        XCTAssertNotEqual(correlator.correlate(event("a"), key: "other", now: at(40)), .drop)
    }

    func testMemoryIsBounded() {
        var correlator = EventCorrelator()
        for index in 0..<20_000 {
            let outcome = correlator.correlate(
                event("\(index)", reason: "R\(index)"), key: "k\(index)", now: at(Int64(index)))
            XCTAssertNotEqual(outcome, .drop)
        }
        XCTAssertLessThanOrEqual(correlator.tracked, EventCorrelator.capacity * 4)
    }
}
