import XCTest

@testable import Objects

final class JSONParserTests: XCTestCase {
    func testAcceptsAndWritesBack() throws {
        let rows: [(text: String, written: String)] = [
            ("null", "null"), (" true ", "true"), ("false\n", "false"), ("0", "0"), ("-0", "0"), ("42", "42"),
            ("-17", "-17"), ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"), ("1.5", "1.5"), ("1.0", "1"), ("1e2", "100"),
            ("2.5E-3", "0.0025"), ("18446744073709551616", "1.8446744073709552e+19"), ("\"\"", "\"\""),
            ("\"a\\u0041\\n\\/\"", "\"aA\\n/\""), ("\"\\ud83d\\ude00\"", "\"😀\""),
            ("\"\\u0000\\u001f\"", "\"\\u0000\\u001f\""),
            (
                "\"é😀 plain text that is longer than fifteen bytes\"",
                "\"é😀 plain text that is longer than fifteen bytes\""
            ),
            ("[]", "[]"), ("[ ]", "[]"), ("{}", "{}"), ("{ }", "{}"), ("[1,[2,[3]],{}]", "[1,[2,[3]],{}]"),
            ("{\"a\" : {\"b\":[true , null]} , \"c\":1}", "{\"a\":{\"b\":[true,null]},\"c\":1}"),
            (
                "{\"creationTimestamp\":\"x\",\"anUnknownKeyThatIsLong\":2}",
                "{\"creationTimestamp\":\"x\",\"anUnknownKeyThatIsLong\":2}"
            ),
            ("{\"\":1}", "{\"\":1}"),
        ]
        for row in rows {
            XCTAssertEqual(try JSON(parsing: row.text).serializedString(), row.written, row.text)
        }
    }

    func testGoesOverManagedFields() throws {
        let rows: [(text: String, written: String, reason: String)] = [
            (
                #"{"kind":"A","metadata":{"name":"a","managedFields":"#
                    + #"[{"f:x":{"k:{\"a\":\"]}\"}":{}},"é":"\\"}],"uid":"u"},"b":1}"#,
                #"{"kind":"A","metadata":{"name":"a","uid":"u"},"b":1}"#, "brackets and quotes in strings"
            ),
            (#"{"metadata":{"managedFields":[ ] }}"#, #"{"metadata":{}}"#, "an empty list"),
            (#"{"metadata":{"managedFields" : [[1],[2]]}}"#, #"{"metadata":{}}"#, "lists in the list"),
            (#"{"metadata":{"managedFields":{"a":1}}}"#, #"{"metadata":{"managedFields":{"a":1}}}"#, "no list"),
            (#"{"metadata":{"managedFields":null}}"#, #"{"metadata":{"managedFields":null}}"#, "null"),
            (#"{"spec":{"managedFields":[1]}}"#, #"{"spec":{"managedFields":[1]}}"#, "of something else"),
            (
                #"{"spec":{"metadata":{"managedFields":[1]}}}"#, #"{"spec":{"metadata":{"managedFields":[1]}}}"#,
                "of an object inside"
            ),
            (#"[{"managedFields":[1]}]"#, #"[{"managedFields":[1]}]"#, "in a list"),
            (#"{"a":1}"#, #"{"a":1}"#, "none"),
        ]
        for row in rows {
            let parsed = try Array(row.text.utf8).withUnsafeBytes { try JSON(parsingWithoutManagedFields: $0) }
            XCTAssertEqual(parsed.serializedString(), row.written, row.reason)
        }
        let list = #"[{"a":"]"}]"#
        let bytes = Array(#"{"metadata":{"managedFields": \#(list) ,"name":"a"}}"#.utf8)
        var place: Range<Int>?
        let rest = try bytes.withUnsafeBytes { try JSON(parsing: $0, without: &place) }
        XCTAssertEqual(String(decoding: bytes[try XCTUnwrap(place)], as: UTF8.self), list)
        XCTAssertEqual(rest, ["metadata": ["name": "a"]])
        for text in [
            #"{"metadata":{"managedFields":[{"a":1}"#, #"{"metadata":{"managedFields":["a\"#,
            #"{"metadata":{"managedFields":["a]}}"#, #"{"metadata":{"managedFields":[1]]}"#,
            #"{"metadata":{"managedFields":[1],"managedFields":[2]}}"#,
        ] {
            XCTAssertThrowsError(
                try Array(text.utf8).withUnsafeBytes { try JSON(parsingWithoutManagedFields: $0) }, text)
        }
    }

    func testRejectsWithPlaceAndReason() {
        let rows: [(text: String, offset: Int, message: String)] = [
            ("", 0, "unexpected end of the text"), ("  ", 2, "unexpected end of the text"),
            ("{", 1, "unexpected character, expected a key in quotes"), ("[1,", 3, "unexpected end of the text"),
            ("[1 2]", 3, "unexpected character, expected a comma or the end of the array"),
            ("[1,]", 3, "unexpected character, expected a value"),
            ("{\"a\":1,}", 7, "unexpected character, expected a key in quotes"),
            ("{\"a\" 1}", 5, "unexpected character, expected a colon after the key"),
            ("{\"a\":1,\"a\":2}", 7, "duplicate key \"a\""), ("{\"ab\":1,\"\\u0061b\":2}", 8, "duplicate key \"ab\""),
            ("01", 0, "a number must not begin with a zero"), ("-", 1, "a number needs a digit here"),
            ("1.", 2, "a number needs a digit here"), ("1e+", 3, "a number needs a digit here"),
            ("1e999", 0, "number out of range"), (".5", 0, "unexpected character, expected a value"),
            ("+1", 0, "unexpected character, expected a value"), ("tru", 0, "unexpected word, expected true"),
            ("nul", 0, "unexpected word, expected null"), ("\"a", 0, "unterminated string"),
            ("\"a\\", 2, "unterminated string"), ("\"\\x\"", 1, "unknown escape in a string"),
            ("\"\\u12g4\"", 1, "an escape needs four hexadecimal digits"),
            ("\"\\ud800\"", 1, "half of a surrogate pair in an escape"),
            ("\"\\ud800\\u0041\"", 1, "half of a surrogate pair in an escape"),
            ("\"\\udc00\"", 1, "half of a surrogate pair in an escape"),
            ("\"a\nb\"", 2, "control character in a string; write it as an escape"),
            ("1 1", 2, "unexpected text after the value"),
            ("[1}", 2, "unexpected character, expected a comma or the end of the array"),
            ("{\"a\":1]", 6, "unexpected character, expected a comma or the end of the object"),
            ("'a'", 0, "unexpected character, expected a value"), ("NaN", 0, "unexpected character, expected a value"),
        ]
        for row in rows {
            XCTAssertThrowsError(try JSON(parsing: row.text), row.text) { error in
                let error = error as? JSONParseError
                XCTAssertEqual(error?.offset, row.offset, row.text)
                XCTAssertEqual(error?.message, row.message, row.text)
            }
        }
    }

    func testRepeatedKeysWhereTheyMayBe() throws {
        let many = (0..<100).map { "\"k\($0)\":\($0)" }.joined(separator: ",")
        let rows: [(text: String, written: String?, duplicates: [String])] = [
            ("{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}", []), ("{\"a\":1,\"a\":2}", "{\"a\":2}", ["a"]),
            ("{\"a\":{\"x\":1},\"b\":0,\"a\":[]}", "{\"b\":0,\"a\":[]}", ["a"]),
            (
                "{\"s\":{\"c\":[{\"i\":0},{\"i\":{\"j\":1,\"j\":2},\"i\":3}]}}",
                "{\"s\":{\"c\":[{\"i\":0},{\"i\":3}]}}",
                ["s.c[1].i.j", "s.c[1].i"]
            ),
            ("[[{\"a\":1,\"\\u0061\":2}]]", "[[{\"a\":2}]]", ["[0][0].a"]),
            ("{\"o\":{\(many),\"k7\":-1}}", nil, ["o.k7"]),
        ]
        for row in rows {
            var duplicates: [String] = []
            let value = try JSON(parsing: Array(row.text.utf8), duplicates: &duplicates)
            if let written = row.written { XCTAssertEqual(value.serializedString(), written, row.text) }
            XCTAssertEqual(duplicates, row.duplicates, row.text)
        }
        var duplicates: [String] = []
        let large = try JSON(parsing: Array("{\(many),\"k7\":-1}".utf8), duplicates: &duplicates)
        XCTAssertEqual(large["k7"], -1, "the last value counts")
        XCTAssertEqual(large.count, 100)
        XCTAssertThrowsError(try JSON(parsing: Array("{\"a\":1,\"a\":}".utf8), duplicates: &duplicates))
    }

    func testSaysLineAndColumn() {
        XCTAssertThrowsError(try JSON(parsing: "{\n  \"a\": 1,\n  \"b\": x\n}")) { error in
            XCTAssertEqual("\(error)", "line 3, column 8: unexpected character, expected a value")
        }
    }

    func testRejectsInvalidUTF8() {
        let rows: [[UInt8]] = [
            [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x82], [0xF5, 0x80, 0x80, 0x80], [0x80],
        ]
        for row in rows {
            XCTAssertThrowsError(try JSON(parsing: [0x22] + row + [0x22]), "\(row)")
            XCTAssertThrowsError(try JSON(parsing: [0x7B, 0x22] + row + [0x22, 0x3A, 0x31, 0x7D]), "\(row)")
        }
    }

    func testBoundsDepth() throws {
        let deepest = String(repeating: "[", count: 512) + String(repeating: "]", count: 512)
        XCTAssertEqual(try JSON(parsing: deepest).serializedString(), deepest)
        XCTAssertThrowsError(try JSON(parsing: "[" + deepest + "]")) { error in
            XCTAssertEqual((error as? JSONParseError)?.message, "nested more than 512 levels deep")
        }
        XCTAssertThrowsError(try JSON(parsing: String(repeating: "{\"a\":", count: 100_000)))
    }

    func testEveryTruncationFails() {
        let text = "{\"a\":[1,2.5,\"x\\u00e9\",{\"b\":null,\"c\":true}],\"d\":\"é\"}"
        let bytes = Array(text.utf8)
        XCTAssertNoThrow(try JSON(parsing: bytes))
        for count in 0..<bytes.count { XCTAssertThrowsError(try JSON(parsing: Array(bytes[..<count])), "\(count)") }
    }

    func testEveryPositionOfASpecialByteIsSeen() throws {
        for length in 0..<40 {
            for position in 0...length {
                for special in ["\\\"", "\\n", "é", "\\\\"] {
                    let text =
                        "\"" + String(repeating: "x", count: position) + special
                        + String(repeating: "y", count: length - position) + "\""
                    XCTAssertEqual(try JSON(parsing: text).serializedString(), text)
                }
            }
        }
    }

    func testLargeObjectsAreIndexed() throws {
        let count = 20_000
        let text = "{" + (0..<count).map { "\"key-\($0)\":\($0)" }.joined(separator: ",") + "}"
        var value = try JSON(parsing: text)
        XCTAssertEqual(value.serializedString(), text)
        for index in stride(from: 0, to: count, by: 7) { XCTAssertEqual(value["key-\(index)"], JSON(index)) }
        XCTAssertTrue(value["key-\(count)"].isNull)
        value["new"] = 1
        XCTAssertEqual(value["new"], 1)
        XCTAssertEqual(value.removeValue(forKey: "key-5"), 5)
        XCTAssertTrue(value["key-5"].isNull)
        XCTAssertEqual(value["key-6"], 6)
        XCTAssertThrowsError(try JSON(parsing: text.dropLast() + ",\"key-77\":1}"))
    }

    /// Damaged text either fails with a place inside of it or is JSON again: what was read writes and reads the same.
    func testDamagedTextNeverSurprises() throws {
        let seed = Array(
            #"{"a":[1,-2.5e3,"x\u00e9\n",{"b":null,"c":true}],"creationTimestamp":"2026","é":{},"d":[[],[{}]]}"#.utf8)
        let alphabet = Array("{}[]\",:\\u0123456789eE+-.tfn \u{e9}\n".utf8) + [0x00, 0xC3, 0xFF]
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        func next(_ bound: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % UInt64(bound))
        }
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes = seed
            for _ in 0...next(3) {
                let position = next(bytes.count)
                switch next(3) {
                case 0: bytes[position] = alphabet[next(alphabet.count)]
                case 1: bytes.remove(at: position)
                default: bytes.insert(alphabet[next(alphabet.count)], at: position)
                }
            }
            do {
                let value = try JSON(parsing: bytes)
                accepted += 1
                XCTAssertEqual(try JSON(parsing: value.serialized()), value)
            } catch {
                XCTAssertTrue((0...bytes.count).contains(error.offset), "\(error)")
            }
        }
        XCTAssertGreaterThan(accepted, 100)
    }
}
