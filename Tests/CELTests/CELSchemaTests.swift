import CEL
import Objects
import XCTest

/// Data as schemas describe it.
final class CELSchemaTests: XCTestCase {
    private let schema: JSON = [
        "type": "object",
        "properties": [
            "due": ["type": "string", "format": "date-time"], "every": ["type": "string", "format": "duration"],
            "data": ["type": "string", "format": "byte"], "day": ["type": "string", "format": "date"],
            "port": ["x-kubernetes-int-or-string": true], "ratio": ["type": "number"],
            "names": ["type": "array", "items": ["type": "string"], "x-kubernetes-list-type": "set"],
            "ports": [
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": ["type": "object", "properties": ["name": ["type": "string"], "port": ["type": "integer"]]],
            ],
            "limits": ["type": "object", "additionalProperties": ["type": "integer"]],
            "a-b": ["type": "string"], "c.d/e": ["type": "string"], "namespace": ["type": "string"],
            "x__y": ["type": "string"],
            "maybe": ["type": "string", "nullable": true], "free": ["x-kubernetes-preserve-unknown-fields": true],
        ],
    ]

    private let data: JSON = [
        "due": "2026-01-02T03:04:05Z", "every": "1h30m", "data": "aGk=", "day": "2026-02-03", "port": "80%", "ratio": 2,
        "names": ["b", "a"], "ports": [["name": "x", "port": 1], ["name": "y", "port": 2]], "limits": ["cpu": 4],
        "a-b": "dash", "c.d/e": "dots", "namespace": "word", "x__y": "under", "maybe": nil,
    ]

    func testConversions() throws {
        let type = try XCTUnwrap(CELSchema(openAPI: schema))
        let environment = CELEnvironment(variables: [.init("self", type), .init("oldSelf", type)])
        var old = data
        old["names"] = ["a", "b"]
        old["ports"] = [["name": "y", "port": 2], ["name": "x", "port": 1]]
        let activation: CELActivation = ["self": try CELValue(data, type), "oldSelf": try CELValue(old, type)]
        let rows: [(source: String, expected: String)] = [
            ("self.due.getHours()", "3"), ("self.every > duration('1h')", "true"), ("string(self.data)", "hi"),
            ("self.day.getMonth()", "1"), ("type(self.port) == string && self.port == '80%'", "true"),
            ("self.ratio / 4.0", "0.5"),
            ("self.names == oldSelf.names", "true"), ("self.names + oldSelf.names", "[b, a]"),
            ("self.ports == oldSelf.ports", "true"),
            ("(self.ports + [oldSelf.ports[0]]).map(p, p.name)", "[x, y]"), ("self.limits.cpu + 1", "5"),
            ("self.limits.all(k, self.limits[k] > 3)", "true"), ("self.a__dash__b", "dash"),
            ("self.c__dot__d__slash__e", "dots"), ("self.__namespace__", "word"), ("self.x__underscores__y", "under"),
            ("has(self.maybe)", "true"), ("has(self.due)", "true"), ("self == oldSelf", "true"),
        ]
        for row in rows {
            XCTAssertEqual(CELEvaluationTests.outcome(row.source, environment, activation), row.expected, row.source)
        }
        XCTAssertThrowsError(try environment.compile("self.free"), "data without a type is not seen")
    }

    func testDataThatIsNotWhatItsSchemaSays() throws {
        let rows: [(schema: JSON, data: JSON, message: String)] = [
            (["type": "string"], nil, "invalid data, got null for schema with nullable=false"),
            (["type": "integer"], "x", "invalid data, expected int, got string"),
            (["type": "string", "format": "date-time"], "soon", "failed to parse date-time: soon"),
            (["type": "object", "properties": [:]], [1], "invalid data, expected selfType, got array"),
        ]
        for row in rows {
            let type = try XCTUnwrap(CELSchema(openAPI: row.schema))
            XCTAssertThrowsError(try CELValue(row.data, type)) { XCTAssertEqual("\($0)", row.message) }
        }
    }

    func testResourceRoot() throws {
        let type = try XCTUnwrap(CELSchema(openAPI: ["type": "object"], isResourceRoot: true))
        let environment = CELEnvironment(variables: [.init("self", type)])
        XCTAssertEqual(try environment.compile("self.metadata.name").resultType, .string)
        XCTAssertThrowsError(try environment.compile("self.metadata.labels"))
    }

    func testEscaping() {
        let rows: [(name: String, escaped: String?)] = [
            ("abc", "abc"), ("a.b", "a__dot__b"), ("a-b", "a__dash__b"), ("a/b", "a__slash__b"),
            ("a__b", "a__underscores__b"),
            ("true", "__true__"), ("if", "__if__"), ("9a", nil), ("", nil), ("a b", nil), ("$ref", nil), ("a_b", "a_b"),
        ]
        for row in rows { XCTAssertEqual(IdentifierEscaping.escape(row.name), row.escaped, row.name) }
    }
}
