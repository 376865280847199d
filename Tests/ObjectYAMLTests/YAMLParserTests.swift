import ObjectYAML
import Objects
import XCTest

final class YAMLParserTests: XCTestCase {
    private func parse(_ text: String) throws -> JSON { try YAMLParser.parse(Array(text.utf8)) }

    func testValues() throws {
        let rows: [(text: String, value: JSON)] = [
            ("", .null), ("a: 1", ["a": 1]),
            ("{\"a\": [1, 2.5, \"x\", null, true]}", ["a": [1, 2.5, "x", .null, true]]),
            ("mode: 0644", ["mode": 420]), ("a: 0x10", ["a": 16]), ("a: 0b11", ["a": 3]), ("a: 09", ["a": 9]),
            ("a: 1_000", ["a": 1000]), ("a: -3", ["a": -3]), ("a: +3", ["a": 3]), ("a: 1e3", ["a": 1000]),
            ("a: 1.2.3", ["a": "1.2.3"]), ("a: 500m", ["a": "500m"]), ("a: '1'", ["a": "1"]),
            ("a: \"true\"", ["a": "true"]),
            ("a: yes", ["a": true]), ("a: Off", ["a": false]), ("a: ~", ["a": .null]), ("a:", ["a": .null]),
            ("a: !!str 1", ["a": "1"]), ("a: .inf", ["a": ".inf"]), ("a: 2030-01-01", ["a": "2030-01-01"]),
            ("a: |\n  x\n  y\n", ["a": "x\ny\n"]), ("a: >-\n  x\n  y\n", ["a": "x y"]),
            ("a: 9223372036854775807", ["a": 9_223_372_036_854_775_807]), ("- a\n- b", ["a", "b"]),
            ("1: x", ["1": "x"]),
            ("a: &x {b: 1}\nc: *x", ["a": ["b": 1], "c": ["b": 1]]),
            ("x: &x {b: 1, c: 2}\ny:\n  <<: *x\n  c: 3", ["x": ["b": 1, "c": 2], "y": ["c": 3, "b": 1]]),
        ]
        for row in rows { XCTAssertEqual(try parse(row.text), row.value, row.text) }
    }

    func testWhatIsRefusedSaysWhere() {
        let rows: [(text: String, message: String)] = [
            ("a: 1\na: 2", "line 2: the key \"a\" is there twice"),
            ("a: *x", "line 1: the alias *x has no anchor before it"),
            ("? [a]\n: 1", "line 1: a key must be a scalar"), ("a: !mine x", "line 1: the tag !mine is not known"),
            ("a: 1\n---\nb: 2\n", "line 2: a second document is not expected here"),
        ]
        for row in rows {
            XCTAssertThrowsError(try parse(row.text), row.text) { error in
                let text = "\(error)"
                let wanted = row.message.split(separator: ":", maxSplits: 1)[1]
                XCTAssertTrue(text.hasSuffix(wanted) && text.hasPrefix("line "), "\(text) for \(row.text)")
            }
        }
        XCTAssertThrowsError(try parse("a: [1"))
        XCTAssertThrowsError(try YAMLParser.parse([0x61, 0x3A, 0x20, 0xFF]), "ill-formed UTF-8")
    }

    func testRepeatedKeysWhereTheyMayBe() throws {
        let rows: [(text: String, value: JSON, duplicates: [String])] = [
            ("a: 1", ["a": 1], []),
            ("\nx: 0\ns:\n  a: 1\n  a: 2\n", ["x": 0, "s": ["a": 2]], ["line 5: key \"a\" already set in map"]),
            (
                "a: 1\na:\n  b: 1\n  b: 2\n", ["a": ["b": 2]],
                ["line 4: key \"b\" already set in map", "line 2: key \"a\" already set in map"]
            ),
        ]
        for row in rows {
            var duplicates: [String] = []
            XCTAssertEqual(try YAMLParser.parse(Array(row.text.utf8), duplicates: &duplicates), row.value, row.text)
            XCTAssertEqual(duplicates, row.duplicates, row.text)
        }
        var duplicates: [String] = []
        XCTAssertThrowsError(try YAMLParser.parse(Array("a: [1".utf8), duplicates: &duplicates))
    }

    func testHostileDocumentsAreBounded() {
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...9 {
            let alias = "*a\(level - 1)"
            bomb += "a\(level): &a\(level) [\(Array(repeating: alias, count: 10).joined(separator: ", "))]\n"
        }
        XCTAssertThrowsError(try parse(bomb)) {
            XCTAssertTrue("\($0)".hasSuffix("more than 1000000 values, aliases expanded"), "\($0)")
        }
        let deep = String(repeating: "[", count: 300) + String(repeating: "]", count: 300)
        XCTAssertThrowsError(try parse(deep)) {
            XCTAssertTrue("\($0)".hasSuffix("nested deeper than 128 levels"), "\($0)")
        }
    }
}
