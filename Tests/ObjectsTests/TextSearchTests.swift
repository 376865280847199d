import Objects
import XCTest

final class TextSearchTests: XCTestCase {
    private func contains(_ text: some StringProtocol, _ part: some StringProtocol) -> Bool {
        TextSearch.firstRange(of: part, in: text) != nil
    }

    func testTheFirstPlaceIsFound() throws {
        let text = "ααbababc"
        let found = try XCTUnwrap(TextSearch.firstRange(of: "babc", in: text))
        XCTAssertEqual(text[..<found.lowerBound], "ααba")
        XCTAssertEqual(text[found], "babc")
        XCTAssertNil(TextSearch.firstRange(of: "bac", in: text))
        XCTAssertNil(TextSearch.firstRange(of: "a", in: ""))
        XCTAssertEqual(TextSearch.firstRange(of: "", in: "ab").map { "ab"[$0] }, "")
    }

    func testPartsOfAnotherTextAreSearchedInTheirOwnBounds() throws {
        let whole = "one, two, three"
        let middle = whole.dropFirst(5).prefix(3)
        XCTAssertEqual(middle, "two")
        let found = try XCTUnwrap(TextSearch.firstRange(of: "wo", in: middle))
        XCTAssertEqual(found, TextSearch.firstRange(of: "wo", in: whole))
        XCTAssertFalse(contains(middle, "one"))
        XCTAssertFalse(contains(middle, ", "))
        XCTAssertTrue(contains(whole, middle))
    }

    func testOccurrencesDoNotOverlap() {
        XCTAssertEqual(TextSearch.ranges(of: "aa", in: "aaaa").count, 2)
        XCTAssertEqual(TextSearch.replacing("aa", with: "b", in: "aaaaa"), "bba")
        XCTAssertEqual(TextSearch.replacing("~", with: "~0", in: "a/b~c"), "a/b~0c")
        XCTAssertEqual(TextSearch.replacing("d", with: "e", in: "abc"), "abc")
        XCTAssertEqual(TextSearch.ranges(of: "", in: "x").count, 0)
    }

    func testPartsBetweenSeparators() {
        XCTAssertEqual("::1".parts(separatedBy: "::"), ["", "1"])
        XCTAssertEqual("fe80::".parts(separatedBy: "::"), ["fe80", ""])
        XCTAssertEqual("1::2::3".parts(separatedBy: "::"), ["1", "2", "3"])
        XCTAssertEqual("a = b = c".parts(separatedBy: " = ", maxSplits: 1), ["a", "b = c"])
        XCTAssertEqual("none".parts(separatedBy: "::"), ["none"])
    }

    func testBytesAreCompared() {
        XCTAssertTrue(contains("e\u{301}", "e"), "an accent of its own hides no letter")
        XCTAssertFalse(contains("\u{e9}", "e\u{301}"))
        XCTAssertTrue(contains("日本語", "本"))
    }
}
