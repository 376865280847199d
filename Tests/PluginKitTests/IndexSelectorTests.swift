import PluginKit
import XCTest

final class IndexSelectorTests: XCTestCase {
    func testMatching() throws {
        let index = ["app": "web", "tier": "front", ".spec.nodeName": "alpha", "empty": ""]
        let rows: [(String, Bool)] = [
            ("", true), ("app=web", true), ("app==web", true), ("app=db", false), ("app!=db", true),
            ("app!=web", false),
            ("absent!=x", true), (".spec.nodeName=alpha", true), (".spec.nodeName=beta", false), ("empty=", true),
            ("app", true), ("absent", false), ("!absent", true), ("!app", false), ("app in (db,web)", true),
            ("app in (db)", false), ("app notin (db, x)", true), ("app notin (web)", false), ("absent notin (x)", true),
            ("absent in (x)", false), ("app=web, tier in (front,back), !absent", true), ("app=web,tier=back", false),
        ]
        for (text, expected) in rows {
            XCTAssertEqual(try IndexSelector(parsing: text).matches { index[$0] }, expected, text)
        }
    }

    func testMalformedIsRefused() {
        for text in ["a b", "a in", "a within (b)", "in (b)"] where text.contains("(") || text.contains(" ") {
            XCTAssertThrowsError(try IndexSelector(parsing: text), text)
        }
    }
}
