import XCTest

import Objects

final class NameChecksTests: XCTestCase {
    private func check(_ rule: (String) -> [String], good: [String], bad: [String], line: UInt = #line) {
        for text in good { XCTAssertEqual(rule(text), [], text, line: line) }
        for text in bad { XCTAssertNotEqual(rule(text), [], text, line: line) }
    }

    func testRules() {
        let label63 = String(repeating: "a", count: 63)
        check(
            NameChecks.dns1123Label, good: ["a", "0", "a-b", "1a", label63],
            bad: ["", "-a", "a-", "A", "a.b", "a_b", label63 + "a", "é", "a\n"])
        check(
            NameChecks.dns1123Subdomain, good: ["a", "a.b", "0.1-2.c", label63 + "a"],
            bad: ["", ".", "a.", ".a", "a..b", "a.-b", "A.b", String(repeating: "a", count: 254)])
        check(NameChecks.dns1035Label, good: ["a", "a-1"], bad: ["", "1a", "-", "a-", label63 + "a"])
        check(NameChecks.wildcardSubdomain, good: ["*.a.b"], bad: ["*", "*.", "a.*", "*.*.a"])
        check(
            NameChecks.qualifiedName, good: ["a", "A.b_c-d", "example.com/a", "1", label63],
            bad: ["", "/a", "a/", "a/b/c", "-a", "a-", "Ex.com/a", "a b", label63 + "a"])
        check(
            NameChecks.labelValue, good: ["", "a", "A_b.c-1", label63], bad: ["-", "a-", "a b", label63 + "a", "a/b"])
        check(NameChecks.environmentName, good: ["A", "a.b", "0", "a b"], bad: ["", "A=B", "é"])
        check(NameChecks.configKey, good: ["a", ".a", "A_b-c.d"], bad: ["", ".", "..", "..a", "a/b", "a b"])
        check(
            NameChecks.portName, good: ["http", "a1", "1-a"],
            bad: ["", "1", "-a", "a-", "a--b", "Http", "abcdefghijklmnop"])
        check(NameChecks.pathSegment, good: ["system:node", "a b"], bad: [".", "..", "a/b", "a%b"])
        check(NameChecks.percent, good: ["0%", "125%"], bad: ["", "%", "1", "-1%", "1.5%"])
        XCTAssertEqual(NameChecks.portNumber(0), ["must be between 1 and 65535, inclusive"])
        XCTAssertEqual(NameChecks.portNumber(65_535), [])
        XCTAssertEqual(NameChecks.dns1123Label(label63 + "a"), ["must be no more than 63 characters"])
    }
}
