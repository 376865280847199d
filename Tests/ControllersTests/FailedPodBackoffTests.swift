import Objects
import XCTest

@testable import Controllers

final class FailedPodBackoffTests: XCTestCase {
    func testPausesDouble() {
        let backoff = FailedPodBackoff()
        let pod: JSON = ["metadata": ["name": "a"]]
        func look(_ seconds: Int64) -> String {
            let (due, after) = backoff.due([pod], now: Timestamp(seconds: seconds)) { $0.name }
            return "\(due.count) \(after.map { "\($0)" } ?? "-")"
        }
        let rows: [(Int64, String)] = [
            (100, "1 -"), (100, "0 1"), (101, "1 -"), (102, "0 1"), (103, "1 -"), (104, "0 3"), (107, "1 -"),
            (300, "1 -"), (300, "0 1"),
        ]
        for (seconds, expected) in rows { XCTAssertEqual(look(seconds), expected, "at \(seconds)") }
    }

    func testPlacesPauseAlone() {
        let backoff = FailedPodBackoff()
        let now = Timestamp(seconds: 100)
        let (a, b): (JSON, JSON) = (["metadata": ["name": "a"]], ["metadata": ["name": "b"]])
        XCTAssertEqual(backoff.due([a], now: now) { $0.name }.pods.count, 1)
        let both = backoff.due([a, b], now: now) { $0.name }
        XCTAssertEqual(both.pods.map(\.name), ["b"])
        XCTAssertEqual(both.after, 1)
    }
}
