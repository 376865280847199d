import CEL
import Objects
import XCTest

/// What evaluations cost; the figures are Kubernetes'.
final class CELCostTests: XCTestCase {
    private let environment = CELEnvironment(variables: [
        .init("input", CELSchema.dyn), .init("s", .string), .init("list", .list(.int)), .init("a", .bool),
        .init("b", .bool),
        .init("map", .map(.string, .map(.string, .int))), .init("strings", .list(.string)),
    ])

    func testRuntimeCost() throws {
        let activation: CELActivation = [
            "input": CELValue(natural: ["a": ["b": 1], "k": "a"]), "s": .string(String(repeating: "x", count: 500)),
            "list": CELValue(natural: [1, 2, 3]), "a": .bool(false), "b": .bool(false),
            "map": CELValue(natural: ["val": ["x": 1]]), "strings": CELValue(natural: ["aaaaaaaaaaaa", "b"]),
        ]
        let rows: [(source: String, cost: UInt64)] = [
            ("'Hello World!'", 0), ("list", 1), ("input['a']", 2), ("list[0]", 2), ("input.a.b", 3),
            ("input['k' + 'ey' == '' ? 'a' : 'a']", 3),
            ("has(input.a)", 0), ("has(input.a.b)", 1), ("[1, 2, 3]", 0), ("[1, list[0]]", 12), ("{'a': list}", 31),
            ("{'a': 1}", 0),
            ("list.filter(x, false).all(x, true)", 6), ("s.matches('[0-9]')", 103), ("'123'.matches('[0-9]')", 2),
            ("false || false", 0),
            ("a || b || a || b", 4), ("a && b", 1), ("1 < 2", 1), ("1 + 1", 1), ("true ? 1 : 2", 0), ("size('123')", 1),
            ("'12345678901234567890' == '123456789012345678901234567890'", 2), ("bytes(s)", 51), ("string(1)", 1),
            ("s.contains(s)", 2502),
            ("s.startsWith('a')", 51), ("map.all(k, map[k].x > 3)", 9), ("list.all(x, true)", 11),
            ("list.exists(x, false)", 14),
            ("list.map(x, x)", 41), ("2 in list", 4), ("2 in [1, 2, 3]", 0), ("list.sum()", 4), ("strings.max()", 4),
            ("s.lowerAscii()", 51),
            ("s.replace('x', 'y')", 101), ("s.find('y')", 52),
        ]
        for row in rows {
            XCTAssertEqual(try environment.compile(row.source).evaluate(activation).cost, row.cost, row.source)
        }
    }

    func testLimitEndsTheEvaluationAndIsNotAbsorbed() throws {
        let activation: CELActivation = ["list": .list(.values((0..<200).map { .int($0) }))]
        let source = "true || list.all(x, true)"
        XCTAssertEqual(try environment.compile(source).evaluate(activation, costLimit: 1).cost, 0)
        for source in [
            "list.all(a, list.all(b, list.all(c, true)))", "list.all(a, list.all(b, list.all(c, true))) || true",
        ] {
            let program = try environment.compile(source)
            XCTAssertThrowsError(try program.evaluate(activation), source) {
                XCTAssertEqual(($0 as? CELError)?.kind, .costLimit)
                XCTAssertEqual("\($0)", "operation cancelled: actual cost limit exceeded")
            }
        }
    }

    func testEstimates() throws {
        let type = try XCTUnwrap(
            CELSchema(openAPI: [
                "type": "object",
                "properties": [
                    "short": ["type": "string", "maxLength": 10], "long": ["type": "string"],
                    "count": ["type": "integer"],
                    "few": ["type": "array", "maxItems": 10, "items": ["type": "string", "maxLength": 5]],
                    "many": ["type": "array", "items": ["type": "string"]],
                    "labels": [
                        "type": "object", "maxProperties": 16,
                        "additionalProperties": ["type": "string", "maxLength": 63],
                    ],
                ],
            ]))
        let environment = CELEnvironment(variables: [.init("self", type)])
        let rows: [(source: String, minimum: UInt64, maximum: UInt64)] = [
            ("self.count > 1", 3, 3), ("self.short == 'abc'", 3, 3), ("self.short.contains('abc')", 2, 6),
            ("self.few.all(x, x == 'a')", 3, 53), ("self.few.map(x, x)", 13, 143), ("has(self.short)", 1, 1),
            ("self.count > 1 || self.short == 'abc'", 3, 6), ("self.labels.all(k, k.matches('^[a-z]+$'))", 3, 99),
            ("self.few.join(',')", 2, 23), ("true ? 1 : 1 + 1", 0, 1),
        ]
        for row in rows {
            let estimate = try environment.compile(row.source).estimatedCost()
            XCTAssertEqual(estimate, CELCostEstimate(minimum: row.minimum, maximum: row.maximum), row.source)
        }
        let unbounded = try environment.compile("self.many.all(x, self.many.all(y, x != y))").estimatedCost()
        XCTAssertGreaterThan(unbounded.maximum, 100 * CELCost.estimatedPerRule)
    }
}
