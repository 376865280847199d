import Objects
import XCTest

@testable import Kernel

final class OptionSchemaTests: XCTestCase {
    private let schema = """
        {"type":"object","required":["name"],"properties":{
          "name":{"type":"string","pattern":"^[a-z]+$","maxLength":5},
          "port":{"type":"integer","minimum":1,"maximum":65535,"default":53},
          "ratio":{"type":"number","minimum":0},
          "mode":{"type":"string","enum":["fast","safe"],"default":"safe"},
          "upstream":{"type":"array","items":{"type":"string"},"maxItems":2},
          "limits":{"type":"object","properties":{"cpu":{"type":"integer","default":4},"memory":{"type":"integer"}}},
          "labels":{"type":"object","additionalProperties":{"type":"string"}},
          "anything":{},
          "on":{"type":"boolean"}}}
        """

    private func check(_ yaml: String) throws -> JSON {
        let node = try YAMLReader.read(Array(yaml.utf8), file: "o.yaml")
        return try OptionSchema(try JSON(parsing: schema)).check(node, file: "o.yaml", keyPath: "options")
    }

    func testValuesPassAndDefaultsAreFilledIn() throws {
        XCTAssertEqual(try check("name: a"), ["name": "a", "port": 53, "mode": "safe", "limits": ["cpu": 4]])
        XCTAssertEqual(
            try check(
                "{name: abc, port: 0x35, ratio: 1, mode: fast, upstream: [a], limits: {memory: 7}, labels: {x: \"1\"}, anything: [1], on: true}"
            ),
            [
                "name": "abc", "port": 53, "ratio": 1, "mode": "fast", "upstream": ["a"],
                "limits": ["memory": 7, "cpu": 4],
                "labels": ["x": "1"], "anything": [1], "on": true,
            ])
    }

    func testMistakes() {
        let rows: [(yaml: String, expected: String)] = [
            ("{}", "options: the option name is missing"),
            ("{name: abcdef}", "options.name: the text has 6 bytes; allowed are at least 0 and at most 5"),
            ("{name: A}", "options.name: the text \"A\" does not match the pattern"),
            ("{name: 5}", "options.name: expected text, found 5: put it in quotes"),
            ("{name: a, port: 0}", "options.port: expected a whole number from 1 to 65535, found 0"),
            ("{name: a, port: 1.5}", "options.port: expected a whole number from 1 to 65535, found 1.5"),
            ("{name: a, port: \"53\"}", "options.port: expected a whole number from 1 to 65535, found the text \"53\""),
            ("{name: a, ratio: -1}", "options.ratio: expected a number of at least 0, found -1"),
            (
                "{name: a, mode: fats}",
                "options.mode: the text \"fats\" is not possible; allowed: fast and safe; did you mean fast?"
            ),
            ("{name: a, upstream: [a, b, c]}", "options.upstream: the list has 3 elements"),
            ("{name: a, upstream: [1]}", "options.upstream[0]: expected text, found 1"),
            ("{name: a, upstream: a}", "options.upstream: expected a list, found the text \"a\""),
            (
                "{name: a, limits: {cpus: 1}}",
                "options.limits.cpus: unknown option; allowed are cpu and memory; did you mean cpu?"
            ),
            ("{name: a, labels: {x: 1}}", "options.labels.x: expected text, found 1"),
            ("{name: a, on: yes}", "options.on: expected true or false, found the text \"yes\""),
            ("{name: a, prot: 1}", "options.prot: unknown option; allowed are"),
            ("[1]", "options: expected a mapping, found a list"),
        ]
        for row in rows {
            XCTAssertThrowsError(try check(row.yaml), row.yaml) { error in
                XCTAssertTrue("\(error)".contains(row.expected), "\(row.yaml): \(error)")
                XCTAssertTrue("\(error)".hasPrefix("o.yaml:1:"), "\(error)")
            }
        }
    }

    func testSchemasThatCannotBeUsedAreRefused() {
        for (schema, part) in [
            ("[]", "not an object"), ("{\"type\":\"date\"}", "unknown type"), ("{\"oneOf\":[]}", "keyword \"oneOf\""),
            ("{\"type\":\"string\",\"pattern\":\"(\"}", "no POSIX extended expression"),
        ] {
            XCTAssertThrowsError(try OptionSchema(try JSON(parsing: schema)), schema) { error in
                XCTAssertTrue("\(error)".contains(part), "\(schema): \(error)")
            }
        }
    }
}
