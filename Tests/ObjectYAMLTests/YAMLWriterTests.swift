import Objects
import XCTest

@testable import ObjectYAML

/// What is written is read as the same value again, and looks as clients of Kubernetes expect it.
final class YAMLWriterTests: XCTestCase {
    private func text(_ value: JSON) -> String { String(decoding: YAMLWriter.write(value), as: UTF8.self) }

    func testForm() {
        let object: JSON = [
            "kind": "ConfigMap", "apiVersion": "v1",
            "data": ["yes": "on", "n": "12", "text": "a\nb\n", "more": "a\n\nb", "none": "", "it's": "it's: so"],
            "metadata": [
                "name": "a", "labels": [:], "finalizers": [], "ownerReferences": [["uid": "1", "controller": true]],
            ],
            "list": [[1, 2], "- a", .null, 1.5],
        ]
        let expected = """
            apiVersion: v1
            data:
              it's: 'it''s: so'
              more: |-
                a

                b
              "n": "12"
              none: ""
              text: |
                a
                b
              "yes": "on"
            kind: ConfigMap
            list:
            - - 1
              - 2
            - '- a'
            - null
            - 1.5
            metadata:
              finalizers: []
              labels: {}
              name: a
              ownerReferences:
              - controller: true
                uid: "1"

            """
        XCTAssertEqual(text(object), expected)
    }

    func testTextsAreReadAsThemselves() throws {
        let texts = [
            "", " ", "a ", " a", "a", "1", "-1", "1e3", "0x10", "0o7", "1_000", "true", "No", "~", "null", "=", "<<",
            ".inf", "-",
            "--- a", "...", "- a", "-a", "? a", "a: b", "a:", "a #b", "#a", "&a", "*a", "!a", "|", ">", "'", "\"", "%a",
            "@a", "`",
            "{a}", "[a]", "a,b", ",", "a\nb", "a\nb\n", "a\nb\n\n", "\n", "\na", " a\nb", "a\n b\n", "a\tb", "\u{07}",
            "a\r\nb",
            "\u{85}", "\u{2028}", "\u{FEFF}", "ä€😀", "2020-01-01", "2020-01-01T00:00:00Z", "190:20:30", "y", "\\",
            "a\\nb",
        ]
        for text in texts {
            for value: JSON in [.string(text), ["k": .string(text)], [.string(text), ["k": [.string(text)]]]] {
                XCTAssertEqual(try YAMLParser.parse(YAMLWriter.write(value)), value, self.text(value))
            }
            let key = JSON.object([text: "v", "z": [text: [:]]])
            XCTAssertEqual(try YAMLParser.parse(YAMLWriter.write(key)), key, self.text(key))
        }
    }

    func testWholeDocumentsOfOneValue() {
        let rows: [(JSON, String)] = [
            ([:], "{}\n"), ([], "[]\n"), (.null, "null\n"), (3, "3\n"), ("a", "a\n"), ("3", "\"3\"\n"),
            (true, "true\n"),
        ]
        for (value, expected) in rows { XCTAssertEqual(text(value), expected) }
    }
}
