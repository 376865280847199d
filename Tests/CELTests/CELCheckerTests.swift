import CEL
import Objects
import XCTest

/// What is said of expressions that have mistakes.
final class CELCheckerTests: XCTestCase {
    private let environment = CELEnvironment(variables: [
        .init(
            "self",
            CELSchema(openAPI: [
                "type": "object",
                "properties": [
                    "name": ["type": "string"], "count": ["type": "integer"],
                    "tags": ["type": "array", "items": ["type": "string"]],
                    "nested": ["type": "object", "properties": ["flag": ["type": "boolean"]]],
                ],
            ])!)
    ])

    func testMistakesAreNamedWithTheirPlace() {
        let rows: [(source: String, message: String)] = [
            ("x", "ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n | x\n | ^"),
            ("self.foo", "ERROR: <input>:1:5: undefined field 'foo'\n | self.foo\n | ....^"),
            (
                "self.count + self.name",
                "ERROR: <input>:1:12: found no matching overload for '_+_' applied to '(int, string)'\n"
                    + " | self.count + self.name\n | ...........^"
            ),
            (
                "self.count.startsWith('a')",
                "ERROR: <input>:1:22: found no matching overload for 'startsWith' applied to 'int.(string)'\n"
                    + " | self.count.startsWith('a')\n | .....................^"
            ),
            (
                "self.count.x",
                "ERROR: <input>:1:11: type 'int' does not support field selection\n | self.count.x\n | ..........^"
            ),
            (
                "self.count.all(x, true)",
                "ERROR: <input>:1:5: expression of type 'int' cannot be range of a comprehension (must be list, map, or "
                    + "dynamic)\n | self.count.all(x, true)\n | ....^"
            ),
            (
                "self.tags.all(x, x.size())",
                "ERROR: <input>:1:14: found no matching overload for '_&&_' applied to '(bool, int)'\n"
                    + " | self.tags.all(x, x.size())\n | .............^"
            ),
            ("[1, 'a']", "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a']\n | ....^"),
            (
                "1 ==\n  'a'",
                "ERROR: <input>:1:3: found no matching overload for '_==_' applied to '(int, string)'\n | 1 ==\n | ..^"
            ),
            ("true &&\n  y", "ERROR: <input>:2:3: undeclared reference to 'y' (in container '')\n |   y\n | ..^"),
            ("nope(1)", "ERROR: <input>:1:5: undeclared reference to 'nope' (in container '')\n | nope(1)\n | ....^"),
            ("has(self)", "ERROR: <input>:1:5: invalid argument to has() macro\n | has(self)\n | ....^"),
            (
                "self.tags.all(1, true)",
                "ERROR: <input>:1:15: argument must be a simple name\n | self.tags.all(1, true)\n | ..............^"
            ),
            (
                "1 + ",
                "ERROR: <input>:1:5: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | 1 + \n | ....^"
            ),
            ("1 2", "ERROR: <input>:1:3: Syntax error: extraneous input '2' expecting <EOF>\n | 1 2\n | ..^"),
            ("'abc", "ERROR: <input>:1:1: Syntax error: token recognition error at: ''abc'\n | 'abc\n | ^"),
            ("9223372036854775808", "ERROR: <input>:1:1: invalid int literal\n | 9223372036854775808\n | ^"),
            ("while", "ERROR: <input>:1:1: reserved identifier: while\n | while\n | ^"),
            (
                "self.name.matches('[a')",
                "ERROR: <input>:1:19: invalid matches argument: error parsing regexp: missing closing ]: `[a`\n | self.name.matches('[a')\n | ..................^"
            ),
            ("duration('x')", "ERROR: <input>:1:10: invalid duration argument\n | duration('x')\n | .........^"),
        ]
        for row in rows {
            XCTAssertThrowsError(try environment.compile(row.source), row.source) {
                XCTAssertEqual("\($0)", row.message, row.source)
            }
        }
    }

    func testAllMistakesAreTold() {
        XCTAssertThrowsError(try environment.compile("self.foo == self.bar")) {
            XCTAssertEqual(
                ($0 as? CELIssues)?.issues.map(\.message), ["undefined field 'foo'", "undefined field 'bar'"])
        }
    }

    func testResultTypes() throws {
        let rows: [(source: String, type: CELType)] = [
            ("self.name", .string), ("self.tags.map(t, t.size())", .list(.int)), ("self.nested.flag", .bool),
            ("{'a': 1}", .map(.string, .int)), ("self.?name", .optional(.string)), ("self.?name.orValue('')", .string),
            ("type(1)", .type(.int)), ("[]", .list(.dyn)), ("dyn(1)", .dyn), ("self.tags[?0]", .optional(.string)),
            ("timestamp('2026-01-01T00:00:00Z') - timestamp('2025-01-01T00:00:00Z')", .duration),
            ("self.count > 1 ? 'a' : self.name", .string), ("cel.bind(v, self.tags, v[0])", .string),
            ("self.tags.filter(t, t != '')", .list(.string)), ("optional.of(self.count)", .optional(.int)),
        ]
        for row in rows { XCTAssertEqual(try environment.compile(row.source).resultType, row.type, row.source) }
    }

    func testReads() throws {
        let program = try environment.compile("self.count > 0")
        XCTAssertTrue(program.reads("self"))
        XCTAssertFalse(program.reads("oldSelf"))
    }

    /// Hostile text ends with an error, not with the stack.
    func testDepthIsBounded() {
        let rows = [
            String(repeating: "(", count: 100_000),
            String(repeating: "[", count: 5_000) + String(repeating: "]", count: 5_000),
            "1" + String(repeating: " + 1", count: 10_000), "self" + String(repeating: ".a", count: 20_000),
            String(repeating: "!", count: 50_000) + "true && x",
            (0..<300).reduce("true") { source, index in "[1].all(v\(index), \(source))" },
        ]
        for row in rows { XCTAssertThrowsError(try environment.compile(row), String(row.prefix(20))) }
        XCTAssertNoThrow(try environment.compile("true" + String(repeating: " && true", count: 10_000)))
    }

    /// What is let through can be compiled and evaluated on the smallest stack that the daemon's threads have.
    func testTheDeepestExpressionsFitIntoSmallStacks() {
        let rows = [
            String(repeating: "(", count: 98) + "1" + String(repeating: ")", count: 98),
            "1" + String(repeating: " + 1", count: 196),
            String(repeating: "[", count: 97) + String(repeating: "]", count: 97),
            (0..<60).reduce("true") { source, index in "[1].all(v\(index), \(source))" },
            String(repeating: "{'a': ", count: 97) + "1" + String(repeating: "}", count: 97),
        ]
        for row in rows { XCTAssertEqual(Self.outcomeOnSmallStack(row), "ok", String(row.prefix(20))) }
    }

    private final class Work: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): written by the thread, read once it has been joined.
        let source: String
        var outcome = ""
        init(_ source: String) { self.source = source }
    }

    private static func outcomeOnSmallStack(_ source: String) -> String {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, 1 << 20)
        let work = Work(source)
        var thread = pthread_t()
        let status = pthread_create(
            &thread, &attributes,
            { argument in
                // SAFETY: `work` was retained for the thread below.
                let work = Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue()
                do {
                    _ = try CELEnvironment(variables: []).compile(work.source).evaluate([:])
                    work.outcome = "ok"
                } catch {
                    work.outcome = "\(error)"
                }
                return nil
            }, Unmanaged.passRetained(work).toOpaque())
        guard status == 0 else { return "no thread: \(status)" }
        pthread_join(thread, nil)
        return work.outcome
    }
}
