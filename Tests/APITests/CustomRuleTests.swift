import Objects
import XCTest

@testable import API

/// Rules in CEL of custom resources' schemas, as clients meet them.
final class CustomRuleTests: XCTestCase {
    private var server: TestServer!
    private let widgets = CustomDefinitions.widgetsPath

    override func setUpWithError() throws { server = try TestServer() }
    override func tearDownWithError() throws { try server.stop() }

    private func definition(_ rules: [JSON], at part: [String] = ["spec"]) -> JSON {
        CustomDefinitions.widgets { object in
            var schema = object["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            func set(_ schema: inout JSON, _ path: ArraySlice<String>) {
                guard let first = path.first else {
                    schema["x-kubernetes-validations"] = JSON(rules)
                    return
                }
                if first == "[]" {
                    set(&schema["items"], path.dropFirst())
                } else {
                    set(&schema["properties"][first], path.dropFirst())
                }
            }
            set(&schema, part[...])
            object["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema
        }
    }

    private func define(_ rules: [JSON], at part: [String] = ["spec"]) throws -> TLSClient.Response {
        try server.request("POST", CustomDefinitions.path, definition(rules, at: part))
    }

    private func patch(_ spec: JSON) throws -> TLSClient.Response {
        try server.request(
            "PATCH", widgets + "/a", ["spec": spec], headers: ["Content-Type": "application/merge-patch+json"])
    }

    func testRulesOfNewObjects() throws {
        let made = try define([
            ["rule": "!has(self.replicas) || self.replicas <= self.size", "message": "more replicas than size"],
            ["rule": "self.color != 'green' || has(self.note)"],
            [
                "rule": "!has(self.tags) || self.tags.all(t, t.startsWith('a'))", "reason": "FieldValueForbidden",
                "fieldPath": ".tags", "messageExpression": "'tags such as ' + self.tags[0]",
            ],
        ])
        XCTAssertEqual(made.status, 201, String(decoding: made.body, as: UTF8.self))
        let rows: [(JSON, [String])] = [
            (["size": 2, "replicas": 2], []),
            (["size": 2, "replicas": 3], ["spec: Invalid value: \"object\": more replicas than size"]),
            (
                ["size": 2, "color": "green"],
                ["spec: Invalid value: \"object\": failed rule: self.color != 'green' || has(self.note)"]
            ),
            (["size": 2, "tags": ["b"]], ["spec.tags: Forbidden: tags such as b"]),
            (
                ["size": "2", "replicas": 3],
                [
                    "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\"",
                    "<nil>: Invalid value: \"null\": some validation rules were not checked because the object was invalid; "
                        + "correct the existing errors to complete validation",
                ]
            ),
        ]
        for (spec, expected) in rows {
            let answer = try server.request("POST", widgets + "?dryRun=All", CustomDefinitions.widget("a", spec))
            let causes = try answer.json["details"]["causes"].arrayValue.map {
                "\($0["field"].stringValue ?? ""): \($0["message"].stringValue ?? "")"
            }
            XCTAssertEqual(causes, expected, "\(spec)")
            XCTAssertEqual(answer.status, expected.isEmpty ? 201 : 422)
        }
    }

    /// A rule that cannot be evaluated is named by its message if it has one; its reason and place are for wrong values.
    func testRulesThatFail() throws {
        let rules: [JSON] = [
            [
                "rule": "self.size > 9 || self.note.size() > 0", "message": "small things need a note",
                "reason": "FieldValueForbidden", "fieldPath": ".note",
            ],
            ["rule": "self.size != 2 || self.replicas > 0"],
            ["rule": "!has(self.port) || self.port > 1", "message": "a high port"],
        ]
        XCTAssertEqual(try define(rules).status, 201)
        let rows: [(spec: JSON, cause: String)] = [
            (["size": 1], "Invalid value: \"object\": no such key: note evaluating rule: small things need a note"),
            (
                ["size": 2, "note": "n"],
                "Invalid value: \"object\": no such key: replicas evaluating rule: self.size != 2 || self.replicas > 0"
            ),
            (["size": 1, "note": "n", "port": 1], "Invalid value: \"object\": a high port"),
        ]
        for row in rows {
            let answer = try server.request("POST", widgets + "?dryRun=All", CustomDefinitions.widget("a", row.spec))
            let causes = try answer.json["details"]["causes"].arrayValue
            XCTAssertEqual(causes.map { $0["message"].stringValue }, [row.cause], "\(row.spec)")
            XCTAssertEqual(causes.map { $0["field"].stringValue }, ["spec"], "\(row.spec)")
        }
        let text = try server.request(
            "POST", widgets + "?dryRun=All", CustomDefinitions.widget("a", ["size": 1, "note": "n", "port": "x"]))
        let message = try XCTUnwrap(try text.json["details"]["causes"][0]["message"].stringValue)
        XCTAssertTrue(message.contains("no such overload"), message)
        XCTAssertTrue(
            message.hasSuffix(
                "': call arguments did not match a supported operator, function or macro signature for rule: a high port"
            ),
            message)
    }

    func testTransitions() throws {
        XCTAssertEqual(try define([["rule": "self.size >= oldSelf.size", "message": "must not shrink"]]).status, 201)
        XCTAssertEqual(try server.request("POST", widgets, CustomDefinitions.widget("a", ["size": 3])).status, 201)
        XCTAssertEqual(try patch(["size": 4]).status, 200)
        let refused = try patch(["size": 2])
        XCTAssertEqual(refused.status, 422)
        XCTAssertEqual(
            try refused.json["details"]["causes"][0]["message"], "Invalid value: \"object\": must not shrink")
    }

    func testOptionalOldSelf() throws {
        let rule: JSON = [
            "rule": "oldSelf.hasValue() || self.size == 1", "message": "begins with 1", "optionalOldSelf": true,
        ]
        XCTAssertEqual(try define([rule]).status, 201)
        XCTAssertEqual(try server.request("POST", widgets, CustomDefinitions.widget("a", ["size": 3])).status, 422)
        XCTAssertEqual(try server.request("POST", widgets, CustomDefinitions.widget("a", ["size": 1])).status, 201)
        XCTAssertEqual(try patch(["size": 5]).status, 200)
    }

    func testRulesOfElementsKeyByKey() throws {
        let rules: [JSON] = [["rule": "self.weight >= oldSelf.weight", "message": "must not become lighter"]]
        XCTAssertEqual(try define(rules, at: ["spec", "parts", "[]"]).status, 201)
        let parts: JSON = [["name": "a", "weight": 1], ["name": "b", "weight": 2]]
        _ = try server.request("POST", widgets, CustomDefinitions.widget("a", ["size": 1, "parts": parts]))
        XCTAssertEqual(
            try patch(["parts": [["name": "b", "weight": 2], ["name": "a", "weight": 1]]]).status, 200,
            "elements are found by their keys")
        let refused = try patch(["parts": [["name": "b", "weight": 1]]])
        XCTAssertEqual(try refused.json["details"]["causes"][0]["field"], "spec.parts[0]")
    }

    /// Rules name the value of a map by its key in brackets; what the schema itself says of it is named as a field.
    func testPlacesInMaps() throws {
        let made = try server.request(
            "POST", CustomDefinitions.path,
            CustomDefinitions.widgets { object in
                let value: JSON = [
                    "type": "string", "maxLength": 5,
                    "x-kubernetes-validations": [["rule": "self == 'new'", "message": "only new"]],
                ]
                object["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"][
                    "notes"] = [
                        "type": "object", "maxProperties": 5, "additionalProperties": value,
                    ]
            })
        XCTAssertEqual(made.status, 201, made.text)
        for (note, field) in [("old", "spec.notes[a]"), ("too long", "spec.notes.a")] {
            let answer = try server.request(
                "POST", widgets, CustomDefinitions.widget("a", ["size": 1, "notes": ["a": .string(note)]]))
            XCTAssertEqual(try answer.json["details"]["causes"][0]["field"].stringValue, field, answer.text)
        }
    }

    func testWhatWasInvalidAndDoesNotChangeMayStay() throws {
        XCTAssertEqual(try server.request("POST", CustomDefinitions.path, CustomDefinitions.widgets()).status, 201)
        _ = try server.request("POST", widgets, CustomDefinitions.widget("a", ["size": 3, "note": "old"]))
        let rules: JSON = [["rule": "self == 'new'", "message": "only new"]]
        let changed = try server.request(
            "PATCH", CustomDefinitions.path + "/widgets.example.com",
            [
                [
                    "op": "add",
                    "path":
                        "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/note/x-kubernetes-validations",
                    "value": rules,
                ]
            ], headers: ["Content-Type": "application/json-patch+json"])
        XCTAssertEqual(changed.status, 200)
        XCTAssertEqual(try patch(["size": 4]).status, 200, "the note is as it was")
        XCTAssertEqual(try patch(["note": "other"]).status, 422)
        XCTAssertEqual(try patch(["note": "new"]).status, 200)
    }

    func testRefusedRules() throws {
        let rows: [(JSON, [String], String, String)] = [
            (["rule": "self.nothing == 1"], ["spec"], "rule", "undefined field 'nothing'"),
            (["rule": "self.size"], ["spec"], "rule", "must evaluate to a bool"),
            (["rule": " "], ["spec"], "rule", "rule is not specified"),
            (["rule": "self.size +"], ["spec"], "rule", "compilation failed"),
            (["rule": "self.size > 1", "reason": "Other"], ["spec"], "reason", "supported values"),
            (
                ["rule": "self.size > 1", "fieldPath": ".none"], ["spec"], "fieldPath",
                "does not refer to a valid field"
            ),
            (["rule": "self.size > 1", "message": "a\nb"], ["spec"], "message", "must not contain line breaks"),
            (
                ["rule": "self.size > 1", "optionalOldSelf": true], ["spec"], "optionalOldSelf",
                "may not be set if oldSelf is not used"
            ),
            (
                ["rule": "self != oldSelf"], ["spec", "tags", "[]"], "rule",
                "oldSelf cannot be used on the uncorrelatable"
            ),
            (
                ["rule": "self.labels.all(a, self.labels.all(b, self.labels[a] != self.labels[b] || a == b))"],
                ["spec"],
                "rule", "estimated rule cost exceeds budget"
            ),
        ]
        for (rule, part, field, words) in rows {
            let answer = try define([rule], at: part)
            XCTAssertEqual(answer.status, 422, "\(rule)")
            let causes = try answer.json["details"]["causes"].arrayValue
            XCTAssertTrue(
                causes.contains {
                    $0["field"].stringValue?.hasSuffix("x-kubernetes-validations[0].\(field)") == true
                        && $0["message"].stringValue?.contains(words) == true
                }, "\(rule): \(words) not in \(causes)")
        }
    }
}
