import XCTest

@testable import Simulation

/// Each row breaks one promise of elections.
final class ElectionHistoryTests: XCTestCase {
    private func look(_ candidate: Int, _ token: UInt64, _ begin: UInt64, _ end: UInt64) -> ElectionHistory.Look {
        .init(candidate: candidate, token: token, begin: begin, end: end)
    }

    /// Candidate 0 leads by 5 from 10 to 40, candidate 1 by 9 from 50 to 80; each writes.
    private var good: ElectionHistory {
        ElectionHistory(
            looks: [look(0, 5, 10, 12), look(0, 5, 38, 40), look(1, 9, 50, 52), look(1, 9, 78, 80)],
            writes: [.init(token: 5, revision: 6), .init(token: 5, revision: 8), .init(token: 9, revision: 10)])
    }

    func testWhatIsAccepted() {
        XCTAssertEqual(good.problems, [])
        XCTAssertEqual(ElectionHistory().problems, [])
        var history = good
        // Two looks that overlap in time say nothing: the one may have ended before the other began to lead.
        history.looks.append(look(0, 5, 39, 60))
        XCTAssertEqual(history.problems, [])
    }

    func testEachBrokenPromiseIsFound() {
        let rows: [(why: String, (inout ElectionHistory) -> Void)] = [
            ("two lead at once", { $0.looks.append(self.look(1, 9, 20, 22)) }),
            ("a third leads within a term", { $0.looks.append(self.look(2, 7, 60, 61)) }),
            ("an old leader leads again", { $0.looks.append(self.look(0, 5, 90, 91)) }),
            ("a token for two", { $0.looks.append(self.look(2, 9, 60, 61)) }),
            ("tokens fall", { $0.looks.append(self.look(0, 8, 85, 86)) }),
            ("a write of a deposed leader", { $0.writes.append(.init(token: 5, revision: 11)) }),
        ]
        for (why, breakIt) in rows {
            var history = good
            breakIt(&history)
            XCTAssertNotEqual(history.problems, [], why)
        }
    }
}
