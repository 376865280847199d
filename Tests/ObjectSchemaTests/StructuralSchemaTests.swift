import Objects
import XCTest

@testable import ObjectSchema

/// Schemas of custom resources: what they refuse, remove and fill in.
final class StructuralSchemaTests: XCTestCase {
    private func compile(_ spec: JSON) throws -> SchemaNode {
        try StructuralCompiler.compile(["type": "object", "properties": ["spec": spec]])
    }

    private func object(_ spec: JSON) -> JSON {
        ["apiVersion": "e.com/v1", "kind": "E", "metadata": ["name": "e"], "spec": spec]
    }

    private func errors(_ schema: JSON, _ value: JSON) throws -> [String] {
        Schema.shared.validate(object(value), as: try compile(schema)).map(\.description)
    }

    /// What an object had twice before, it may keep; one that had nothing twice stays so.
    func testRepeatedElementsThatWereThere() throws {
        let strings: JSON = ["type": "array", "x-kubernetes-list-type": "set", "items": ["type": "string"]]
        let node = try compile(["type": "object", "properties": ["a": strings, "b": strings]])
        func errors(_ old: JSON, _ new: JSON) -> [String] {
            Schema.shared.validateUpdate(from: object(old), to: object(new), as: node).map(\.description)
        }
        XCTAssertEqual(errors(["a": ["x", "x"]], ["a": ["x", "x", "y"], "b": ["z", "z"]]), [])
        XCTAssertEqual(errors(["a": ["x"]], ["a": ["x", "x"]]), [#"spec.a[1]: Duplicate value: "x""#])
    }

    func testValues() throws {
        let nothing: [String] = []
        let rows: [(JSON, JSON, [String], String)] = [
            (
                ["type": "string"], 1,
                ["spec: Invalid value: \"integer\": spec in body must be of type string: \"integer\""], "type"
            ),
            (
                ["type": "integer"], 1.5,
                ["spec: Invalid value: \"number\": spec in body must be of type integer: \"number\""], "a fraction"
            ),
            (["type": "integer"], 2.0, nothing, "a whole number, however it is written"),
            (["type": "number"], 1, nothing, "an integer is a number"),
            (["type": "string", "nullable": true], .null, nothing, "null where it may be"),
            (
                ["type": "string"], .null,
                ["spec: Invalid value: \"null\": spec in body must be of type string: \"null\""], "and where not"
            ),
            (["x-kubernetes-int-or-string": true], "25%", nothing, "int or string"),
            (["x-kubernetes-int-or-string": true], 25, nothing, "int or string"),
            (
                ["type": "string", "format": "date-time"], "yesterday",
                ["spec: Invalid value: \"yesterday\": spec in body must be of type date-time: \"yesterday\""], "format"
            ),
            (["type": "string", "format": "unheard-of"], "x", nothing, "formats that nobody knows do not count"),
            (
                ["type": "string", "enum": ["a", "b"]], "c",
                ["spec: Unsupported value: \"c\": supported values: \"a\", \"b\""], "enum"
            ),
            (
                ["type": "string", "minLength": 2], "ä",
                ["spec: Invalid value: \"ä\": spec in body should be at least 2 chars long"], "characters, not bytes"
            ),
            (
                ["type": "integer", "minimum": 1, "exclusiveMinimum": true], 1,
                ["spec: Invalid value: 1: spec in body should be greater than 1"], "exclusive"
            ),
            (
                ["type": "number", "multipleOf": 0.5], 0.75,
                ["spec: Invalid value: 0.75: spec in body should be a multiple of 0.5"], "multiples"
            ),
            (
                ["type": "array", "maxItems": 1, "items": ["type": "integer"]], [1, 2],
                ["spec: Too many: 2: must have at most 1 item"], "items"
            ),
            (
                ["type": "object", "minProperties": 1], [:],
                ["spec: Invalid value: {}: spec in body should have at least 1 properties"], "members"
            ),
            (
                ["type": "object", "additionalProperties": ["type": "integer"]], ["a": 1, "b": "x"],
                ["spec.b: Invalid value: \"string\": spec.b in body must be of type integer: \"string\""],
                "values of a map"
            ),
            (
                [
                    "type": "object", "properties": ["a": ["type": "string"], "b": ["type": "string"]],
                    "oneOf": [["required": ["a"]], ["required": ["b"]]],
                ],
                ["a": "1", "b": "2"],
                [
                    "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives"
                ], "oneOf"
            ),
            (
                [
                    "type": "object", "properties": ["a": ["type": "string"]],
                    "anyOf": [["required": ["a"]], ["properties": ["a": ["enum": ["x"]]], "required": ["a"]]],
                ],
                [:],
                [
                    "<nil>: Invalid value: \"\": \"spec\" must validate at least one schema (anyOf)",
                    "spec.a: Required value",
                ], "anyOf"
            ),
            (
                ["type": "object", "properties": ["a": ["type": "string"]], "not": ["required": ["a"]]], ["a": "x"],
                ["<nil>: Invalid value: \"\": \"spec\" must not validate the schema (not)"], "not"
            ),
            (
                [
                    "type": "object", "x-kubernetes-embedded-resource": true,
                    "x-kubernetes-preserve-unknown-fields": true,
                ],
                ["metadata": ["name": "Bad"], "x": 1],
                ["spec.apiVersion: Required value: must not be empty", "spec.kind: Required value: must not be empty"],
                "an embedded object says what it is"
            ),
        ]
        for (schema, value, expected, why) in rows {
            XCTAssertEqual(Array(try errors(schema, value).prefix(max(expected.count, 1))), expected, why)
        }
    }

    func testPruningAndDefaults() throws {
        let schema: JSON = [
            "type": "object",
            "properties": [
                "kept": ["type": "string"], "filled": ["type": "integer", "default": 3],
                "deep": ["type": "object", "default": [:], "properties": ["in": ["type": "string", "default": "x"]]],
                "open": [
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": ["a": ["type": "object"]],
                ],
                "list": [
                    "type": "array",
                    "items": ["type": "object", "properties": ["n": ["type": "integer", "default": 1]]],
                ],
                "maybe": ["type": "string", "nullable": true, "default": "d"],
            ],
        ]
        let rows: [(JSON, JSON, [String], String)] = [
            ([:], ["filled": 3, "deep": ["in": "x"], "maybe": "d"], [], "defaults, and those inside of defaults"),
            (
                ["kept": "k", "gone": 1], ["kept": "k", "filled": 3, "deep": ["in": "x"], "maybe": "d"], ["spec.gone"],
                "unknown"
            ),
            (
                ["filled": .null, "kept": .null], ["filled": 3, "deep": ["in": "x"], "maybe": "d"], [],
                "null is absence"
            ),
            (["maybe": .null], ["maybe": .null, "filled": 3, "deep": ["in": "x"]], [], "but where null is a value"),
            (
                ["open": ["b": 1, "a": ["c": 1]]],
                ["open": ["b": 1, "a": [:]], "filled": 3, "deep": ["in": "x"], "maybe": "d"],
                ["spec.open.a.c"], "what is named in an open object is closed itself"
            ),
            (
                ["list": [[:], ["n": 2, "m": 3]]],
                ["list": [["n": 1], ["n": 2]], "filled": 3, "deep": ["in": "x"], "maybe": "d"],
                ["spec.list[1].m"], "elements"
            ),
        ]
        let node = try compile(schema)
        for (value, expected, unknown, why) in rows {
            var object = object(value)
            XCTAssertEqual(try Schema.shared.prune(&object, as: node), unknown, why)
            Schema.shared.applyDefaults(&object, as: node)
            XCTAssertEqual(object["spec"], expected, why)
            let once = object
            Schema.shared.applyDefaults(&object, as: node)
            XCTAssertEqual(object, once, "twice is as once: \(why)")
        }
    }

    func testSchemasThatAreNotStructural() {
        let rows: [(JSON, String)] = [
            (["properties": ["a": ["type": "string"]]], "s.type: Required value: must not be empty at the root"),
            (["type": "string"], "s.type: Invalid value: \"string\": must be object at the root"),
            (
                ["type": "object", "properties": ["a": [:]]],
                "s.properties[a].type: Required value: must not be empty for specified object fields"
            ),
            (
                ["type": "object", "properties": ["a": ["type": "array", "items": [:]]]],
                "s.properties[a].items.type: Required value: must not be empty for specified array items"
            ),
            (
                ["type": "object", "properties": ["a": ["type": "object", "additionalProperties": false]]],
                "s.properties[a].additionalProperties: Forbidden: additionalProperties cannot be set to false"
            ),
            (
                ["type": "object", "anyOf": [["properties": ["a": ["minimum": 1]]]]],
                "s.properties[a]: Required value: because it is defined in s.anyOf[0].properties[a]"
            ),
            (
                ["type": "object", "allOf": [["type": "object"]]],
                "s.allOf[0].type: Forbidden: must be empty to be structural"
            ),
            (
                ["type": "object", "properties": ["a": ["$ref": "#/x", "type": "object"]]],
                "s.properties[a].$ref: Forbidden: $ref is not supported"
            ),
            (
                [
                    "type": "object",
                    "properties": ["metadata": ["type": "object", "properties": ["labels": ["type": "object"]]]],
                ],
                "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified"
            ),
            (
                [
                    "type": "object",
                    "properties": [
                        "a": [
                            "type": "array", "items": ["type": "object", "properties": ["k": ["type": "string"]]],
                            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                        ]
                    ],
                ],
                "s.properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            ),
        ]
        for (schema, expected) in rows {
            XCTAssertEqual(StructuralCheck.errors(in: schema, at: "s").map(\.description), [expected])
        }
    }

    func testEqualPartsAreOneNode() throws {
        let part: JSON = [
            "type": "object", "properties": ["a": ["type": "string"], "b": ["type": "integer", "minimum": 1]],
        ]
        var other = part
        other["description"] = "says more"
        let node = try compile([
            "type": "object", "properties": ["one": part, "two": other, "three": ["type": "object"]],
        ])
        let spec = try XCTUnwrap(node.property("spec")?.node)
        XCTAssertTrue(spec.property("one")?.node === spec.property("two")?.node)
        XCTAssertFalse(spec.property("one")?.node === spec.property("three")?.node)
    }
}
