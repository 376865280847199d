@testable import CEL
import XCTest

final class RegularExpressionTests: XCTestCase {
    func testMatches() throws {
        let rows: [(pattern: String, text: String, matches: Bool)] = [
            ("^a+b$", "aaab", true), ("^a+b$", "aaabc", false), ("b", "abc", true), ("^(foo|bar)$", "bar", true),
            ("^(foo|bar)$", "foobar", false), ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a-b", true),
            ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a-", false), (#"^\d{3}-\d{2,}$"#, "123-4567", true),
            (#"^\d{3}-\d{2,}$"#, "12-45", false), ("(?i)^GRÜSSE$", "grüsse", true), (#"\bcat\b"#, "a cat.", true),
            (#"\bcat\b"#, "concat", false), ("a.c", "a\nc", false), ("(?s)a.c", "a\nc", true),
            ("(?m)^b$", "a\nb", true),
            ("^b$", "a\nb", false), (#"^\p{Lu}\p{Ll}+$"#, "Ünder", true), (#"[[:alpha:]]+"#, "12", false),
            (#"^[^\d\s]+$"#, "ab c", false), (#"^\x41\x{42}$"#, "AB", true), (#"\Qa.b\E"#, "aXb", false),
            ("", "", true),
            ("^$", "x", false), ("a{0}b", "b", true), ("x*", "", true), ("[]a]", "]", true), ("[a-]", "-", true),
            ("^(a*)*$", "aaaa", true), ("(?U)a+?", "aa", true), ("^(?:a|b)+$", "abba", true), ("a|", "zzz", true),
            ("(?P<name>x)y", "xy", true), ("a{,2}", "a{,2}", true),
        ]
        for row in rows {
            XCTAssertEqual(
                try RegularExpression(row.pattern).matches(row.text), row.matches, "\(row.pattern) on \(row.text)")
        }
    }

    func testRefuses() {
        let rows: [(pattern: String, message: String)] = [
            ("[a", "missing closing ]: `[a`"), ("(a", "missing closing ): `(a`"), ("a)", "unexpected ): `a)`"),
            ("*a", "missing argument to repetition operator: `*`"), ("a**", "invalid nested repetition operator: `**`"),
            ("a{1001}", "invalid repeat count: `{1001}`"), (#"\1"#, #"invalid escape sequence: `\1`"#),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            (#"a\"#, "trailing backslash at end of expression: ``"),
            ("[b-a]", "invalid character class range: `b-a`"), (#"\pX"#, #"invalid character class range: `\pX`"#),
            ("((a{100}){100}){100}", "expression too large: `((a{100}){100}){100}`"),
        ]
        for row in rows {
            XCTAssertThrowsError(try RegularExpression(row.pattern), row.pattern) {
                XCTAssertEqual("\($0)", "error parsing regexp: \(row.message)", row.pattern)
            }
        }
    }

    func testFindsLeftmostAndPreferred() throws {
        func find(_ pattern: String, _ text: String, _ limit: Int = .max) throws -> [String] {
            let scalars = Array(text.unicodeScalars)
            return try RegularExpression(pattern).allMatches(scalars, limit: limit).map { String(scalars: scalars[$0]) }
        }
        XCTAssertEqual(try find("a|ab", "abab"), ["a", "a"], "the first alternative is preferred")
        XCTAssertEqual(try find("a+", "aa b aaa"), ["aa", "aaa"])
        XCTAssertEqual(try find("a+?", "aaa"), ["a", "a", "a"])
        XCTAssertEqual(try find("[0-9]+", "1 22 333", 2), ["1", "22"])
        XCTAssertEqual(try find("x*", "axb"), ["", "x", ""])
        XCTAssertEqual(try find("q", "abc"), [])
    }

    func testTimeIsLinear() throws {
        // What takes a backtracking engine 2^n steps.
        let text = String(repeating: "a", count: 5_000)
        let expression = try RegularExpression("^(a+)+$")
        let clock = ContinuousClock()
        let time = clock.measure { XCTAssertFalse(expression.matches(text + "!")) }
        XCTAssertLessThan(time, .seconds(60))
    }
}
