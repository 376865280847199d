import XCTest

import Objects

final class LabelSelectorTests: XCTestCase {
    func testTextForm() throws {
        let rows: [(text: String, canonical: String)] = [
            ("", ""), ("a", "a"), ("!a", "!a"), ("a=b", "a=b"), ("a==b", "a=b"), ("a!=b", "a!=b"), (" a = b ", "a=b"),
            ("a=", "a="), ("a=,b", "a=,b"), ("b=1,a=2", "a=2,b=1"), ("a in (c,b)", "a in (b,c)"),
            ("a notin (b)", "a notin (b)"), ("a in (b,)", "a in (,b)"), ("a in ()", "a in ()"), ("a>1", "a>1"),
            ("a<10,b", "a<10,b"),
            ("example.com/a-b in (x, y),!c", "!c,example.com/a-b in (x,y)"), ("in=in", "in=in"),
            ("a in (b,b)", "a in (b)"),
        ]
        for row in rows {
            let selector = try LabelSelector(parsing: row.text)
            XCTAssertEqual(selector.description, row.canonical, row.text)
            XCTAssertEqual(try LabelSelector(parsing: selector.description), selector, row.text)
        }
    }

    func testRejects() {
        let rows = [
            "a=b=c", "a b", "a in b", "a in (b", "a in b)", "a=b,", ",a=b", "!", "a!", "!a=b", "a in (b,c),", "a>x",
            "(a)", "=b",
            "-a=b", "a/b/c=d", "/a=b", "a=-b", "a=b c", "a=\(String(repeating: "x", count: 64))", ".spec.x=y", "a>1=2",
            "Example.com/a=b",
        ]
        for row in rows { XCTAssertThrowsError(try LabelSelector(parsing: row), row) }
    }

    func testMatches() throws {
        let rows: [(selector: String, labels: JSON, matches: Bool)] = [
            ("", [:], true), ("a", [:], false), ("a", ["a": ""], true), ("!a", [:], true), ("!a", ["a": "1"], false),
            ("a=b", ["a": "b"], true), ("a=b", ["a": "c"], false), ("a=b", [:], false), ("a!=b", [:], true),
            ("a!=b", ["a": "c"], true), ("a!=b", ["a": "b"], false), ("a in (b,c)", ["a": "c"], true),
            ("a in (b,c)", ["a": "d"], false), ("a notin (b,c)", [:], true), ("a notin (b,c)", ["a": "b"], false),
            ("a>5", ["a": "6"], true), ("a>5", ["a": "5"], false), ("a<5", ["a": "x"], false), ("a<5", [:], false),
            ("a=b,c=d", ["a": "b", "c": "d"], true), ("a=b,c=d", ["a": "b"], false), ("a=", ["a": ""], true),
        ]
        for row in rows {
            XCTAssertEqual(try LabelSelector(parsing: row.selector).matches(labels: row.labels), row.matches, "\(row)")
        }
        XCTAssertTrue(try LabelSelector(parsing: "!a").matches(labels: .null))
    }

    func testObjects() throws {
        let rows: [(object: JSON, text: String)] = [
            ([:], ""), (["matchLabels": ["b": "1", "a": "2"]], "a=2,b=1"),
            (["matchExpressions": [["key": "a", "operator": "In", "values": ["y", "x"]]]], "a in (x,y)"),
            (["matchLabels": ["a": "b"], "matchExpressions": [["key": "c", "operator": "DoesNotExist"]]], "a=b,!c"),
            (["matchExpressions": [["key": "c", "operator": "Exists", "values": []]]], "c"),
            (["matchExpressions": [["key": "c", "operator": "NotIn", "values": ["d"]]]], "c notin (d)"),
            (.null, "<nothing>"),
        ]
        for row in rows { XCTAssertEqual(try LabelSelector(object: row.object).description, row.text, "\(row.object)") }
        let bad: [JSON] = [
            ["matchExpressions": [["key": "a", "operator": "In", "values": []]]], ["matchLabels": ["a": 1]], "x",
            ["matchExpressions": [["key": "a", "operator": "Exists", "values": ["b"]]]], ["matchLabels": ["-": "1"]],
            ["matchExpressions": [["key": "a", "operator": "Like"]]],
        ]
        for row in bad { XCTAssertThrowsError(try LabelSelector(object: row), "\(row)") }
        XCTAssertFalse(LabelSelector.nothing.matches(labels: ["a": "b"]))
        XCTAssertFalse(try LabelSelector(map: [:]).matches(labels: [:]))
        XCTAssertTrue(try LabelSelector(map: ["a": "b"]).matches(labels: ["a": "b", "c": "d"]))
    }

    func testFieldNames() throws {
        let selector = try LabelSelector(
            parsing: ".spec.nodeName=alpha,.status.phase!=Running,app", allowsFieldNames: true)
        XCTAssertTrue(selector.matches { [".spec.nodeName": "alpha", ".status.phase": "Pending", "app": ""][$0] })
        XCTAssertFalse(selector.matches { [".spec.nodeName": "alpha", ".status.phase": "Running", "app": ""][$0] })
        let odd = LabelSelector(requirements: [try .init(".type", .equals, ["a=b,(c) \\d!"])])
        XCTAssertEqual(try LabelSelector(parsing: odd.description, allowsFieldNames: true), odd)
    }

    func testWhatIsSaidOfFaults() {
        let rows: [(text: String, message: String)] = [
            ("a b c", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a in", "unable to parse requirement: found '', expected: '('"),
            ("a in (b", "unable to parse requirement: found '', expected: ',', or ')'"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            ("a,,b", "found ',', expected: identifier after ','"),
            (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ]
        for row in rows {
            XCTAssertThrowsError(try LabelSelector(parsing: row.text), row.text) { error in
                XCTAssertEqual("\(error)", row.message)
            }
        }
    }
}
