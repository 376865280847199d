import PluginAPI
import XCTest

@testable import Kernel

final class DescriptorTests: XCTestCase {
    func testEveryDescriptorOfTheHeadersIsWellFormed() throws {
        for (id, slots) in RoleCatalog.roles.merging(RoleCatalog.services, uniquingKeysWith: { a, _ in a })
            .merging(RoleCatalog.state, uniquingKeysWith: { a, _ in a })
        {
            let descriptor = try SlotDescriptor(slots)
            XCTAssertEqual(Int(descriptor.count), slots.split(separator: ";").count, id)
            XCTAssertTrue(isRoleIdentifier(id), id)
        }
    }

    func testMalformedDescriptorsAreRefused() {
        let rows: [(text: String, part: String, why: String)] = [
            ("", "empty", "no slots"),
            (String(repeating: "a", count: 9000), "too long", "bound on the text"),
            ("get", "lacks ':'", "no letters"),
            (":e", "no proper name", "empty name"),
            ("1get:e", "no proper name", "digit first"),
            ("Get:e", "no proper name", "capital"),
            (String(repeating: "n", count: 65) + ":e", "no proper name", "bound on names"),
            ("get:", "0 letters", "nothing after the colon"),
            ("get:b", "exactly one 'e'", "no error"),
            ("get:eb", "exactly one 'e'", "error not last"),
            ("get:ee", "exactly one 'e'", "two errors"),
            ("get:bxe", "unknown letter 'x'", "letter outside the grammar"),
            ("get:b e", "unknown letter", "blank"),
            ("get:cce", "two completions", "only one can be tracked"),
            ("get:e;get:e", "twice", "a name must be unique"),
            ("get:e;", "no proper name", "trailing separator"),
            ("a:e;;b:e", "no proper name", "empty slot"),
            ("get:" + String(repeating: "b", count: 30) + "e", "31 letters", "bound on letters"),
            ((0..<300).map { "s\($0):e" }.joined(separator: ";"), "300 slots", "bound on slots"),
        ]
        for row in rows {
            XCTAssertThrowsError(try SlotDescriptor(row.text), row.why) { error in
                XCTAssertTrue("\(error)".contains(row.part), "\(row.why): \(error)")
            }
        }
    }

    func testAppendedSlotsAgreeAndChangedOnesDoNot() throws {
        let ours = try SlotDescriptor("get:boe;list:boe")
        XCTAssertNil(ours.disagreement(of: try SlotDescriptor("get:boe")))
        XCTAssertNil(ours.disagreement(of: try SlotDescriptor("get:boe;list:boe;more:e")))
        XCTAssertNotNil(ours.disagreement(of: try SlotDescriptor("get:boe;list:oe")))
        XCTAssertNotNil(ours.disagreement(of: try SlotDescriptor("list:boe;get:boe")))
    }
}
